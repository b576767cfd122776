"""What `enginehost tx` shows: outcomes, changes and values, as plain data and for people."""

from __future__ import annotations

from typing import Any

from engines.interaction.client import number_of, text_of
from host.cli.output import Items


def outcome_of(summary: dict[str, Any]) -> dict[str, Any]:
    """An outcome, of a summary."""
    return {
        "tx": summary["tx_hash"],
        "state": "failed" if summary["error"] else "done",
        "height": summary["height"],
        "timestamp": summary["timestamp"],
        "gas": summary["gas"],
        "error": summary["error"],
        "writes": _accesses(summary["values_written"]),
    }


def change_of(change: dict[str, Any]) -> dict[str, Any]:
    """A change, with what it wrote as values for scripts."""
    return {**change, "writes": _accesses(change["writes"])}


def _accesses(accesses: Items) -> list[dict[str, Any]]:
    return [{"key": one["key"], **value_of(one["datum"])} for one in accesses]


def value_of(datum: str | None) -> dict[str, Any]:
    """A value for scripts: its bytes in hex, and the number that it is, if it is one; None for absent."""
    if datum is None:
        return {"datum": None, "number": None}
    return {"datum": datum, "number": number_of(bytes.fromhex(datum[2:]))}


def render_outcomes(items: Items) -> str:
    """A block for each transaction: id, height and outcome, then what it wrote."""
    lines = []
    for item in items:
        if item["state"] == "accepted":
            lines.append(f"{item['tx']}  accepted; enginehost tx status {item['number']}")
            continue
        outcome = f"failed: {item['error']}" if item["error"] else "done"
        lines.append(f"{item['tx']}  height {item['height']}  {outcome}")
        lines += [f"  {_key(one)} = {_text(one)}" for one in item["writes"]]
    return "\n".join(lines)


def render_value(items: Items) -> str:
    """The value, or `absent`."""
    return "\n".join(map(_text, items))


def render_changes(items: Items) -> str:
    """A line for each transaction: cursor, height, id, what it wrote."""
    return "\n".join(
        f"{item['timestamp']}  height {item['height']}  {item['tx_hash'][:18]}…  "
        + (
            f"failed: {item['error']}"
            if item["error"]
            else ", ".join(f"{_key(o)} = {_text(o)}" for o in item["writes"])
        )
        for item in items
    )


def _key(item: dict[str, Any]) -> str:
    return text_of(_raw(item["key"])).strip('"')


def _text(item: dict[str, Any]) -> str:
    return "absent" if item["datum"] is None else text_of(_raw(item["datum"]))


def _raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else bytes.fromhex(value[2:])
