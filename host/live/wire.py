"""The packets between supervisor and worker over a slot's SEQPACKET socket pair.

One packet is one MessagePack-encoded struct of the unions below, with the descriptors its docstring names (SCM_RIGHTS).
The end of file is the lifeline: a worker that reads it exits at once; a supervisor that reads it waits for the pidfd.
Content beyond a packet (`PACKET_BYTES_MAX`) travels in an unnamed memory file, whose descriptor goes with it.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from host.config.spec import JournalSpec
from host.node.news import Event, Fatal, Letter, NoteLine, Packet, RehearsalResult, SetAside, Trigger, Waits
from host.node.routing import Birth
from transport.port import ARENA_BYTES

PACKET_BYTES_MAX: Final = 64 * 1024
"""Stays below the default socket buffer (208 KiB) with room for several packets."""


# --- supervisor to worker ---------------------------------------------------------------------------------------------


class Boot(Packet):
    """First packet to a worker. Descriptors with lanes: [out, in, doorbell, control page]; with ZeroMQ [keep, page].

    `candidate`: the worker takes part in a reload: it imports, sends `Ready` or `EngineFailed`, and waits for `Adopt`
    instead of bearing engines at once; it gets these descriptors with `Go`, and with `Boot` [control page], a page of
    its own, which names the family or engine it is handling. `spawned`: whether children live beside their parent, or
    the worker sends `ChildrenSpawned` with `placed_here=False` and the supervisor places them (as it does devices).
    `now_ns` is engine time less CLOCK_BOOTTIME: a worker adds it to CLOCK_BOOTTIME to get engine time. `described`:
    family references and versions whose interface the supervisor has. `memory_bytes`, `cpu_ns`: limits of the process.
    `fallen`: messages in which processes of this slot died. `journal`: the folder of the slot's log, "" without one;
    `journal_spec`: its retention. `fresh`: its engine was just spawned, under a name that no log has.
    `lent_bytes`: the memory that a candidate may take until it takes over. `code`: the files of kept versions to run,
    instead of the sources below the roots. `held`: it takes no trigger before `Thaw`; `Freeze` may hand it over.
    `volatile_triggers`: how many triggers of volatile engines the process keeps for a rehearsal; 0: none.
    """

    node: str
    slot: int
    epoch: int
    native: bool
    wait: str
    address: str
    roots: tuple[str, ...]
    births: tuple[Birth, ...]
    core: int | None = None
    device: bool = False
    fallen: tuple[Fatal, ...] = ()
    candidate: bool = False
    now_ns: int = 0
    spawned: Literal["parent", "process"] = "parent"
    described: tuple[tuple[str, str], ...] = ()
    memory_bytes: int | None = None
    cpu_ns: int | None = None
    arena_bytes: int = ARENA_BYTES
    journal: str = ""
    journal_spec: JournalSpec = JournalSpec()
    fresh: bool = False
    lent_bytes: int = 0
    code: tuple[str, ...] = ()
    held: bool = False
    volatile_triggers: int = 0


class Attach(Packet):
    """A slot to link with. Lanes bring descriptors [out, in, doorbell]; ZeroMQ an address and [keep]."""

    slot: int
    address: str = ""


class Detach(Packet):
    """A peer slot was dissolved."""

    slot: int


class Restarted(Packet):
    """A peer slot has a new process: drop the stops that its engines sent."""

    slot: int


class Route(Packet):
    """Answer to `Resolve`, or news of a name: its slot, or why there is none (`unknown`, `ended`).

    The lanes of a slot with the reason `degraded` still take messages, and no sender waits for room there.
    """

    name: str
    slot: int | None
    reason: str = ""


class ChildEnded(Packet):
    """A child that ended in a process of its own: a parent with a journal need not spawn it again."""

    parent: str
    child: str


class Deliver(Packet):
    """Bear engines: more of a `Boot`, or spawned at run time."""

    births: tuple[Birth, ...]


class End(Packet):
    """End these engines: an ancestor was restarted from its initial state, or the node orders it."""

    names: tuple[str, ...]


KEEP: Final = "keep"


class Query(Packet):
    """Ask for `kind` (`state`, `timers`, `mailbox`, `stats`) of an engine ("": all); answered by `Reply` with `id`.

    The supervisor asks for `stuck` too: `host.node.circles.Stuck` as plain data; and for `KEEP`, with a folder in place
    of an engine: to keep the code in force there.
    """

    id: int
    kind: str
    engine: str = ""


class Answer(Packet):
    """A user's choice for a suspended engine; answered by `Reply` with `id`."""

    id: int
    engine: str
    choice: str


