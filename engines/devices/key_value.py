"""A key-value store: bytes by key, in one file or folder of this machine.

A change that was answered survives a loss of power (`engines/devices/table_orders.py`). `respond` reads and changes a
table; it is the behaviour of both, driver and twin, whatever keeps the table: sqlite3, LMDB (extra `lmdb`), or the
twin's `Map`. Repeating an order is harmless: a change says what is there after it, not how it differs.

Bounds: `KEY_BYTES_MAX`, `VALUE_BYTES_MAX`, `CHANGES_MAX` a batch, `SCAN_MAX` entries and `SCAN_BYTES_MAX` bytes an
answer. An order beyond them is refused, and changes nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta

from engines.devices.table_orders import serve_orders
from engines.devices.tables import LmdbTable, MapTable, SqliteTable, Table
from engines.model import (
    Arrived,
    Become,
    Config,
    Device,
    DeviceHost,
    Effects,
    Family,
    Map,
    Message,
    Ref,
    Send,
    Value,
    rule,
)

KEY_BYTES_MAX: Final = 480
"""LMDB holds keys of 511 bytes."""

VALUE_BYTES_MAX: Final = 1 << 20
"""Larger values belong in a file store."""

CHANGES_MAX: Final = 1_000
SCAN_MAX: Final = 1_000
SCAN_BYTES_MAX: Final = 4 << 20

Key: TypeAlias = Annotated[bytes, Meta(min_length=1, max_length=KEY_BYTES_MAX)]


class KeyValueFile(Config):
    """Where the table is; a relative path begins at the folder in which the node was started.

    `size_bytes_max` bounds the whole table; beyond it changes are refused. The twin does not look at it.
    """

    path: str
    backend: Literal["sqlite", "lmdb"] = "sqlite"
    size_bytes_max: Annotated[int, Meta(ge=1 << 20)] = 16 << 30


class GetValue(Message):
    """Send the value of `key`."""

    key: Key
    destination: Ref[ValueRead | ValueRefused]
    request: int = 0


class ValueRead(Message):
    """The value; None if there is none."""

    key: bytes
    value: bytes | None
    request: int


class SetValue(Message):
    """Let `key` have `value`."""

    key: Key
    value: Annotated[bytes, Meta(max_length=VALUE_BYTES_MAX)]
    destination: Ref[ValueChanged | ValueRefused]
    request: int = 0


class DeleteValue(Message):
    """Let `key` have no value."""

    key: Key
    destination: Ref[ValueChanged | ValueRefused]
    request: int = 0


class ValueChanged(Message):
    """From this time on, on this machine's disk, `key` has `value`; None: it has none."""

    key: bytes
    value: bytes | None
    time_ns: int
    request: int


class Change(Value):
    """One change of a batch; None deletes."""

    key: Key
    value: Annotated[bytes, Meta(max_length=VALUE_BYTES_MAX)] | None


class ChangeValues(Message):
    """Make all these changes, in order, or none."""

    changes: Annotated[tuple[Change, ...], Meta(max_length=CHANGES_MAX)]
    destination: Ref[ValuesChanged | ValueRefused]
    request: int = 0


class ValuesChanged(Message):
    """All changes of a batch are on the disk."""

    count: int
    time_ns: int
    request: int


class ScanValues(Message):
    """Send entries from key `first` on, with `prefix`, in order of keys; at most `count`, and no more than fit."""

    prefix: Annotated[bytes, Meta(max_length=KEY_BYTES_MAX)]
    destination: Ref[ValuesScanned | ValueRefused]
    first: Annotated[bytes, Meta(max_length=KEY_BYTES_MAX + 1)] = b""
    count: Annotated[int, Meta(ge=1, le=SCAN_MAX)] = SCAN_MAX
    request: int = 0


class Entry(Value):
    """A key and its value."""

    key: bytes
    value: bytes


class ValuesScanned(Message):
    """The entries; `following` is the key with which to go on, b"" after the last entry."""

    entries: tuple[Entry, ...]
    following: bytes
    request: int


class ValueRefused(Message):
    """Nothing was done, for this reason."""

    reason: Literal["full"]
    detail: str
    request: int


Order: TypeAlias = GetValue | SetValue | DeleteValue | ChangeValues | ScanValues
Answer: TypeAlias = ValueRead | ValueChanged | ValuesChanged | ValuesScanned | ValueRefused


def respond(order: Order, table: Table, now_ns: int) -> Answer:
    """Reads or changes the table, and returns the answer to send once that is on the disk."""
    match order:
        case GetValue():
            return ValueRead(order.key, table.get(order.key), order.request)
        case SetValue():
            table.put(order.key, order.value)
            return ValueChanged(order.key, order.value, now_ns, order.request)
        case DeleteValue():
            table.put(order.key, None)
            return ValueChanged(order.key, None, now_ns, order.request)
        case ChangeValues():
            for change in order.changes:
                table.put(change.key, change.value)
            return ValuesChanged(len(order.changes), now_ns, order.request)
        case ScanValues():
            return _scanned(order, table)


def _scanned(order: ScanValues, table: Table) -> ValuesScanned:
    first = max(order.first, order.prefix)
    found = table.entries(first, order.prefix, order.count + 1)
    taken, size = 0, 0
    for key, value in found[: order.count]:
        size += len(key) + len(value)
        if taken and size > SCAN_BYTES_MAX:
            break
        taken += 1
    following = found[taken][0] if taken < len(found) else b""
    return ValuesScanned(tuple(Entry(*entry) for entry in found[:taken]), following, order.request)


class KeyValueStore:
    """The driver."""

    async def run(self, host: DeviceHost) -> None:
        """Run until cancelled. Raises OSError or the backend's error when the table cannot be opened or written."""
        open_table = LmdbTable if host.config.backend == "lmdb" else SqliteTable
        await serve_orders(host, open_table, respond, _refused)


def _refused(order: Order, detail: str) -> Answer:
    return ValueRefused("full", detail, order.request)


class Entries(Value):
    """State of the twin."""

    values: Map[bytes, bytes] = Map()


@rule
def serve(
    order: Order,
    t: Arrived[GetValue | SetValue | DeleteValue | ChangeValues | ScanValues, KeyValueFile, Entries],
) -> Effects[Entries, Any]:
    """Twin. State: the changes. Messages: the answer, to the destination. Timers, engines: none."""
    table = MapTable(t.env.state.values)
    answer = respond(order, table, t.now_ns)
    destination: Ref[Any] = order.destination
    return [Become(Entries(table.values)), Send(destination, answer)]


TWIN = Family("key-value-twin", config=KeyValueFile, state=Entries(), accepts=Order, emits=Answer).rules(serve)
KEY_VALUE = Device("key-value", config=KeyValueFile, accepts=Order, emits=Answer, driver=KeyValueStore, twin=TWIN)
