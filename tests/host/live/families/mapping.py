"""An engine whose state holds maps of structs: rows that change one by one, in the ways that are asked for."""

from __future__ import annotations

from typing import Any, Final

from engines.model import Arrived, Effects, Family, Map, Message, Value, rule


class Cell(Value):
    """A part of a row."""

    number: int
    datum: bytes | None = None


class Row(Value):
    """A value of the map."""

    cells: tuple[Cell, ...] = ()
    name: str = ""


class Table(Value):
    """The state: a map of structs, one of plain values, and one of floats."""

    rows: Map[bytes, Row] = Map()
    counts: Map[int, int] = Map()
    levels: Map[str, float] = Map()


class SetRow(Message):
    """Change the table under a key, in a way of `WAYS`."""

    way: str
    key: bytes


def _cells(table: Table, key: bytes) -> tuple[Cell, ...]:
    return table.rows.get(key, Row()).cells


def _row(table: Table, key: bytes, row: Any) -> Table:
    return Table(table.rows.set(key, row), table.counts, table.levels)


WAYS: Final[dict[str, Any]] = {
    "grow": lambda table, key: _row(table, key, Row((*_cells(table, key), Cell(len(_cells(table, key)), key)))),
    "shrink": lambda table, key: _row(table, key, Row(_cells(table, key)[1:], "shrunk")),
    "remove": lambda table, key: Table(table.rows.without(key), table.counts, table.levels),
    "count": lambda table, key: Table(table.rows, table.counts.set(len(key), len(table.rows)), table.levels),
    "int for float": lambda table, key: Table(table.rows, table.counts, table.levels.set("level", 1)),
    "another map": lambda table, key: Table(Map({key: Row()}), table.counts, table.levels),
    "large key": lambda table, key: Table(table.rows, table.counts.set(2**70, 1), table.levels),
    "large value": lambda table, key: Table(table.rows, table.counts.set(1, 2**70), table.levels),
    "large cell": lambda table, key: _row(table, key, Row((Cell(2**70),))),
    "bool cell": lambda table, key: _row(table, key, Row((Cell(True),))),
    "odd text": lambda table, key: _row(table, key, Row((), "\ud800")),
    "other key": lambda table, key: _row(table, "text", Row()),  # type: ignore[arg-type]
    "other value": lambda table, key: _row(table, key, Cell(1)),
    "no map": lambda table, key: Table({}, table.counts, table.levels),
}
"""From the table and a key to the next table. From `large key` on they break the value law."""

KEPT: Final = tuple(WAYS)[:6]


@rule
def set_row(order: SetRow, t: Arrived[SetRow, None, Table]) -> Effects[Table, Any]:
    """State: changed in the way of the order. Messages, timers, engines: none."""
    table: Table = WAYS[order.way](t.env.state, order.key)
    return table


MAPPING = Family("mapping", state=Table(), accepts=SetRow).rules(set_row)
