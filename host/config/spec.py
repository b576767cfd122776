"""A node as data: what the rest of the host sees of a node file.

Frozen, plain, and complete: units are converted (nanoseconds, bytes), defaults filled in, `count` expanded, paths
absolute. Family parameters and initial states stay builtins here, because neither supervisor nor command
line imports a family; the worker converts them with the family's own types (`convert`).
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from transport.port import ARENA_BYTES, LANE_BYTES

SECOND: Final = 1_000_000_000

SHUTDOWN_NS: Final = 5 * SECOND
"""OTP's default for a worker."""

INTENSITY: Final = 10
"""Restarts within a period, of a group or of a process in none."""

BUDGET: Final = 100
"""Restarts within a period, of a node."""

MAILBOX_CAPACITY: Final = 10_000
"""Messages waiting in a mailbox before its policy acts, unless the node file says otherwise."""


class MailboxSpec(msgspec.Struct, frozen=True):
    """Bounds of one mailbox. `wait` is soft: senders are told to stop, what is under way is still taken.

    `stored_max`: messages it stores (taken by no rule) before `stored_overflow`; None: as the family's `Box` says.
    """

    capacity: int = MAILBOX_CAPACITY
    policy: Literal["wait", "reject", "drop-oldest"] = "wait"
    stored_max: int | None = None


class Placement(msgspec.Struct, frozen=True):
    """Where an engine lives: a process of its own, a named group, a process pinned to a core, or all in one."""

    kind: Literal["process", "group", "core", "one"] = "process"
    group: str = ""
    core: int | None = None

    def __str__(self) -> str:
        """As the node file writes it: `process`, `group NAME`, `core N`, `one`."""
        return {"group": f"group {self.group}", "core": f"core {self.core}"}.get(self.kind, self.kind)


class ChildSpec(msgspec.Struct, frozen=True):
    """How an engine's process is supervised. The words are OTP's; limits are those of the process, None: none.

    `shutdown_ns`: time to leave when told to, then it is killed; None: `SHUTDOWN_NS`, and at the end of the node as
    long as that drains. `poison`: what the engine does once a message of its is in quarantine.
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
    """Engines that are supervised together, in their order; `engines` has the names of a counted entry one by one."""

    name: str
    strategy: Literal["one_for_one", "one_for_all", "rest_for_one"]
    engines: tuple[str, ...]
    intensity: int | None
    period_ns: int


class SupervisionSpec(msgspec.Struct, frozen=True):
    """Restarts and deadlines of a node. None: no bound; deadlines of 0: none."""

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


class TransportSpec(msgspec.Struct, frozen=True):
    """Links between processes. `auto`: lanes where the native core is there, else ZeroMQ."""

    local: Literal["auto", "lane", "zmq"] = "auto"
    wait: Literal["adaptive", "block"] = "adaptive"
    lane_bytes: int = LANE_BYTES
    arena_bytes: int = ARENA_BYTES


class JournalSpec(msgspec.Struct, frozen=True):
    """Logs of a node: history each keeps at most, by size and by age, and outputs an engine keeps unacknowledged."""

    retain_bytes: int = 1 << 30
    retain_ns: int = 7 * 24 * 3600 * SECOND
    unacked_bytes: int = 64 << 20


class NodeSpec(msgspec.Struct, frozen=True):
    """A whole node. `path` is the real path of the node file, `digest` that of everything that decides what runs.

    `without_damaged` is no word of the file: it says that the node starts also if logs of its engines cannot be used.
    `given` is the path as it was given, absolute, links not followed; "" where nobody gave one.
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
    roots: tuple[str, ...] = ()
    data: str = ""
    without_damaged: bool = False
    given: str = ""
