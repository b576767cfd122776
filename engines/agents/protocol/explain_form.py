"""Explanations of the codes about the form of a file: bytes, headings, items, names, types, guards."""

from __future__ import annotations

from typing import Final

from .explanation import STATES, TRANSITIONS, Explanation, about, file

CONTEXT: Final = "## Context\n- count: int(0..9) = 0"
SETS: Final = f"{TRANSITIONS}\n  - sets: context.count = 1"
GUARDED: Final = f"{TRANSITIONS}\n  - guard: `inbox.unread == 0`"

FORM: Final[tuple[Explanation, ...]] = (
    about("E-ENC", "A protocol file is text in UTF-8 without NUL characters.", "", "", is_shown=False),
    about("E-SIZE", "A protocol file has at most 256 KiB.", "", "", is_shown=False),
    about(
        "E-LIMIT",
        "A section has a bound for its items: 500 states, 5,000 transitions, 500 messages, 100 of most others.",
        "",
        "",
        is_shown=False,
    ),
    about(
        "E-FRONT",
        "The front matter is flat: 'key: value' lines with known keys, or a list [a, b] as value.",
        file(front="version: 1.0.0\nauthor: somebody"),
        file(front="version: 1.0.0\nowner: somebody"),
    ),
    about(
        "E-TITLE",
        "One heading of the first level names the protocol.",
        file(title="# Task"),
    ),
    about(
        "E-NAME-FILE",
        "A protocol is found by its name, so the file has the same one.",
        file(),
        file(title="# Protocol: job"),
        name="job.md",
    ),
    about(
        "E-DUP-SECTION",
        "Each section is there once; the second one would be left out.",
        file(more="## States\n- other (final): Finished too"),
        file(
            states=f"{STATES}\n- other (final): Finished too",
            transitions=f"{TRANSITIONS}\n- waiting → other: When stopped",
        ),
    ),
    about(
        "E-DUP-STATE",
        "A state is defined once.",
        file(states=f"{STATES}\n- done (final): Finished again"),
    ),
    about(
        "E-DUP-MSG",
        "A type of message is defined once.",
        file(more="## Roles\n- boss\n- worker\n\n## Messages\n- task: boss → worker\n- task: boss → worker"),
        file(more="## Roles\n- boss\n- worker\n\n## Messages\n- task: boss → worker"),
    ),
    about(
        "E-DUP-ROLE",
        "A role is defined once.",
        file(more="## Roles\n- boss\n- boss (1)"),
        file(more="## Roles\n- boss (1)"),
    ),
    about(
        "E-DUP-FIELD",
        "A field of the context, of a request or of a message is defined once.",
        file(transitions=SETS, more=f"{CONTEXT}\n- count: int = 1"),
        file(transitions=SETS, more=CONTEXT),
    ),
    about(
        "E-DUP-ITEM",
        "A key of an item, a limit, an invariant, a measurement or a migration is given once.",
        file(more="## Limits\n- memory: 512MiB\n- memory: 1GiB"),
        file(more="## Limits\n- memory: 1GiB"),
    ),
    about(
        "E-ID",
        "A name is a letter, then letters, digits, '_' and '-', at most 64. Some are reserved, and names that differ "
        "only in '-' and '_' are taken for one another.",
        file(states=f"{STATES}\n- direct (final): Taken over"),
        file(
            states=f"{STATES}\n- by_hand (final): Taken over",
            transitions=f"{TRANSITIONS}\n- waiting → by_hand: When asked",
        ),
    ),
    about(
        "E-ITEM",
        "Each item of a list in a known section has the form of that section. Other text stands outside the lists.",
        file(transitions="- waiting to done: When nothing is left\n- waiting → done: When told"),
        file(),
    ),
    about(
        "E-TYPE",
        "A field has one of the known types, and a value is of the type of its field.",
        file(transitions=SETS, more="## Context\n- count: integer = 0\n- count: int(0..9) = 0"),
        file(transitions=SETS, more=CONTEXT),
    ),
    about(
        "E-RANGE",
        "A range has a value in it, and a limit is more than nothing.",
        file(more="## Limits\n- memory: 0MiB"),
        file(more="## Limits\n- memory: 512MiB"),
    ),
    about(
        "E-DEFAULT",
        "The default of a field is a value of its type.",
        file(transitions=TRANSITIONS, more="## Context\n- count: int(0..9) = 10"),
        file(transitions=SETS, more=CONTEXT),
    ),
    about(
        "E-GUARD-SYNTAX",
        "A guard is a comparison, or several joined by 'and', 'or' and 'not'.",
        file(transitions=f"{TRANSITIONS}\n  - guard: `inbox.unread = 0`"),
        file(transitions=GUARDED),
    ),
    about(
        "E-GUARD-NAME",
        "A guard names facts that there are: of the request, the context, measurements, the inbox, the agent, others.",
        file(transitions=f"{TRANSITIONS}\n  - guard: `inbox.unreed == 0`"),
        file(transitions=GUARDED),
    ),
    about(
        "E-GUARD-TYPE",
        "A guard compares values of one type.",
        file(transitions=f'{TRANSITIONS}\n  - guard: `inbox.unread == "none"`'),
        file(transitions=GUARDED),
    ),
    about(
        "E-GUARD-SIZE",
        "A guard has at most 64 nodes, 32 levels and 1 KiB.",
        file(transitions=f"{TRANSITIONS}\n  - guard: `{'not ' * 40}inbox.unread == 0`"),
        file(transitions=GUARDED),
    ),
    about(
        "E-GUARD-OPAQUE",
        "By default a guard compares each name with constants, so that what it decides can be shown. A guard that "
        "cannot be analysed is marked 'opaque:'.",
        file(transitions=f"{TRANSITIONS}\n  - guard: `inbox.unread <= agent.restarts`"),
        file(transitions=f"{TRANSITIONS}\n  - guard: opaque: `inbox.unread <= agent.restarts`"),
    ),
    about(
        "E-TIMER",
        "max_duration says where the agent goes then, and is longer than min_duration.",
        file(states="- waiting (initial, idle): Nothing to do\n  - max_duration: 5m\n- done (final): Finished"),
        file(states="- waiting (initial, idle): Nothing to do\n  - max_duration: 5m → done\n- done (final): Finished"),
    ),
    about(
        "E-VERSION",
        "A version is three numbers, as semantic versioning says, and is not lower than the registered one.",
        file(front="version: 1.0"),
    ),
    about(
        "W-SECTION-TYPO",
        "A section with a list has nearly a known name. As it is, it is documentation.",
        file(more="## Mesages\n- hello: everybody says it"),
        file(more="## Manners\n- hello: everybody says it"),
    ),
    about(
        "W-LOCALE",
        "'language' in the front matter is a language tag.",
        file(front="version: 1.0.0\nlanguage: English"),
        file(front="version: 1.0.0\nlanguage: en"),
    ),
)
