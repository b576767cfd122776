"""Births in a slot: of engines a node file names, and of children that engines here spawn.

Families are found by a callable, since finding one means importing it. The policy decides where a child is placed:
beside its parent, or by the node. Devices are always placed by the node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from engines.model import Configuration, Declaration, Family, Spawned, birth, birth_values, encode
from engines.model.birth import newborn
from engines.model.blame import blame
from host.config.convert import ConversionError
from host.config.engine_values import convert_engine
from host.config.spec import EngineSpec
from host.node.cell import Cell
from host.node.news import Event
from host.node.report import Offspring

if TYPE_CHECKING:
    from host.node.scheduler import Scheduler


class BirthRefusedError(Exception):
    """An engine cannot be born: its parameters, state or mailboxes are not those of its family."""


class Births:
    """How engines of one node are born in one slot."""

    def __init__(self, node: str, load: Callable[[str], Declaration[Any, Any, Any]], are_here: bool) -> None:
        self.node = node
        self.load = load
        self.are_here = are_here
        self.durability_of: Callable[[Cell], Literal["volatile", "crash", "durable"]] = lambda cell: "volatile"

    def bear(self, scheduler: Scheduler, spec: EngineSpec, parent: str | None, number: int) -> Cell | None:
        """An engine by its spec; None when the name is or was in use. Raises `BirthRefusedError`, and as `load`."""
        family = self.load(spec.family)
        if not isinstance(family, Family):
            raise BirthRefusedError(f"{spec.family} is a device, and this process has no event loop")
        configuration, state = self.configure(family, spec, parent, number)
        env = birth(family, configuration, now_ns=scheduler.clock(), state=state, acquaintances=spec.acquaintances)
        cell = scheduler.give_birth(family, configuration, env, spec.mailboxes)
        if cell is not None and spec.durability != "volatile":
            cell.poison = spec.child.poison
        return cell

    def configure(
        self, family: Declaration[Any, Any, Any], spec: EngineSpec, parent: str | None, number: int
    ) -> tuple[Configuration[Any], Any]:
        """Identity with parameters, and the first state, as a spec gives them. Raises `BirthRefusedError`."""
        unknown = sorted(set(spec.mailboxes) - set(family.boxes))
        if unknown:
            raise BirthRefusedError(f"{family.name} has no mailbox {unknown[0]}")
        try:
            params, state = convert_engine(family, spec.params, spec.state)
        except ConversionError as error:
            raise BirthRefusedError(str(error)) from error
        return Configuration(self.node, spec.name, parent, params, number), state

    def bear_spawned(self, scheduler: Scheduler) -> None:
        """Give birth to the children of the last run, before its messages leave: one may be for such a child."""
        for cell, outputs in scheduler.turns.outputs:
            for output in outputs:
                if isinstance(output, Spawned):
                    self.spawn(scheduler, cell, output)
        scheduler.turns.has_spawned = False

    def spawn(self, scheduler: Scheduler, cell: Cell, spawned: Spawned) -> None:
        """Perform a spawn of `cell`. Repeated by name it does nothing."""
        if spawned.name in scheduler.cells or spawned.name in scheduler.ended:
            return
        child = self._child_spec(cell, spawned)
        family = spawned.declared
        is_here = self.are_here and (family is None or isinstance(family, Family))
        if is_here:
            is_here = self._spawn_here(scheduler, cell, spawned, child)
        if family is not None and not isinstance(family, Family):
            child = msgspec.structs.replace(child, durability="volatile")  # a device has no journal
        scheduler.report.spawned.append(Offspring(child, cell.name, is_here, scheduler.cells.get(spawned.name)))

    def _spawn_here(self, scheduler: Scheduler, cell: Cell, spawned: Spawned, child: EngineSpec) -> bool:
        family = spawned.declared
        try:
            if family is None:
                family = self.load(spawned.family)
            if not isinstance(family, Family):
                return False
            params, state = birth_values(family, spawned.params, spawned.state)
            configuration = Configuration(self.node, spawned.name, cell.name, params)
            env = newborn(family, configuration, state, (cell.name,))
        except BaseException as error:
            fields = {"child": spawned.name, "family": spawned.family, "error": blame(error)[0]}
            scheduler.report.events.append(Event("spawn_failed", cell.name, fields))
            return True
        scheduler.give_birth(family, configuration, env, child.mailboxes)
        return True

    def _child_spec(self, cell: Cell, spawned: Spawned) -> EngineSpec:
        return EngineSpec(
            name=spawned.name,
            family=spawned.family,
            params=plain(spawned.params) or {},
            state=plain(spawned.state),
            acquaintances=(cell.name,),
            durability=self.durability_of(cell),
        )


def plain(value: Any) -> Any:
    """A value as builtins, as the node file or the wire would hold it."""
    return None if value is None else msgspec.msgpack.decode(encode(value))
