"""A node as data: the form of a node file that the rest of the host uses.

Frozen, plain, and complete: units are converted (nanoseconds, bytes), defaults filled in, `count` expanded, paths
absolute. Family parameters and initial states stay builtins, because neither supervisor nor command line imports a
family; the worker converts them to the family's types (`convert`).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from transport.port import ARENA_BYTES, LANE_BYTES, LANE_BYTES_MAX, LANE_BYTES_MIN, MESSAGE_BYTES_MAX

SECOND: Final = 1_000_000_000

SHUTDOWN_NS: Final = 5 * SECOND
"""OTP's default for a worker."""

INTENSITY: Final = 10
"""Restarts within a period, of a group or of a process in none."""

BUDGET: Final = 100
"""Restarts within a period, of a node."""

MAILBOX_CAPACITY: Final = 10_000
"""Messages waiting in a mailbox before its policy acts, unless the node file says otherwise."""

ARENA_BYTES_MAX: Final = 1 << 32
"""All blocks with the largest message each."""
VOLATILE_TRIGGERS_MAX: Final = 1_000_000
"""More never fit the bytes that are kept."""
UNACKED_BYTES_MIN: Final = 1 << 16
UNACKED_BYTES_MAX: Final = 1 << 40


class MailboxSpec(msgspec.Struct, frozen=True):
    """Bounds of one mailbox. `wait` is soft: senders stop, but messages already under way are accepted.

    `stored_max`: messages that it stores before `stored_overflow`; None: the value of the family's `Box`.
    """

    capacity: int = MAILBOX_CAPACITY
    policy: Literal["wait", "reject", "drop-oldest"] = "wait"
    stored_max: int | None = None


class Placement(msgspec.Struct, frozen=True):
    """An engine's process: its own, one of a named group, its own on one core, or one shared by all."""

    kind: Literal["process", "group", "core", "one"] = "process"
    group: str = ""
    core: int | None = None

    def __str__(self) -> str:
        """As the node file writes it: `process`, `group NAME`, `core N`, `one`."""
        return {"group": f"group {self.group}", "core": f"core {self.core}"}.get(self.kind, self.kind)


class ChildSpec(msgspec.Struct, frozen=True):
    """Supervision of an engine's process, in the terms of OTP. Limits apply to the process; None: no limit.

    `shutdown_ns`: time for the process to leave before it is killed; None: `SHUTDOWN_NS`, and during a shutdown of the
    node its drain time. `poison`: how the engine continues after a message of its own went to quarantine.
    """

    restart: Literal["permanent", "transient", "temporary"] = "permanent"
    shutdown_ns: int | None = None
    memory_bytes: int | None = None
    cpu_ns: int | None = None
    poison: Literal["skip", "stop", "park"] = "skip"


class EngineSpec(msgspec.Struct, frozen=True):
    """One engine instance. `family` is `package.module:NAME`; `params` and `state` are builtins."""

    name: str
    family: str
    params: dict[str, Any] = {}
    state: Any = None
    acquaintances: tuple[str, ...] = ()
    mailboxes: dict[int, MailboxSpec] = {}
    placement: Placement = Placement()
    child: ChildSpec = ChildSpec()
    durability: Literal["volatile", "crash", "durable"] = "volatile"


class GroupSpec(msgspec.Struct, frozen=True):
    """Engines that are supervised together, in order; `engines` contains each engine of a counted entry."""

    name: str
    strategy: Literal["one_for_one", "one_for_all", "rest_for_one"]
    engines: tuple[str, ...]
    intensity: int | None
    period_ns: int


class SupervisionSpec(msgspec.Struct, frozen=True):
    """Restarts and deadlines of a node. None: no bound; a deadline of 0: none."""

    intensity: int | None = INTENSITY
    period_ns: int = 120 * SECOND
    backoff_ns: int = SECOND // 10
    backoff_max_ns: int = 30 * SECOND
    healthy_ns: int = 60 * SECOND
    budget: int | None = BUDGET
    soft_ns: int = 5 * SECOND
    hard_ns: int = 30 * SECOND
    start_ns: int = 30 * SECOND
    groups: tuple[GroupSpec, ...] = ()


class TransportSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Links between processes, as in the node file. `auto`: lanes if the native core is installed, else ZeroMQ."""

    local: Literal["auto", "lane", "zmq"] = "auto"
    wait: Literal["adaptive", "block"] = "adaptive"
    lane_bytes: Annotated[int, Meta(ge=LANE_BYTES_MIN, le=LANE_BYTES_MAX)] = LANE_BYTES
    arena_bytes: Annotated[int, Meta(ge=MESSAGE_BYTES_MAX, le=ARENA_BYTES_MAX)] = ARENA_BYTES


class JournalSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of a log, as in the node file: history in size and age (0: none), unacknowledged outputs in size."""

    retain_bytes: Annotated[int, Meta(ge=0, le=2**53)] = 1 << 30
    retain_ns: Annotated[int, Meta(ge=0, le=2**62)] = 7 * 24 * 3600 * SECOND
    unacked_bytes: Annotated[int, Meta(ge=UNACKED_BYTES_MIN, le=UNACKED_BYTES_MAX)] = 64 << 20


class ReloadSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Reloads, as in the node file: the triggers that a process keeps of its volatile engines, and the probation.

    `volatile_triggers` are there for a rehearsal; 0: none. A probation has a time, a number of messages, and the bound
    of a transition in it. It ends with the first of time and messages; 0: no such bound. Without both there is none.
    """

    volatile_triggers: Annotated[int, Meta(ge=0, le=VOLATILE_TRIGGERS_MAX)] = 10_000

    probation_ns: Annotated[int, Meta(ge=0, le=2**62)] = 0
    probation_triggers: Annotated[int, Meta(ge=0, le=2**53)] = 0
    transition_max_ns: Annotated[int, Meta(ge=0, le=2**62)] = 0

    @property
    def is_on(self) -> bool:
        """Whether a reload is followed by a probation."""
        return bool(self.probation_ns or self.probation_triggers)

    def left(self, spent_ns: int, handled: int) -> ReloadSpec:
        """The terms that are left after a time and so many messages; of a bound that is reached, and not noticed yet, a
        second or a message."""
        left_ns, triggers = self.probation_ns - spent_ns, self.probation_triggers - handled
        return msgspec.structs.replace(
            self,
            probation_ns=max(1, -(-left_ns // 10**9)) * 10**9 if self.probation_ns else 0,
            probation_triggers=max(1, triggers) if self.probation_triggers else 0,
        )

    @property
    def length(self) -> str:
        """How long a probation takes, in words; "" without a probation."""
        parts = [f"{self.probation_ns / 1e9:g} s"] if self.probation_ns else []
        return " or ".join([*parts, *([f"{self.probation_triggers} messages"] if self.probation_triggers else [])])


class NodeSpec(msgspec.Struct, frozen=True):
    """A whole node. `path` is the real path of the node file; `digest` covers everything that affects the running node.

    `without_damaged` is not a key of the file: the node then starts even if logs of its engines cannot be used.
    `given` is the absolute path as given to the command, links not followed, or "".
    """

    node: str
    path: str
    digest: str
    engines: tuple[EngineSpec, ...]
    placement: Placement = Placement()
    spawned: Literal["parent", "process"] = "parent"
    transport: TransportSpec = TransportSpec()
    supervision: SupervisionSpec = SupervisionSpec()
    journal: JournalSpec = JournalSpec()
    reload: ReloadSpec = ReloadSpec()
    roots: tuple[str, ...] = ()
    data: str = ""
    without_damaged: bool = False
    given: str = ""
