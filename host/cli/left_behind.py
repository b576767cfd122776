"""Reads the data folder of a node that is down: its events, its log, its dead letters."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from host.cli.output import diagnose
from host.cli.problem import CliError
from host.cli.settings import settings

DEPTH: Final = 3
"""Levels of folders that are searched for data folders, this one included."""

EVENTS: Final = "events.jsonl"

Item = dict[str, Any]


def read_left_behind(op: str, args: dict[str, Any], error: CliError) -> list[Item]:
    """The items of `events`, `logs` or `dead_letters` with these arguments; prints the folder they come from.

    Raises `error` (no node runs) if there is no such folder, and `CliError`: `conflict` if there are several.
    """
    data = _data_folder(error)
    diagnose(f"the node is down; shown from {data}")
    if op == "dead_letters":
        return _letters(data, args)
    lines = _lines(os.path.join(data, f"{op}.jsonl"), args.get("engine") or "")
    return [item for item, _ in zip(lines, range(args["limit"]), strict=False)][::-1]


def _data_folder(error: CliError) -> str:
    if settings().file is not None:
        from host.cli.node_file import load_node_file, node_file

        found = [load_node_file(node_file(None)).data]
    else:
        patterns = ("*/" * depth + ".enginehost/*" for depth in range(DEPTH))
        found = [os.path.abspath(path) for pattern in patterns for path in sorted(glob.glob(pattern))]
    found = [path for path in found if os.path.isfile(os.path.join(path, EVENTS))]
    if len(found) > 1:
        text = f"{error.problem.message}; {len(found)} data folders are here: {', '.join(map(os.path.relpath, found))}"
        raise CliError("conflict", f"{text}; choose one with --file CONFIG") from error
    if not found:
        raise error
    return found[0]


def _lines(path: str, engine: str) -> Iterator[Item]:
    """The newest first. Skips lines that a kill or a full disk cut short."""
    for name in (path, f"{path}.1"):
        if not os.path.exists(name):
            continue
        with open(name, "rb") as file:
            lines = file.read().splitlines()
        for line in reversed(lines):
            try:
                item = msgspec.json.decode(line, type=Item)
            except msgspec.MsgspecError:
                continue
            if not engine or item.get("engine") == engine:
                yield item


def _letters(data: str, args: dict[str, Any]) -> list[Item]:
    from host.live.supervisor.kept_letters import LETTERS

    try:
        with open(os.path.join(data, LETTERS), "rb") as file:
            kept = msgspec.msgpack.decode(file.read())
    except (OSError, msgspec.MsgspecError):
        return []
    if args["counts"]:
        return [{"reason": reason, "count": count} for reason, count in sorted(kept["counts"].items())]
    engine = args["engine"]
    letters = [item for item in kept["letters"] if not engine or engine in (item["sender"], item["target"])]
    return letters[-args["limit"] :]
