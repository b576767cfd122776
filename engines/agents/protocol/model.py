"""A protocol as data: what a file says, read and checked in form, with the place of each item.

A protocol is what a markdown file defines: states, transitions between them, and what holds in them. These values are
what the parser makes, what lint looks at, what the canonical form is made of, and what decisions are made by. Texts of
guards and of values are kept as canonical text; `engines.agents.protocol.guards` reads them.

`text` fields are documentation: they are shown to agents, and the digest is not over them. Nor is it over places.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from engines.model import Value

ANY: Final = "any"
"""The source of a transition from each state, and the type `any`."""

SELF: Final = "self"
"""The target of a transition that stays."""

SYSTEM_STATES: Final = ("offline", "starting", "crashed", "direct", "quarantined")
"""States of every protocol; only the engine and people enter them."""

Scalar: TypeAlias = bool | int | float | str
Datum: TypeAlias = Scalar | tuple[Scalar, ...]
"""A value of a field of a request, message or context. Durations are in ns, times in ns since 1970, sizes in bytes."""

Flag: TypeAlias = Literal["initial", "final", "safe", "idle", "system", "fresh", "external"]
Policy: TypeAlias = Literal["pinned", "at_safe_point", "now"]
Status: TypeAlias = Literal["draft", "active", "deprecated"]
Actor: TypeAlias = Literal["agent", "engine", "admin"]


class Place(Value):
    """A place in a file: the line and the column of the first character, both from 1; columns count characters."""

    line: int = 1
    column: int = 1


class FieldType(Value):
    """A type: its kind, its bounds (both included), the choices of an enum, and the type of the items of a list.

    Bounds are of the value for numbers, of the length for strings, and of the count for lists.
    """

    kind: Literal["bool", "int", "number", "string", "enum", "duration", "size", "time", "id", "list", "digest", "path"]
    low: int | float | None = None
    high: int | float | None = None
    choices: tuple[str, ...] = ()
    item: FieldType | None = None


class Field(Value):
    """A named value of a request, a message, or the context. `default` is None where the field has none."""

    name: str
    type: FieldType
    is_optional: bool = False
    marks: tuple[Literal["key", "out", "in"], ...] = ()
    default: Datum | None = None
    writable_by: Literal["agent", "engine"] = "agent"
    keep: Literal["session", "agent"] = "agent"
    place: Place = Place()


class Guard(Value):
    """A condition, as canonical text. `is_opaque` says that it is not analysed."""

    text: str
    is_opaque: bool = False
    place: Place = Place()


class Assignment(Value):
    """Of a transition: the field of the context, and the expression whose value it gets."""

    field: str
    expression: str
    place: Place = Place()


class Sending(Value):
    """Of a transition: the engine sends this message for the agent to a role or an agent."""

    message: str
    to: str
    place: Place = Place()


class Effect(Value):
    """Something that the engine does when a state is entered or left, or a transition taken."""

    kind: Literal["prompt", "notify", "send", "measure", "commit", "rotate", "start", "stop"]
    argument: str = ""
    place: Place = Place()


class Timeout(Value):
    """After this time in the state, the engine moves the agent to `target`."""

    after_ns: int
    target: str
    place: Place = Place()


class Capability(Value):
    """What a state allows or denies: `send`, `receive`, `tool` or `spawn`, and of which; () is all."""

    kind: Literal["send", "receive", "tool", "spawn"]
    of: tuple[str, ...] = ()


class State(Value):
    """A state. `allow` None allows everything that is not denied."""

    id: str
    flags: tuple[Flag, ...] = ()
    text: str = ""
    timeout: Timeout | None = None
    min_duration_ns: int = 0
    allow: tuple[Capability, ...] | None = None
    deny: tuple[Capability, ...] = ()
    prompt: str = ""
    remind_ns: int = 0
    enter: tuple[Effect, ...] = ()
    leave: tuple[Effect, ...] = ()
    place: Place = Place()


class Limit(Value):
    """At most `count` in each `period`."""

    count: int
    period: Literal["visit", "session", "hour"]


class Transition(Value):
    """A transition. `sources` has ids, or only `any` with the exceptions in `excepted`.

    `event` is the name of what causes it, empty for a request that names the target. `actors` () stands for the agent.
    `index` counts transitions in the order of the document, from 0.
    """

    index: int
    sources: tuple[str, ...]
    target: str
    excepted: tuple[str, ...] = ()
    event: str = ""
    actors: tuple[Actor, ...] = ()
    text: str = ""
    guard: Guard | None = None
    requires: tuple[Field, ...] = ()
    sets: tuple[Assignment, ...] = ()
    sends: tuple[Sending, ...] = ()
    priority: int = 0
    cooldown_ns: int = 0
    limits: tuple[Limit, ...] = ()
    effects: tuple[Effect, ...] = ()
    place: Place = Place()


class Role(Value):
    """A role, how many agents may have it at once, the states that its agents may be in, and its rights."""

    id: str
    low: int = 0
    high: int | None = None
    text: str = ""
    states: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    place: Place = Place()


class MessageType(Value):
    """A type of message between two roles."""

    id: str
    sender: str
    receiver: str
    text: str = ""
    fields: tuple[Field, ...] = ()
    replies: tuple[str, ...] = ()
    within_ns: int = 0
    when_sender: tuple[str, ...] = ()
    when_receiver: tuple[str, ...] = ()
    otherwise: Literal["queue", "bounce"] = "queue"
    expires_ns: int = 0
    max_bytes: int = 0
    order: Literal["fifo", "any", "latest"] = "fifo"
    place: Place = Place()


class Invariant(Value):
    """What holds in these states; () stands for all."""

    id: str
    guard: Guard
    states: tuple[str, ...] = ()
    on_fail: Literal["reject", "alarm", "quarantine"] = "reject"
    text: str = ""
    place: Place = Place()


class Bound(Value):
    """A limit of an agent: its name, its value (bytes, ns, a count, or percent), and the period in ns; 0 is none."""

    name: str
    value: int | float
    period_ns: int = 0
    place: Place = Place()


class Measurement(Value):
    """Something to measure."""

    id: str
    kind: str
    unit: str = ""
    begins: str = ""
    ends: str = ""
    buckets: tuple[float, ...] = ()
    text: str = ""
    place: Place = Place()


class StateMapping(Value):
    """Agents in state `old` continue in state `new`."""

    old: str
    new: str
    place: Place = Place()


class ContextMapping(Value):
    """Field `new` gets what field `old` had, or else the value of `expression`."""

    new: str
    old: str = ""
    expression: str = ""
    place: Place = Place()


class MessageMapping(Value):
    """What becomes of pending messages of type `old`: type `new`, or they go back, or stay as they are."""

    old: str
    rule: Literal["translate", "bounce", "keep"]
    new: str = ""
    place: Place = Place()


class Migration(Value):
    """How agents of earlier versions move to version `to`. `guard` says which of them may."""

    range: str
    to: str
    states: tuple[StateMapping, ...] = ()
    context: tuple[ContextMapping, ...] = ()
    messages: tuple[MessageMapping, ...] = ()
    guard: Guard | None = None
    policy: Policy | None = None
    place: Place = Place()


class Import(Value):
    """Another protocol whose states or messages this one refers to; () stands for all."""

    name: str
    range: str
    states: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    place: Place = Place()


class Protocol(Value):
    """A protocol. `title` is the place of the heading; `notes` are the prose between lists, for `fmt`."""

    name: str
    version: str = "0.0.0"
    status: Status = "active"
    policy: Policy = "at_safe_point"
    owner: str = ""
    language: str = ""
    extends: Import | None = None
    uses: tuple[Import, ...] = ()
    states: tuple[State, ...] = ()
    transitions: tuple[Transition, ...] = ()
    roles: tuple[Role, ...] = ()
    messages: tuple[MessageType, ...] = ()
    context: tuple[Field, ...] = ()
    invariants: tuple[Invariant, ...] = ()
    limits: tuple[Bound, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    migrations: tuple[Migration, ...] = ()
    has_version: bool = False
    title: Place = Place()

    def state(self, name: str) -> State | None:
        """The state of this name, as the file defines it."""
        return next((one for one in self.states if one.id == name), None)

    @property
    def initial(self) -> str:
        """The state that agents begin in: the marked one, or else the first. Raises IndexError without states."""
        marked = (one.id for one in self.states if "initial" in one.flags)
        return next(marked, None) or self.states[0].id