class Unpark(Packet):
    """The trigger an engine was parked for is dealt with: it takes triggers again.

    `first` is the sender of a replay, whose message comes before those that wait; "" if the trigger was discarded.
    """

    engine: str
    first: str = ""


class Allow(Packet):
    """The engine is in a circle of stopped ones: its mailboxes get their allowance, its senders continue."""

    engine: str


class Lose(Packet):
    """The allowance of `target` is spent: messages of `engine` to it are lost, for as long as `engine` is full."""

    engine: str
    target: str


class Recall(Packet):
    """Hand out the last `count` triggers of these engines, and go on. Answered by `Recalled`.

    From then on those of volatile ones are written to a tail (`host.node.trigger_tail`), until the engines are handed
    over, the deadline is past, or there is another order. One without engines ends the tail, and has no answer.
    """

    engines: tuple[str, ...] = ()
    count: int = 0
    deadline_ns: int = 0


class Rehearse(Packet):
    """To a candidate: run these triggers. Descriptors: [pipe], or [pipe, tail]. Answer: `Rehearsed` or
    `EngineFailed`."""


class Follow(Packet):
    """To a candidate: make the engines from the tail, and with `from_log` from their log, behind the old process.
    Answer: `Level` or `EngineFailed`. `within_ns`: for the tail; then the states have to cross."""

    from_log: bool
    within_ns: int


class Prime(Packet):
    """To a candidate that is level: map the lanes, and be ready to take over. Answer: `Primed` or `EngineFailed`.

    Descriptors: as in `Boot`, then [baton, token]: on the baton the old process sends `Passed`; the token is one count
    of an eventfd, and with it the slot is this process's. Attachments and routes follow, as for the slot's process.
    """


class Pass(Packet):
    """Stop at the next boundary, outputs released, let go of the log, and stay away from the lanes until `Thaw`.

    Descriptor: [baton], on which `Passed` is sent. `keep` as in `Freeze`.
    """

    keep: str = ""


class Passed(Packet):
    """On a baton: the old process has stopped, and stays away. `parts` as in `Frozen`: the slot, without its engines.

    `queued`, `log_end` as in `Frozen`; `parked`: the engines that are parked.
    """

    queued: int
    log_end: int
    parts: list[bytes]
    parked: tuple[str, ...] = ()


class Freeze(Packet):
    """Stop at the next boundary, outputs released, and hand over the engines; with `from_log` those in no log.

    Answered by `AtBoundary`, then by `Frozen` or `EngineFailed`. `downgrades`: the layout of a state differs in the
    candidate, which may be the version before: states go with their downgraded form, where a family has one.
    `keep`: a folder to keep the code in force in, "" for none. `followed`: engines whose states the candidate has, if
    the tail has all their triggers.
    """

    downgrades: bool = False
    from_log: bool = False
    keep: str = ""
    followed: tuple[str, ...] = ()


class Thaw(Packet):
    """The reload is cancelled: continue as before. A snapshot under way is given up."""


class Adopt(Packet):
    """To a candidate: migrate and load these engines. Descriptor: [snapshot]. Answer: `Adopted` or `EngineFailed`.

    `log_end`, `tail_end`: where log and tail end, for one that follows.
    """

    log_end: int = 0
    tail_end: int = 0


class Go(Packet):
    """To a candidate that adopted: take over the slot. Descriptors as in `Boot`. Answered by `Ready` once it runs.

    `parked`: the engines parked by now; the births may be out of date.
    """

    parked: tuple[str, ...] = ()


class Exit(Packet):
    """Exit. With `drain_ns` > 0, first drain, for at most that long."""

    drain_ns: int = 0


ToWorker = (
    Boot
    | Attach
    | Detach
    | Restarted
    | Route
    | ChildEnded
    | Deliver
    | End
    | Query
    | Answer
    | Unpark
    | Allow
    | Lose
    | Recall
    | Follow
    | Prime
    | Pass
    | Rehearse
    | Freeze
    | Thaw
    | Adopt
    | Go
    | Exit
)


# --- worker to supervisor ---------------------------------------------------------------------------------------------


class Hello(Packet):
    """First packet of a worker. Descriptor: [its own pidfd]."""

    pid: int


class Running(msgspec.Struct, frozen=True, array_like=True):
    """What engines run that are ready: family reference, version digest, interface as plain data.

    `interface` is None if this process has sent that of the same family and version before, or `Boot` names it.
    """

    family: str
    version: str
    interface: Any = None


