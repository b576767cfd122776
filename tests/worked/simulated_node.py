"""A node of one of `configs`, simulated: as `LiveNode`, for the same tests. Nothing waits; time moves as it must."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from live_node import CommandError

from engines.model import view
from host.sim import World
from host.sim.families import SimError

LOOKS_MAX = 10_000
LOOK_NS = 10_000_000


class SimulatedNode:
    """A world, looked at as commands would show it."""

    def __init__(self, config: Path, seed: int) -> None:
        self.world = World(config, seed=seed)

    def send(self, engine: str, tag: str, awaited: str = "", **fields: str) -> None:
        """One message."""
        if engine in self._ended():
            raise CommandError((engine, tag), 4, "ended")
        self.world.send_text(engine, tag, *(f"{name}={value}" for name, value in fields.items()), awaited=awaited)
        self.world.stabilize()

    def ask(self, engine: str, tag: str, answer: str, **fields: str) -> dict[str, Any]:
        """The answer to a message, without its type."""
        before = len(self.world.received())
        self.send(engine, tag, awaited=answer, **fields)
        [item] = map(view, self.world.received()[before:])
        assert item.pop("type") == answer
        found: dict[str, Any] = item
        return found

    def state(self, engine: str) -> Any:
        """The state of an engine."""
        return view(self.world.state(engine))

    def engines(self) -> dict[str, dict[str, Any]]:
        """What `ps` says, by name."""
        residents = self.world.node.directory
        cells = {resident.name: self.world.cell(resident.name) for resident in residents}
        waits = self.world.node.waits
        return {
            name: {"handled": cell.handled, "waits_for": list(waits[name].options) if name in waits else None}
            for name, cell in cells.items()
        }

    def until_handled(self, **handled: int) -> None:
        """Let time pass until these engines have handled so many messages."""
        self.until(
            f"handled {handled}",
            lambda: {name: engine["handled"] for name, engine in self.engines().items()},
            lambda found: all(found[name] >= n for name, n in handled.items()),
        )

    def until_state(self, engine: str, state: Any) -> None:
        """Let time pass until an engine is in this state."""
        self.until(f"{engine} in state {state}", lambda: self.state(engine), lambda found: bool(found == state))

    def until(self, wanted: str, probe: Callable[[], Any], holds: Callable[[Any], bool] = bool) -> Any:
        """What `probe` finds once it holds."""
        for _ in range(LOOKS_MAX):
            self.world.stabilize()
            if holds(found := probe()):
                return found
            self.world.run(LOOK_NS)
        raise AssertionError(f"not within {LOOKS_MAX} looks: {wanted}; found {found}")

    def run(self, command: str, *arguments: str) -> list[dict[str, Any]]:
        """The commands that the worked examples use, beside sending."""
        match (command, *arguments):
            case ("dead-letters",):
                return [msgspec.structs.asdict(letter) for letter in self.world.dead_letters]
            case ("timers", engine):
                return [{"name": name} for name in self.world.env(engine).timers]
            case ("mailbox", engine):
                boxes = [box for box in self.world.env(engine).mailboxes if box is not None]
                return [{"stored": [{"message": view(one.message)} for one in box.stored]} for box in boxes]
            case ("answer", engine, choice):
                self.world.answer(engine, choice)
            case ("reload", engine, "--to", family):
                self.world.reload(engine, family)
                self.world.stabilize()
                assert self.world.events[-1].kind == "reloaded", self.world.events[-1]
            case other:
                raise SimError(f"no worked example needs {other}")
        return []

    def _ended(self) -> set[str]:
        return {event.engine for event in self.world.events if event.kind == "ended"}
