"""The value law: what a transition makes is exactly what its bytes, read back, give.

What may live here: which values of a transition are checked, and against which type. `conform` defines how a value is
checked, `commit` when: as each effect happens, on the draft, so that an effect that breaks the law changes nothing.
Where the extensions were built, plain values are checked in C, here and in the cycle of the live host (`conform.h`).

A journal may hold turns from before there was this law. They are run again as they ran then, by a twin of the
family (`Family.under_old_rules`) whose law is `OldRules`; `conform` brings the result into form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from .blame import blame
from .conform import Conformer, conform
from .conform import conformer as python_conformer
from .conform_leaves import ConformError, shown
from .forms import made_once
from .map import Map

if TYPE_CHECKING:
    from .effects import Note, SetTimer, Spawn
    from .family_types import FamilyTypes
    from .interaction import Question

CLOCK_NS_MAX: Final = 2**63 - 2
"""The last instant of an engine's clock; the next number means never."""

ADDRESS_CHARS_MAX: Final = 4_096
MAILBOX_MAX: Final = 2**32 - 1
"""The bound of an address; a frame has 32 bits for the mailbox."""

OPTIONS_MAX: Final = 65_536

STATE_CHARS_MAX: Final = 200
"""Of a state in an error."""

try:
    from ._conform import conformer as _make_conformer
except ImportError:
    _make_conformer = python_conformer


@made_once
def conformer(form: Any) -> Conformer:
    """`conform` for one type, from a value and the one before it; in C where that was built and knows the type."""
    try:
        return _make_conformer(form)
    except TypeError:  # a mark in it is not hashable, or a struct has a field that is no slot
        return python_conformer(form)


_text: Final = conformer(str)
_names: Final = conformer(tuple[str, ...])
_fields: Final = conformer(Map[str, Any])


class Law:
    """The law of one family. All methods return the given value, with floats for ints where a field says float."""

    __slots__ = ("_accepted", "_boxes", "emitted", "state")

    state: Conformer
    """Check a state that follows another one. Raises `ConformError`, like every method here."""

    emitted: Mapping[type[Any], Conformer]
    """Check a message that is sent, by its type."""

    def __init__(self, family: FamilyTypes[Any, Any, Any, Any]) -> None:
        self.state = _holding(conformer(family.states), family.invariants)
        self._boxes = {number: conformer(box.states) for number, box in family.boxes.items()}
        self.emitted = {kind: conformer(kind) for kind in family.emits_types}
        self._accepted: dict[type[Any], Conformer] = {kind: conformer(kind) for kind in family.accepts_types}

    def mailbox_state(self, number: int, value: Any, before: Any) -> Any:
        """Check a mailbox's state that follows `before`."""
        return self._boxes[number](value, before)

    def stored(self, message: Any) -> Any:
        """Check a message that is stored: a default of one of its fields may be an int for a float."""
        return self._accepted[type(message)](message)

    def address(self, name: str, mailbox: int) -> None:
        """Check the address of a send."""
        try:
            _text(name)
        except ConformError as error:
            raise ConformError(f"an address: {error}") from None
        if len(name) > ADDRESS_CHARS_MAX or mailbox > MAILBOX_MAX:
            raise ConformError(f"an address has at most {ADDRESS_CHARS_MAX} characters and a mailbox of 32 bits")

    def deadline_ns(self, effect: SetTimer, now_ns: int) -> int:
        """When a timer elapses, in nanoseconds of the engine's clock."""
        given = effect.after_ns if effect.at_ns is None else effect.at_ns
        if type(given) is not int:
            raise ConformError(f"SetTimer takes whole nanoseconds: {shown(given)} is {type(given).__name__}, not int")
        return _instant(now_ns + given if effect.at_ns is None else given, "SetTimer")

    def child(self, effect: Spawn, params: Any, states: Any) -> tuple[Any, Any]:
        """Check a child's parameters and first state (None: the family's) against these types (Any: not known)."""
        state = None if effect.state is None else conform(effect.state, states)
        return conform(effect.config, params), state

    def note(self, effect: Note) -> tuple[str, Map[str, Any]]:
        """Check text and fields of a note."""
        return _of("Note", _text, effect.text), _of("Note", _fields, effect.fields)

    def question(self, question: Question, now_ns: int) -> None:
        """Check a question, asked at `now_ns`."""
        timeout_ns = question.timeout_ns
        if timeout_ns is not None:
            if type(timeout_ns) is not int:
                raise ConformError(
                    f"a time-out is whole nanoseconds: {shown(timeout_ns)} is {type(timeout_ns).__name__}"
                )
            _instant(now_ns + timeout_ns, type(question).__name__)
        options = getattr(question, "options", None)
        if options is None:
            sides = question.sides  # type: ignore[union-attr]
            if type(sides) is not int or sides > CLOCK_NS_MAX:
                raise ConformError(f"Roll.sides: {shown(sides)} is no int of 63 bits")
        else:
            _options(options)