class Ready(Packet):
    """These engines, by what they run, take messages now (in a candidate: would)."""

    engines: tuple[tuple[Running, tuple[str, ...]], ...]


class EngineFailed(Packet):
    """An engine could not start, import, migrate or adopt: where and why."""

    engine: str
    reason: str
    detail: str = ""


class Resolve(Packet):
    """A lookup of a name's slot, and a request to link with it."""

    name: str


class Born(msgspec.Struct, frozen=True, array_like=True):
    """A spawned child; `placed_here` if it lives beside its parent, then with `running`, unless it could not start.

    `again`: its parent spawned it in an earlier process, which may have reported it, and it may have a log.
    """

    birth: Birth
    placed_here: bool
    running: Running | None = None
    again: bool = False


class ChildrenSpawned(Packet):
    """Transitions spawned children, in this order. Those that run take messages now, like engines in `Ready`."""

    children: tuple[Born, ...]


class EngineEnded(Packet):
    """An engine ended."""

    name: str


class Letters(Packet):
    """Dead letters since the last packet: counts by reason (complete), the letters themselves (the newest)."""

    counts: dict[str, int]
    letters: tuple[Letter, ...]


class Notes(Packet):
    """Log lines, in order; `dropped` counts those lost to a full queue."""

    notes: tuple[NoteLine, ...]
    dropped: int = 0


class Reply(Packet):
    """Answer to `Query` or `Answer`. A large payload lies in the memory file of the descriptor [payload]."""

    id: int
    payload: Any = None
    error: str = ""


class Rested(Packet):
    """These messages, `fallen` in `Boot`, are dealt with: the next process need not get them."""

    fallen: tuple[Trigger, ...]


class Recalled(Packet):
    """Answer to `Recall`. Descriptors: [pipe], to which a child writes `host.node.past`, and [tail] of volatile
    engines; none with a `reason`."""

    reason: str = ""


class Rehearsed(Packet):
    """Answer to `Rehearse`: the new code does what the old one did, but for declared differences."""

    results: tuple[RehearsalResult, ...]


class Level(Packet):
    """Answer to `Follow`: the candidate has run all but the last turns, and goes on following. With a `reason` it
    cannot follow the log. `follows`: whether it follows the tail, with `large` engines whose states need not cross."""

    reason: str = ""
    follows: bool = False
    large: tuple[str, ...] = ()


class Primed(Packet):
    """Answer to `Prime`; `states` and `forward_only` as in `Adopted`. With a `reason` it cannot be primed, and is as
    before."""

    states: dict[str, str] = {}
    forward_only: dict[str, str] = {}
    reason: str = ""


class Took(Packet):
    """A primed candidate has the slot. `queued` as in `Frozen`."""

    queued: int


class NotPassed(Packet):
    """A primed candidate saw the old process end, which had not passed the slot on. It waits for `Exit`."""


class AtBoundary(Packet):
    """First answer to `Freeze`: no transition runs until `Thaw`; the snapshot is being written."""


class Frozen(Packet):
    """Second answer to `Freeze`. Descriptor: [snapshot], the parts defined in `host.node.snapshot`.

    `log_end`: where the log of the slot ends, 0 without one; `tail_end` the same of the tail.
    """

    queued: int
    log_end: int = 0
    tail_end: int = 0


class Adopted(Packet):
    """Answer to `Adopt`: state migrated, ready to go. `states` is how, by family reference: "as it is", "converted"
    (the layout differs), or "migrated" (by the family's function); `forward_only` is why a family could not hand its
    engines back, "" if it could. `followed` are the volatile engines that go on from where the tail ended."""

    states: dict[str, str] = {}
    forward_only: dict[str, str] = {}
    followed: tuple[str, ...] = ()


class Left(Packet):
    """Answer to `Exit` of a process whose engines were handed over, and its last packet: its lanes and its log are
    closed. It exits."""


JOURNAL_GONE: Final = "journal_gone"
"""Event kind: a log was removed under its writer; `saved`: its state is in a new one."""

JOURNAL_MOVED: Final = "journal_moved"
"""Event kind: a log was moved with its folder and continues there."""


ToSupervisor = (
    Hello
    | Ready
    | EngineFailed
    | Resolve
    | ChildrenSpawned
    | EngineEnded
    | Letters
    | Notes
    | Waits
    | SetAside
    | Rested
    | Reply
    | Recalled
    | Rehearsed
    | Level
    | Primed
    | Took
    | NotPassed
    | AtBoundary
    | Frozen
    | Adopted
    | Left
    | Event
)
