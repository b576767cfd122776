"""The language of guards: conditions on facts, total, three-valued, and exactly analysable. Pure.

    expr = parse_guard("measure.context_percent >= 70% and inbox.unread == 0")
    # raises GuardError, with code, message, offset, hint
    canonical_text(expr)                         # one text for all ways to write it
    known = known_names(protocol, transition.requires)
    problems(expr, known, protocol)              # GuardErrors E-GUARD-NAME (with the nearest name) and E-GUARD-TYPE
    evaluate(expr, {"inbox.unread": 0})          # True, False, or None where facts are missing
    unknown_names(expr, {"inbox.unread": 0})     # ("measure.context_percent",)

    check_analysable(expr, known)                # NotAnalysable (message, offset) where the rest has no exact answer
    overlap(expr, other, known)                  # a Witness, under which both are true, or None
    never(expr, known); always(expr, known)      # true under no facts; false under no facts
    gap([expr, other], known)                    # a Witness, under which all are false, or None
    str(witness)                                 # "measure.context_percent = 70%"; `witness.names` is for `evaluate`

Offsets count characters in the text of the guard, from 0. Values of fields (`sets:`) are terms: `parse_value`,
`value_problems(term, field.type, known, protocol)`, `term_text`, `value_of(term, names)`.
"""

from .analysis import NotAnalysable, Witness, always, check_analysable, example, gap, never, overlap
from .evaluation import NOW, evaluate, is_present, unknown_names, value_of
from .names import CALLS, FACTS, class_of, known_names, nearest, problems, type_of, value_problems
from .parser import parse_guard, parse_value
from .syntax import Constant, Expr, GuardError, Name, Term, canonical_text, names_of, term_text

__all__ = [
    "CALLS", "FACTS", "NOW", "Constant", "Expr", "GuardError", "Name", "NotAnalysable", "Term", "Witness", "always",
    "canonical_text", "check_analysable", "class_of", "evaluate", "example", "gap", "is_present", "known_names",
    "names_of", "nearest", "never", "overlap", "parse_guard", "parse_value", "problems", "term_text", "type_of",
    "unknown_names", "value_of", "value_problems",
]  # fmt: skip