def _instant(at_ns: int, what: str) -> int:
    if not -CLOCK_NS_MAX <= at_ns <= CLOCK_NS_MAX:
        raise ConformError(f"{what}: {shown(at_ns)} ns is no instant of an engine's clock (at most 2**63 - 2)")
    return at_ns


def _options(options: tuple[Any, ...]) -> None:
    if len(options) > OPTIONS_MAX:
        raise ConformError(f"Choose.options: {len(options)} are more than {OPTIONS_MAX}")
    _of("Choose.options", _names, options)


def _of(what: str, conforming: Conformer, value: Any) -> Any:
    """Check `value`; an error begins with `what`."""
    try:
        return conforming(value)
    except ConformError as error:
        raise ConformError(f"{what}: {error}") from None


def _holding(conforming: Conformer, invariants: tuple[Callable[[Any], bool], ...]) -> Conformer:
    """A check of states that also checks what holds of them."""
    if not invariants:
        return conforming

    def check(value: Any, before: Any) -> Any:
        state = conforming(value, before)
        broken = broken_invariant(invariants, state)
        if broken:
            raise ConformError(broken)
        return state

    return check


def broken_invariant(invariants: Iterable[Callable[[Any], bool]], state: Any) -> str:
    """The first invariant that does not hold of a state, as a sentence; "" if all hold."""
    for invariant in invariants:
        name = getattr(invariant, "__name__", "invariant")
        try:
            if not invariant(state):
                return f"the invariant {name} does not hold of {repr(state)[:STATE_CHARS_MAX]}"
        except BaseException as error:  # as of rules
            return f"the invariant {name} raised {blame(error)[0]}"
    return ""


def _as_it_is(value: Any, before: Any = None) -> Any:
    return value


class OldRules:
    """The rules before there was a value law: every value is taken as it is."""

    __slots__ = ("emitted",)

    def __init__(self, emits_types: Iterable[type[Any]]) -> None:
        self.emitted: Mapping[type[Any], Conformer] = dict.fromkeys(emits_types, _as_it_is)

    def state(self, value: Any, before: Any) -> Any:
        """As `Law.state`; it raises nothing, like every method here."""
        return value

    def mailbox_state(self, number: int, value: Any, before: Any) -> Any:
        """As `Law.mailbox_state`."""
        return value

    def stored(self, message: Any) -> Any:
        """As `Law.stored`."""
        return message

    def address(self, name: str, mailbox: int) -> None:
        """As `Law.address`."""

    def deadline_ns(self, effect: SetTimer, now_ns: int) -> Any:
        """As `Law.deadline_ns`."""
        return now_ns + effect.after_ns if effect.at_ns is None else effect.at_ns  # type: ignore[operator]

    def child(self, effect: Spawn, params: Any, states: Any) -> tuple[Any, Any]:
        """As `Law.child`."""
        return effect.config, effect.state

    def note(self, effect: Note) -> tuple[str, Map[str, Any]]:
        """As `Law.note`."""
        return effect.text, effect.fields

    def question(self, question: Question, now_ns: int) -> None:
        """As `Law.question`."""
