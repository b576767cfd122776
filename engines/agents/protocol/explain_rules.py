"""Explanations of the codes about what a protocol means: names, the graph, guards that decide, messages, versions."""

from __future__ import annotations

from typing import Final

from .explanation import STATES, TRANSITIONS, Explanation, about, file

ROLES: Final = "## Roles\n- boss (1)\n- worker\n\n"
TALK: Final = f"{ROLES}## Messages\n"
OFFER: Final = "- offer: boss → worker\n  - fields: id: id out"
WORK: Final = "\n- work: Doing it\n  - max_duration: 2h → done"
EASED: Final = "\n- work → done: When full\n  - guard: `measure.context_percent >= 70%`"
START: Final = "\n- waiting → work: When there is a task"

RULES: Final[tuple[Explanation, ...]] = (
    about(
        "E-UNDEF-STATE",
        "A state that is named is defined in States, or comes from a protocol that is used.",
        file(transitions=f"{TRANSITIONS}\n- waiting → ended: When stopped"),
        file(transitions=f"{TRANSITIONS}\n- waiting → done by admin: When stopped"),
    ),
    about(
        "E-UNDEF-MSG",
        "A message that is named is defined in Messages, is one of every protocol (note, agree, refuse, ...), or comes "
        "from a protocol that is used.",
        file(states=STATES.replace("- done", "  - allow: send(report)\n- done")),
        file(states=STATES.replace("- done", "  - allow: send(note)\n- done")),
    ),
    about(
        "E-UNDEF-ROLE",
        "A role that is named is defined in Roles.",
        file(transitions=f"{TRANSITIONS}\n  - effects: notify boss"),
        file(transitions=f"{TRANSITIONS}\n  - effects: notify boss", more="## Roles\n- boss (1)"),
    ),
    about(
        "E-UNDEF-FIELD",
        "A field that is set, or that a migration fills, is defined in Context.",
        file(transitions=f"{TRANSITIONS}\n  - sets: context.count = 1"),
        file(transitions=f"{TRANSITIONS}\n  - sets: context.count = 1", more="## Context\n- count: int = 0"),
    ),
    about(
        "E-UNDEF-MEASURE",
        "A measurement that an effect makes is defined in Measurements.",
        file(transitions=f"{TRANSITIONS}\n  - effects: measure finished"),
        file(transitions=f"{TRANSITIONS}\n  - effects: measure finished", more="## Measurements\n- finished: count"),
    ),
    about(
        "E-UNDEF-PROTOCOL",
        "A protocol that is used or extended is in the same folder, or registered, in a version within the range.",
        file(front="version: 1.0.0\nextends: base@^1.0"),
        file(front="version: 1.0.0"),
    ),
    about(
        "E-CYCLE-EXTENDS",
        "A protocol does not extend itself, also not through others.",
        file(front="version: 1.0.0\nextends: base@1.0"),
        file(front="version: 1.0.0"),
        others=("---\nversion: 1.0.0\nextends: task@1.0\n---\n# Protocol: base\n",),
    ),
    about(
        "E-CYCLE-USES",
        "Protocols do not use each other in a circle.",
        file(front="version: 1.0.0\nuses: [base@1.0]"),
        file(front="version: 1.0.0"),
        others=("---\nversion: 1.0.0\nuses: [task@1.0]\n---\n# Protocol: base\n",),
    ),
    about(
        "E-FINAL-OUT",
        "A final state ends the session, so its agents take no transition. The engine or a person may.",
        file(transitions=f"{TRANSITIONS}\n- done → waiting: When there is more"),
        file(transitions=f"{TRANSITIONS}\n- done → waiting by admin: When there is more"),
    ),
    about(
        "E-INITIAL",
        "Agents begin in one state, which is neither final nor of the engine.",
        file(states=STATES.replace("(final)", "(initial, final)")),
    ),
    about(
        "E-AMBIGUOUS",
        "The engine takes a transition by itself, and two with the same priority and different deeds can hold at once.",
        file(
            transitions="- waiting → done on stop by engine: At once\n  - effects: notify boss\n"
            "- waiting → done on stop by engine: With a prompt\n  - effects: commit workspace",
            more="## Roles\n- boss (1)",
        ),
        file(
            transitions="- waiting → done on stop by engine: At once\n  - effects: notify boss, commit workspace",
            more="## Roles\n- boss (1)",
        ),
    ),
    about(
        "E-UNSAT-INV",
        "An invariant that can never hold would refuse every request.",
        file(more="## Invariants\n- few: `inbox.unread < 0`\n  - in: waiting"),
        file(more="## Invariants\n- few: `inbox.unread < 100`\n  - in: waiting"),
    ),
    about(
        "E-MSG-ROLE",
        "A message goes from a role to a role, both defined in Roles; and it is sent to the role that receives it.",
        file(more=f"{TALK}- offer: boss → worker\n- report: helper → boss"),
        file(more=f"{TALK}- offer: boss → worker\n- report: worker → boss"),
    ),
    about(
        "E-REPLY",
        "A reply goes from the receiver of a message back to its sender.",
        file(more=f"{TALK}- offer: boss → worker\n  - reply: answer\n- answer: boss → worker"),
        file(more=f"{TALK}- offer: boss → worker\n  - reply: answer\n- answer: worker → boss"),
    ),
    about(
        "E-CAUSAL",
        "A field marked 'in' is known to the sender before: from an earlier message, or the context. A field marked "
        "'out' is chosen by one role.",
        file(more=f"{TALK}- report: worker → boss\n  - fields: id: id in"),
        file(more=f"{TALK}{OFFER}\n- report: worker → boss\n  - fields: id: id in"),
    ),
    about(
        "E-DIGEST",
        "A version never changes once it is registered; prose may.",
        file(transitions=f"{TRANSITIONS}\n  - cooldown: 1m"),
        file(front="version: 1.0.1", transitions=f"{TRANSITIONS}\n  - cooldown: 1m"),
        registered=file(),
    ),
    about(
        "E-MIGRATION",
        "A migration leads to a version up to this one, and has one rule for each old state.",
        file(more="## Migrations\n- from 0.9 → 2.0.0:\n  - state: ready → waiting"),
        file(more="## Migrations\n- from 0.9 → 1.0.0:\n  - state: ready → waiting"),
    ),
    about("W-NO-VERSION", "Without a version, agents cannot be moved from one to the next.", file(front="")),
    about(
        "W-NO-INITIAL",
        "No state is marked as initial, so the first one that is listed is.",
        file(states=STATES.replace("(initial, idle)", "(idle)")),
    ),
    about(
        "W-UNREACHABLE",
        "No agent can ever be in the state.",
        file(states=f"{STATES}\n- other (final): Finished too"),
        file(
            states=f"{STATES}\n- other (final): Finished too",
            transitions=f"{TRANSITIONS}\n- waiting → other: When stopped",
        ),
    ),
    about(
        "W-DEAD-END",
        "Agents cannot leave the state, and it is not final: they stay there without anything to do.",
        file(states=f"{STATES}\n- lost: Nowhere", transitions=f"{TRANSITIONS}\n- waiting → lost: When lost"),
        file(states=f"{STATES}\n- lost (final): Nowhere", transitions=f"{TRANSITIONS}\n- waiting → lost: When lost"),
    ),
    about(
        "W-TRAP",
        "Agents can go round in these states, and never again come to one that is final, safe or idle.",
        file(
            states=f"{STATES}\n- one: Here\n  - max_duration: 1h → two\n- two: There\n  - max_duration: 1h → one",
            transitions=f"{TRANSITIONS}\n- waiting → one: When asked\n"
            "- one → two: When full\n  - guard: `measure.context_percent >= 70%`\n"
            "- two → one: When full\n  - guard: `measure.context_percent >= 70%`",
        ),
        file(
            states=f"{STATES}\n- one: Here\n  - max_duration: 1h → two\n- two: There\n  - max_duration: 1h → done",
            transitions=f"{TRANSITIONS}\n- waiting → one: When asked\n"
            "- one → two: When full\n  - guard: `measure.context_percent >= 70%`\n"
            "- two → one: When full\n  - guard: `measure.context_percent >= 70%`",
        ),
    ),
    about(
        "W-NEVER",
        "No facts make the guard true, so the transition is never taken.",
        file(transitions=f"{TRANSITIONS}\n  - guard: `inbox.unread < 3 and inbox.unread > 5`"),
        file(transitions=f"{TRANSITIONS}\n  - guard: `inbox.unread > 3 and inbox.unread < 5`"),
    ),
    about(
        "W-ALWAYS",
        "No facts make the guard false, so it binds nobody.",
        file(transitions=f"{TRANSITIONS}\n  - guard: `inbox.unread >= 0`"),
        file(transitions=f"{TRANSITIONS}\n  - guard: `inbox.unread == 0`"),
    ),
    about(
        "W-SHADOWED",
        "Another transition of the same state to the same target always comes first.",
        file(transitions=f"{TRANSITIONS}\n- waiting → done: When the inbox is empty\n  - guard: `inbox.unread == 0`"),
        file(transitions="- waiting → done: When the inbox is empty\n  - guard: `inbox.unread == 0`"),
    ),
    about(
        "W-OVERLAP",
        "Two transitions of one state to one target can hold at once and do different things; the first one is taken.",
        file(
            transitions="- waiting → done: When few\n  - guard: `inbox.unread < 3`\n  - effects: commit workspace\n"
            "- waiting → done: When some\n  - guard: `inbox.unread < 9`\n  - effects: rotate session",
        ),
        file(
            transitions="- waiting → done: When few\n  - guard: `inbox.unread < 3`\n  - effects: commit workspace\n"
            "- waiting → done: When some\n  - guard: `inbox.unread between 3 and 8`\n  - effects: rotate session",
        ),
    ),
    about(
        "W-BUSY-LOOP",
        "The engine would move the agent round without an event, a time or a step of the agent between.",
        file(
            states=f"{STATES}\n- next (idle): Next",
            transitions=f"{TRANSITIONS}\n- waiting → next by engine: On\n- next → waiting by engine: Back",
        ),
        file(
            states=f"{STATES}\n- next (idle): Next",
            transitions=f"{TRANSITIONS}\n- waiting → next on message by engine: On\n- next → waiting by engine: Back",
        ),
    ),
    about(
        "W-REPLY-STORM",
        "A message to everybody that has replies makes everybody answer at once.",
        file(more=f"{TALK}- hello: boss → any\n  - reply: agree"),
        file(more=f"{TALK}- hello: boss → any"),
    ),
    about("W-DEADLOCK", "Roles can wait for each other for ever.", "", "", is_shown=False),
    about("W-UNSPECIFIED", "A message can come to a role that has no way to take it.", "", "", is_shown=False),
    about("W-ORPHAN", "A message can be left that nobody ever takes.", "", "", is_shown=False),
    about(
        "W-NO-PRESSURE",
        "An agent works in the state, and nothing there reacts to a full context: it will end in the middle of work.",
        file(states=STATES + WORK, transitions=f"{TRANSITIONS}{START}\n- work → done: When it is done"),
        file(states=STATES + WORK, transitions=TRANSITIONS + START + EASED),
    ),
    about(
        "W-NO-TIMEOUT",
        "An agent that forgets its task stays in the state for ever.",
        file(states=f"{STATES}\n- work: Doing it", transitions=TRANSITIONS + START + EASED),
        file(states=STATES + WORK, transitions=TRANSITIONS + START + EASED),
    ),
    about(
        "W-PROSE-MODAL",
        "The text of a transition demands something, and nothing makes agents do it: only guards and fields bind.",
        file(transitions="- waiting → done: The inbox MUST be empty"),
        file(transitions="- waiting → done: The inbox MUST be empty\n  - guard: `inbox.unread == 0`"),
    ),
    about(
        "W-GAP",
        "The state reacts to the event only under some facts; otherwise nothing happens.",
        file(
            transitions=f"{TRANSITIONS}\n- waiting → done on message by engine: Enough\n  - guard: `inbox.unread > 5`"
        ),
        file(transitions=f"{TRANSITIONS}\n- waiting → done on message by engine: Enough"),
    ),
    about(
        "W-NO-CONDITION",
        "Nothing says to agents when they should take the transition.",
        file(transitions="- waiting → done"),
    ),
    about(
        "W-UNUSED",
        "Nothing refers to the role, field or message.",
        file(more=f"{TALK}- offer: boss → worker".replace("- worker", "- worker\n- clerk")),
        file(more=f"{TALK}- offer: boss → worker"),
    ),
)
