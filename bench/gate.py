"""Gates: figures that a run must reach, listed in a YAML file.

    - {suite: oneway, at_least: 0.75, of: limit}             # median by median of another peer of the suite
    - {suite: fanin, at_least: 0.8, of: oneway/enginehost}   # or of another suite
    - {suite: density, at_most: 2048}                        # or the median itself, in the suite's unit
    - {suite: pingpong, peer: Zenoh, at_most: 1e6, figure: p99}
    - {suite: startup, at_most: 1e6, figure: idle_cpu_ns}

`peer` defaults to `enginehost`. `figure` defaults to the median of the rounds; it can name a percentile of single times
(`p50`, `p90`, `p99`, `p999`, `max`) or a detail. A figure that was not measured misses its gate.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from host.live.control.protocol import ControlError


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One figure and its bound; exactly one of `at_least` and `at_most`."""

    suite: str
    peer: str = "enginehost"
    figure: str = "median"
    of: str = ""
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a gate has exactly one of at_least and at_most")

    @property
    def bound(self) -> float:
        """`at_least` or `at_most`."""
        bound = self.at_least if self.at_least is not None else self.at_most
        assert bound is not None
        return bound


class Judged(msgspec.Struct, frozen=True):
    """A gate applied to a run: the figure found, or None if it was not measured."""

    gate: Gate
    found: float | None

    @property
    def held(self) -> bool:
        """Whether the figure was measured and is within the bound."""
        if self.found is None:
            return False
        return self.found >= self.gate.bound if self.gate.at_least is not None else self.found <= self.gate.bound

    def sentence(self) -> str:
        """One line: the figure, its bound, the value found, and the size of a miss."""
        gate = self.gate
        name = f"{gate.suite} {gate.peer}" + (f" {gate.figure}" if gate.figure != "median" else "")
        name += f" / {gate.of}" if gate.of else ""
        wanted = f"{'at least' if gate.at_least is not None else 'at most'} {gate.bound:,.4g}"
        if self.found is None:
            return f"missed: {name}: not measured, {wanted} wanted"
        if self.held:
            return f"held: {name}: {self.found:,.4g}, {wanted} wanted"
        return f"missed: {name}: {self.found:,.4g}, {wanted} wanted, by {abs(self.found / gate.bound - 1):.0%}"


def load_gates(path: str) -> list[Gate]:
    """The gates in a file. Raises `ControlError`: `not_found`, or `usage` for a file without gates."""
    try:
        gates = msgspec.yaml.decode(Path(path).read_bytes(), type=list[Gate], strict=False)
    except FileNotFoundError:
        raise ControlError("not_found", f"{path}: no such file") from None
    except msgspec.DecodeError as error:
        raise ControlError("usage", f"{path} is not a list of gates: {error}") from None
    if not gates:
        raise ControlError("usage", f"{path} has no gates")
    return gates


def judge(gates: list[Gate], items: list[dict[str, Any]]) -> list[Judged]:
    """Every gate with the run's figure for it, in order."""
    known = {(item["suite"], item["peer"]): item for item in items}
    return [Judged(gate, _found(gate, known)) for gate in gates]


def _found(gate: Gate, known: dict[tuple[str, str], dict[str, Any]]) -> float | None:
    value = _figure(known.get((gate.suite, gate.peer)), gate.figure)
    if value is None or not gate.of:
        return value
    suite, _, peer = gate.of.rpartition("/")
    other = _figure(known.get((suite or gate.suite, peer)), gate.figure)
    return value / other if other else None


def _figure(item: dict[str, Any] | None, name: str) -> float | None:
    if item is None or not item.get("values"):
        return None
    found = item.get("median") if name == "median" else {**item.get("detail", {}), **item.get("taken_ns", {})}.get(name)
    return float(found) if found is not None else None
