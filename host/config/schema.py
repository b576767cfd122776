"""The node file as written: the shape that `load` converts to, and its JSON Schema for editors.

These structs follow the file key by key; `load` turns them into those of `spec`, except those that are the same. One
declaration serves both readers: the fast one (`msgspec.convert`) and the one that finds every mistake (`explain`). The
`description` of a pattern completes the sentence "expected …".
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from .names import FAMILY
from .spec import BUDGET, INTENSITY, MAILBOX_CAPACITY, SECOND, JournalSpec, ReloadSpec, SupervisionSpec, TransportSpec
from .units import unit_suffix

COUNT_MAX: Final = 100_000
"""Most engines of one entry: as many as one process can hold idle."""
WORD_CHARS_MAX: Final = 64
MAILBOX_NUMBER_MAX: Final = 255
RESTARTS_MAX: Final = 10_000
"""Most restarts that are remembered within a period."""
MEMORY_BYTES_MIN: Final = 32 << 20
"""The interpreter does not start with less."""
CPU_NS_MIN: Final = SECOND
"""The kernel counts this limit in whole seconds."""
_SUPERVISION: Final = SupervisionSpec()

_WORD: Final = "[A-Za-z][A-Za-z0-9_-]*"
_NUMBER: Final = "(0|[1-9][0-9]*)"
_BIRTH: Final = r"(\.[1-9][0-9]*)?(~[1-9][0-9]*)?"
"""Behind a word: the number within a counted entry or among the children, and the birth."""
_END: Final = r"$(?!\n)"
"""The end of the text; `$` alone also matches before a final line end."""


def _all_of(pattern: str, description: str, chars_max: int | None = None) -> Meta:
    """Text that matches a pattern from its beginning to its end."""
    return Meta(pattern=f"^{pattern}{_END}", max_length=chars_max, description=description)


Word = Annotated[str, _all_of(_WORD, "a name: a letter, then letters, digits, `_` or `-`", WORD_CHARS_MAX)]
FamilyRef = Annotated[str, _all_of(FAMILY, "a family as `package.module:NAME`")]
EngineName = Annotated[str, _all_of(f"{_WORD}{_BIRTH}(/[A-Za-z0-9_-]+{_BIRTH})*", "the name of an engine")]
PlacementText = Annotated[
    str, _all_of(f"(process|one|group {_WORD}|core {_NUMBER})", "`process`, `group NAME`, `core N` or `one`")
]
MailboxNumber = Annotated[
    str,
    _all_of("(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])", f"the number of a mailbox, 0 to {MAILBOX_NUMBER_MAX}"),
]
Items = Annotated[int, Meta(ge=1, le=2**31)]
Duration = Annotated[int, Meta(ge=0, le=2**53)]
"""Up to a hundred days, in nanoseconds."""
Period = Annotated[int, Meta(ge=1, le=2**53)]
Restarts = Annotated[
    Annotated[int, Meta(ge=0, le=RESTARTS_MAX)] | Literal["off"],
    Meta(description=f"a whole number from 0 to {RESTARTS_MAX}, or `off`"),
]


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base: a mapping of the file; unknown keys are mistakes."""


class MailboxEntry(FileEntry, frozen=True):
    """Bounds of one mailbox; policy `wait` stops senders, the other policies make dead letters.

    `capacity` bounds the waiting messages; `stored_max` bounds the stored ones and overrides the family's `Box`.
    """

    capacity: Items = MAILBOX_CAPACITY
    policy: Literal["drop-oldest", "reject", "wait"] = "wait"
    stored_max: Annotated[int, Meta(ge=0, le=2**31)] | msgspec.UnsetType = msgspec.UNSET


class LimitsEntry(FileEntry, frozen=True):
    """Limits of the engine's process: memory for data, and processor time over its whole life."""

    memory_bytes: Annotated[int, Meta(ge=MEMORY_BYTES_MIN, le=2**53)] | msgspec.UnsetType = msgspec.UNSET
    cpu_ns: Annotated[int, Meta(ge=CPU_NS_MIN, le=2**62)] | msgspec.UnsetType = msgspec.UNSET


class EngineEntry(FileEntry, frozen=True):
    """One engine, or `count` of them, named NAME.1 to NAME.count; NAME then stands for all of them in acquaintances."""

    family: FamilyRef
    config: dict[str, Any] = {}
    state: Any = None
    acquaintances: tuple[EngineName, ...] = ()
    mailboxes: dict[MailboxNumber, MailboxEntry] = {}
    placement: PlacementText | msgspec.UnsetType = msgspec.UNSET
    count: Annotated[int, Meta(ge=1, le=COUNT_MAX)] | msgspec.UnsetType = msgspec.UNSET
    restart: Literal["permanent", "temporary", "transient"] = "permanent"
    shutdown_ns: Duration | msgspec.UnsetType = msgspec.UNSET
    limits: LimitsEntry = LimitsEntry()
    poison: Literal["park", "skip", "stop"] = "skip"
    durability: Literal["crash", "durable", "volatile"] = "volatile"


class GroupEntry(FileEntry, frozen=True):
    """Engines supervised together, like the ordered children of an OTP supervisor. Default bounds: the node's."""

    engines: Annotated[tuple[Word, ...], Meta(min_length=1)]
    strategy: Literal["one_for_all", "one_for_one", "rest_for_one"] = "one_for_one"
    intensity: Restarts | msgspec.UnsetType = msgspec.UNSET
    period_ns: Period | msgspec.UnsetType = msgspec.UNSET


class SupervisionEntry(FileEntry, frozen=True):
    """When processes are restarted, and when they count as stuck. A deadline of 0 means none."""

    intensity: Restarts = INTENSITY
    period_ns: Period = _SUPERVISION.period_ns
    backoff_ns: Duration = _SUPERVISION.backoff_ns
    backoff_max_ns: Duration = _SUPERVISION.backoff_max_ns
    healthy_ns: Duration = _SUPERVISION.healthy_ns
    budget: Restarts = BUDGET
    soft_ns: Duration = _SUPERVISION.soft_ns
    hard_ns: Duration = _SUPERVISION.hard_ns
    start_ns: Duration = _SUPERVISION.start_ns
    groups: dict[Word, GroupEntry] = {}


class PlacementEntry(FileEntry, frozen=True):
    """Default placement of engines, and placement of spawned ones."""

    default: PlacementText = "process"
    spawned: Literal["parent", "process"] = "parent"


class NodeEntry(FileEntry, frozen=True):
    """A node file. `roots` and `data` are folders, relative to the file."""

    node: Word
    engines: Annotated[dict[Word, EngineEntry], Meta(min_length=1)]
    placement: PlacementEntry = PlacementEntry()
    transport: TransportSpec = TransportSpec()
    supervision: SupervisionEntry = SupervisionEntry()
    journal: JournalSpec = JournalSpec()
    reload: ReloadSpec = ReloadSpec()
    roots: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    data: Annotated[str, Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET


def editor_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a node file as typed, with units; for editors."""
    schema = msgspec.json.schema(NodeEntry)
    for definition in schema["$defs"].values():
        for name, field in definition.get("properties", {}).items():
            if suffix := unit_suffix(name):
                definition["properties"][name] = _with_unit(field, suffix)
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "enginehost node file"}
    return title | schema


def _with_unit(field: dict[str, Any], suffix: str) -> dict[str, Any]:
    """An integer field that also accepts a text with a unit."""
    default = {"default": field.pop("default")} if "default" in field else {}
    example = "500ms" if suffix == "_ns" else "64KiB"
    text = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?[A-Za-zµ]+$", "examples": [example]}
    return {"anyOf": [field, text]} | default
