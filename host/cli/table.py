"""Column tables as plain text: aligned, no borders, the same in a pipe and in a terminal that is wide enough.

Widths assume one cell per character. This is true for ASCII and Latin letters, and so for engine names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from host.chart.escapes import one_line
from host.cli.output import Items

GAP: Final = "  "

SHRUNK_MIN: Final = 20
"""Characters that a shortened cell keeps at least: `…timestamping:SERVER`. In a narrower terminal, lines wrap."""


class Column(NamedTuple):
    """A heading, what it shows of an item, and the layout of its cells.

    Args:
        key: of the value shown; "" for the item itself.
        show: the text of that value.
        number: align cells to the right.
        shrinks: if lines are too long, cells may lose their beginning, down to `SHRUNK_MIN` characters.
        drop: if lines are too long, columns with a `drop` are left out, the largest first. 0: never.
    """

    title: str
    key: str = ""
    show: Callable[[Any], str] = str
    number: bool = False
    shrinks: bool = False
    drop: int = 0


def or_dash(value: object) -> str:
    """A value that may be missing."""
    return str(value or "-")


def render_items(columns: Sequence[Column], items: Items, width: int | None = None) -> str:
    """A table of items, one per row. A value that an item lacks, from a node of another version, is left blank."""
    return render_table(columns, [[_cell(column, item) for column in columns] for item in items], width)


def render_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """The headings, then one line per row; no line ends in blanks.

    If lines are longer than `width`, columns with a `drop` are left out and named in a last line, and cells that
    shrink are cut, with a mark. Control characters are escaped.
    """
    cells = [[c.title for c in columns], *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    if width is None:
        return "\n".join(_line(row, columns, widths) for row in cells)
    kept = _kept(columns, widths, width)
    shown = [columns[i] for i in kept]
    fitted = _fitted(shown, [widths[i] for i in kept], width)
    lines = [_line([row[i] for i in kept], shown, fitted) for row in cells]
    left_out = [column.title for column in columns if column not in shown]
    return "\n".join([*lines, *([f"left out in {width} columns: {', '.join(left_out)}"] if left_out else [])])


def render_tree(value: Any, indent: str = "") -> str:
    """A nested value as indented `key: value` lines, similar to a node file."""
    match value:
        case dict() if value:
            return "\n".join(_branch(f"{indent}{one_line(k)}:", v, indent) for k, v in value.items())
        case list() | tuple() if _nested(value):
            return "\n".join(_branch(f"{indent}-", v, indent) for v in value)
        case _:
            return indent + leaf(value)


def leaf(value: Any) -> str:
    """A value on one line: text without quotes and with its control characters escaped, bytes as 0x…, collections in
    brackets."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case bytes():
            return "0x" + value.hex()
        case dict():
            return "{" + ", ".join(f"{one_line(k)}: {leaf(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(leaf(v) for v in value) + "]"
        case _:
            return one_line(value)


def _cell(column: Column, item: dict[str, Any]) -> str:
    if not column.key:
        return column.show(item)
    return column.show(item[column.key]) if column.key in item else ""


def _kept(columns: Sequence[Column], widths: list[int], width: int) -> list[int]:
    """Indexes of the columns to keep, so lines fit when all cells are cut as far as possible."""
    kept = list(range(len(columns)))

    def least() -> int:
        cut = (min(widths[i], SHRUNK_MIN) if columns[i].shrinks else widths[i] for i in kept)
        return sum(cut) + len(GAP) * (len(kept) - 1)

    while least() > width and (worst := max(kept, key=lambda i: columns[i].drop)) and columns[worst].drop:
        kept.remove(worst)
    return kept


def _fitted(columns: Sequence[Column], widths: list[int], width: int) -> list[int]:
    """Column widths for lines of `width`, as far as columns that shrink allow."""
    surplus = sum(widths) + len(GAP) * (len(widths) - 1) - width
    fitted = list(widths)
    for i, column in enumerate(columns):
        if column.shrinks and surplus > 0:
            fitted[i] = max(min(widths[i], SHRUNK_MIN), widths[i] - surplus)
            surplus -= widths[i] - fitted[i]
    return fitted


def _line(row: Sequence[str], columns: Sequence[Column], widths: list[int]) -> str:
    cut = (cell if len(cell) <= w else "…" + cell[1 - w :] for cell, w in zip(row, widths, strict=True))
    padded = (c.rjust(w) if k.number else c.ljust(w) for c, k, w in zip(cut, columns, widths, strict=True))
    return GAP.join(padded).rstrip()


def _branch(head: str, value: Any, indent: str) -> str:
    return f"{head}\n{render_tree(value, indent + '  ')}" if _nested(value) else f"{head} {leaf(value)}"


def _nested(value: Any) -> bool:
    """Whether a value needs its own lines: an object, or a list that contains collections."""
    if isinstance(value, dict):
        return bool(value)
    return isinstance(value, list | tuple) and any(isinstance(v, dict | list | tuple) and v for v in value)


def other_code_note(item: dict[str, object]) -> list[str]:
    """A line about journal turns of versions whose code was not kept, if there are any."""
    other = item.get("other_code")
    if not isinstance(other, list) or not other:
        return []
    return [f"the present code ran turns of other code, which is not kept: {', '.join(map(str, other))}"]
