"""Reads saved runs: the output of `bench --json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from bench.rounds import figure_from
from host.live.control.protocol import ControlError


class _Envelope(msgspec.Struct):
    v: int
    kind: str
    items: list[dict[str, Any]]


def load_run(path: str) -> list[dict[str, Any]]:
    """The items of a saved run.

    Raises:
        ControlError: `not_found` if there is no such file, `failed` if it is not output of `bench --json`.
    """
    try:
        stored = msgspec.json.decode(Path(path).read_bytes(), type=_Envelope)
        for item in stored.items:
            figure_from(item)
    except FileNotFoundError:
        raise ControlError("not_found", f"{path}: no such file") from None
    except msgspec.DecodeError as error:
        raise ControlError("failed", f"{path} is not what `enginehost bench --json` prints: {error}") from None
    if stored.kind != "bench":
        raise ControlError("failed", f"{path} holds {stored.kind!r}, not what `enginehost bench --json` prints")
    return stored.items
