"""A world: a simulated node, the outside, virtual time. What tests of engines, scripts and the command use.

    world = World({"ann": PLAYER, "ben": PLAYER})
    world.send("ann", Serve(Ref("ben"), 6))
    world.run()

The same seed, faults and calls give the same world, byte for byte, whatever the hash seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from msgspec.structs import replace

from engines.model import Environment, Family
from engines.model.system_view import SystemView
from host.config.load import load_node
from host.config.placement import SlotPlan, lay_out
from host.config.spec import EngineSpec, MailboxSpec, NodeSpec, Placement
from host.config.units import parse_quantity
from host.node.births import Births, plain
from host.node.cell import Cell
from host.node.news import Event, Letter
from host.node.routing import Missing, Resident
from host.sim.agenda import Agenda, Chance
from host.sim.cycles import Cycles
from host.sim.families import AtHand, Families, SimError
from host.sim.faults import FaultPlan, Faults, parse_faults
from host.sim.lanes import Lane
from host.sim.messages import message_from_text
from host.sim.node import OUTSIDE, SimNode
from host.sim.outside import Outside, decoded
from host.sim.perform import kill_process, start_all
from host.sim.process import PLACES, Kill, Killed, Where
from host.sim.properties import Property, check_property
from host.sim.record import RunRecord
from host.sim.reports import take_report
from host.sim.slots import SimSlot
from host.sim.view import view_of

BEGAN_NS: Final = 1_000_000_000_000_000_000
"""The engines' clock at the begin: a time of day in 2001, so that no engine relies on small numbers."""

STEPS_MAX: Final = 1_000_000
"""Entries of the agenda in a run without a duration; engines with something left after that may never rest."""


class Restless(Exception):
    """Engines still had work or timers after `STEPS_MAX` steps."""


class World:
    """Mutable. Give it a node file, a `NodeSpec`, or families by engine name; `add` adds engines before it starts.

    Args:
        seed: of all chance.
        faults: what can go wrong, as `host.sim.faults` describes; none by default.
        only: ids of the faults that happen, of all that the seed would bring.
        trace: keep a text of everything that happens in `trace`.
        twins: families for devices that declare none, by the names of the devices.
        families: those of an earlier world of the same node, which are not loaded again.

    Raises `SimError`, `LoadError`, `ConfigErrors`, `FaultError`, `BirthRefusedError` for what cannot be simulated.
    """

    def __init__(
        self,
        node: str | Path | NodeSpec | Mapping[str, AtHand] | None = None,
        *,
        seed: int = 0,
        faults: str | FaultPlan = "",
        only: Iterable[str] | None = None,
        trace: bool = False,
        twins: Mapping[str, Family[Any, Any, Any, Any]] | None = None,
        families: Families | None = None,
    ) -> None:
        at_hand: Mapping[str, AtHand] = node if isinstance(node, Mapping) else {}
        spec = _spec(node)
        chance = Chance(seed)
        plan = parse_faults(faults) if isinstance(faults, str) else faults
        self.agenda = Agenda(chance, BEGAN_NS)
        self.faults = Faults(plan, chance, None if only is None else frozenset(only))
        self.record = RunRecord(self.agenda, has_trace=trace)
        self._families = families or Families(spec.roots, twins or {})
        self._spec = spec
        self._chance = chance
        self._node: SimNode | None = None
        self._properties: list[tuple[str, Property]] = []
        for name, family in at_hand.items():
            self.add(name, family)

    # --- engines ------------------------------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        family: AtHand | str,
        config: Any = None,
        *,
        state: Any = None,
        acquaintances: Iterable[str] = (),
        placement: str = "process",
        durability: Literal["volatile", "crash", "durable"] = "volatile",
        mailboxes: Mapping[int, MailboxSpec] | None = None,
    ) -> None:
        """An engine more, before the world starts. `placement` is `process`, `one` or `group NAME`."""
        if self._node is not None:
            raise SimError(f"{name}: the world has started; add engines before the first `send` or `run`")
        kind, _, group = placement.partition(" ")
        if kind not in ("process", "one", "group"):
            raise SimError(f"{name}: `{placement}` is no placement; write process, one, or group NAME")
        engine = EngineSpec(
            name=name,
            family=family if isinstance(family, str) else self._families.ref_of(family),
            params=plain(config) or {},
            state=plain(state),
            acquaintances=tuple(acquaintances),
            placement=Placement(kind, group),  # type: ignore[arg-type]
            durability=durability,
            mailboxes=dict(mailboxes or {}),
        )
        self._spec = replace(self._spec, engines=(*self._spec.engines, engine))

    @property
    def node(self) -> SimNode:
        """The node; it starts at the first use."""
        return self._node or self._start()

    def _start(self) -> SimNode:
        families, spec = self._families, self._spec
        for engine in spec.engines:
            families.load(engine.family)
            if engine.family in families.devices and engine.durability != "volatile":
                raise SimError(f"{engine.name}: {engine.family} is a device, which has no journal")
        plans = lay_out(spec.engines, frozenset(e.name for e in spec.engines if e.family in families.devices))
        node = self._node = SimNode(spec, families.load, self.agenda, self._chance, self.faults, self.record)
        self.cycles = Cycles(node, plans)
        self.outside = Outside(node, self._decode)
        node.take_report = lambda process: take_report(node, process)
        node.run_cycle = self._run_cycle
        node.on_memory_lost = self.outside.begin_again
        _refuse_births(node, plans)
        start_all(node, plans)
        failed = [event for event in self.record.events if event.kind == "engine_failed"]
        if failed:
            raise SimError(f"{failed[0].engine} cannot start: {failed[0].fields['reason']}")
        return node

    def _run_cycle(self, slot: SimSlot) -> None:
        self.cycles.run(slot)
        if self._properties:
            self.check()

    # --- what happens -------------------------------------------------------------------------------------------------

    def send(self, target: str, *messages: Any, sender: str = "outside", mailbox: int = 0) -> None:
        """Send messages from outside. Answers to `sender` are in `received(sender)`."""
        self.node  # noqa: B018 - starts it
        self.outside.listen(sender)
        for message in messages:
            self.outside.send(sender, target, mailbox, message)

    def send_text(self, target: str, tag: str, *fields: str, sender: str = "outside", awaited: str = "") -> None:
        """Send a message from text, as `enginehost send TARGET TAG FIELD=VALUE… --wait AWAITED`. Raises `SimError`."""
        engine, _, number = target.partition("#")
        mailbox = int(number) if number.isdecimal() else 0
        family = self._families.load(self._resident(engine).spec.family)
        message = message_from_text(family, engine, mailbox, tag, fields, sender, awaited)
        self.send(engine, message, sender=sender, mailbox=mailbox)

    def received(self, name: str = "outside") -> list[Any]:
        """The messages sent to a name outside; it listens from the first call on."""
        self.node  # noqa: B018
        return self.outside.listen(name)

    def run(self, until: str | int | None = None) -> None:
        """Run until nothing is left to happen, or for a duration: `5m`… as text, or nanoseconds.

        Raises `Restless` if engines still have work or timers after `STEPS_MAX` steps without a duration, and
        `PropertyFailed`.
        """
        if until is not None:
            self._run_for(parse_quantity(until, "_ns") if isinstance(until, str) else until)
            return
        self.node  # noqa: B018
        for _ in range(STEPS_MAX):
            if not self.agenda.step():
                return
        raise Restless(f"engines still have work or timers after {STEPS_MAX} steps: give a duration")

    def stabilize(self) -> None:
        """Run until only timers of engines are left to wait for. Timers that come due meanwhile fire."""
        self.node  # noqa: B018
        for _ in range(STEPS_MAX):
            if self.agenda.is_at_rest:
                return
            self.agenda.step()
        raise Restless(f"engines still have work after {STEPS_MAX} steps")

    def _run_for(self, ns: int) -> None:
        self.node  # noqa: B018
        until_ns = self.agenda.now_ns + ns
        while (next_ns := self.agenda.next_ns) is not None and next_ns <= until_ns:
            self.agenda.step()
        self.agenda.now_ns = until_ns

    def crash(self, engine: str, where: Where = "commit") -> None:
        """Kill the process of an engine at one of `PLACES`, in a cycle that takes all mail on its way to it."""
        if where not in PLACES:
            raise SimError(f"`{where}` is no crash point; there are {', '.join(PLACES)}")
        slot = self._slot_of(engine)
        process = slot.process
        if process is None or slot.is_frozen:
            return
        self.node.lanes.bring(slot.number)
        with suppress(Killed):
            process.cycle(Kill(where, 0, self._chance.stream("crash", engine, self.agenda.now_ns)))
        self.record.event("kill", slot.label, at=where)
        kill_process(self.node, slot)

    def reload(self, engine: str, to: AtHand | str = "") -> None:
        """Begin to replace the code of an engine; events say how it ended."""
        slot = self._slot_of(engine)
        family = to if isinstance(to, str) else self._families.ref_of(to)
        if self.cycles.reload(slot, engine, family) is None:
            raise SimError(f"{engine} is not running, or is being reloaded already")

    def partition(self, engines: Iterable[str], duration: str | int) -> None:
        """Cut the processes of these engines off from all others."""
        ns = parse_quantity(duration, "_ns") if isinstance(duration, str) else duration
        self.node  # noqa: B018
        self.cycles.part(frozenset(self._slot_of(engine).number for engine in engines), ns)

    def kill_node(self) -> None:
        """Kill all processes at once; the node starts again, with its logs."""
        self.node  # noqa: B018
        self.cycles.kill_all(f"node:by hand:{self.agenda.now_ns}", loses_power=False)

    def lose_power(self) -> None:
        """Kill the whole node, with everything that was not synced; it starts again."""
        self.node  # noqa: B018
        self.cycles.kill_all(f"power:by hand:{self.agenda.now_ns}", loses_power=True)

    def deliver(self, source: str, target: str, count: int = 1) -> None:
        """Hand over the next messages on the way from one process to another, and let the receiver run.

        Only with a network (`loss=0` will do): a lane hands its messages over in time.
        """
        lane = self._lane(source, target)
        if self.node.lanes.hasten(lane, count) < count:
            raise SimError(f"fewer than {count} messages are on the way from {source} to {target}")
        slot = self.node.slots.get(lane.target)
        if slot is None:
            self.outside.drain()
            return
        self._let_run(slot)

    def _let_run(self, slot: SimSlot) -> None:
        """Run a process now, and until it has read what the node tells it: look-ups are answered then."""
        self.agenda.now_ns = max(self.now_ns, slot.busy_ns)
        self._run_cycle(slot)
        while slot.process is not None and not slot.is_frozen and slot.process.packets:
            self.agenda.now_ns = max(self.now_ns, slot.busy_ns, slot.process.packets[0][0])
            self._run_cycle(slot)

    def drop(self, source: str, target: str, count: int = 1) -> None:
        """Lose the next messages on the way from one process to another; as `deliver`."""
        dropped = self.node.lanes.drop(self._lane(source, target), count)
        for frame in dropped:
            what = self._decode(frame.sender, frame.payloads[0], frame.target)
            self.record.say(f"* lost {frame.sender} > {frame.target}: {what!r}")
        if len(dropped) < count:
            raise SimError(f"fewer than {count} messages were on the way from {source} to {target}")

    def _lane(self, source: str, target: str) -> Lane:
        if not self.faults.plan.has_network:
            raise SimError("messages are handed over or dropped one by one only with a network: add `loss=0` to faults")
        numbers = [OUTSIDE if name == "outside" else self._slot_of(name).number for name in (source, target)]
        return self.node.lanes.lane(*numbers)

    def answer(self, engine: str, choice: str) -> None:
        """Answer the choice that an engine waits for. Raises `SimError`."""
        slot = self._slot_of(engine)
        if slot.process is None or slot.is_frozen:
            raise SimError(f"{engine} has no process at the moment")
        error = slot.process.scheduler.answer(engine, choice)
        if error:
            raise SimError(error)
        if slot.process.log is not None:
            slot.process.write()
        self.node.rearm(slot)

    # --- what can be looked at ----------------------------------------------------------------------------------------

    @property
    def triggers(self) -> int:
        """Messages handled so far, and cycles that only timers asked for."""
        return 0 if self._node is None else self.cycles.triggers

    @property
    def now_ns(self) -> int:
        """The engines' clock."""
        return self.agenda.now_ns

    @property
    def trace(self) -> str:
        """Everything that happened, a line each."""
        return "".join(f"{line}\n" for line in self.record.trace or ())

    @property
    def events(self) -> list[Event]:
        """What an operator of a live node would see, the newest last."""
        return list(self.record.events)

    @property
    def dead_letters(self) -> list[Letter]:
        """Messages that no engine will handle, the newest last."""
        return list(self.record.letters)

    def view(self) -> SystemView:
        """The system as a property sees it."""
        return view_of(self.node, self._decode)

    def state(self, engine: str) -> Any:
        """The state of an engine; of one whose process is down, the one it will go on with. Raises KeyError."""
        return self.view().state(engine)

    def env(self, engine: str) -> Environment[Any]:
        """The environment of an engine that is up. Raises KeyError."""
        env: Environment[Any] = self.cell(engine).env
        return env

    def cell(self, engine: str) -> Cell:
        """An engine that is up, with what the host keeps beside it. Raises KeyError."""
        for slot in self.node.slots.values():
            if slot.process is not None and engine in slot.process.scheduler.cells:
                return slot.process.scheduler.cells[engine]
        raise KeyError(f"no engine {engine!r} is up")

    # --- properties ---------------------------------------------------------------------------------------------------

    def always(self, holds: Property, name: str = "") -> None:
        """Check a property after each cycle from now on. Raises `PropertyFailed` where it does not hold."""
        self._properties.append((name or getattr(holds, "__name__", "the property"), holds))
        self.check()

    def check(self) -> None:
        """Check all properties now."""
        view = self.view()
        for name, holds in self._properties:
            check_property(holds, name, view)

    # --- within -------------------------------------------------------------------------------------------------------

    def _resident(self, engine: str) -> Resident:
        found = self.node.directory.find(engine)
        if isinstance(found, Missing):
            known = ", ".join(sorted(resident.name for resident in self.node.directory))
            raise SimError(f"there is no engine {engine}; there are {known}")
        return found

    def _slot_of(self, engine: str) -> SimSlot:
        return self.node.slots[self._resident(engine).slot]

    def _decode(self, sender: str, payload: Any, target: str = "") -> Any:
        """A message, as its receiver reads it; of one for outside, as its sender meant it."""
        for name, reads in ((target, True), (sender, False)):
            spec = getattr(self.node.directory.find(name), "spec", None)
            if spec is not None:
                family = self._families.load(spec.family)
                return decoded(payload, family.accepts if reads else family.emits)
        return decoded(payload, Any)


def _spec(node: object) -> NodeSpec:
    if isinstance(node, NodeSpec):
        return node
    if node is None or isinstance(node, Mapping):
        return NodeSpec("simulated", "", "", ())
    return load_node(node)  # type: ignore[arg-type]


def _refuse_births(node: SimNode, plans: tuple[SlotPlan, ...]) -> None:
    """Raise for parameters or states that do not fit, before anything starts."""
    births = Births(node.spec.node, node.load, are_here=True)
    for engine in node.spec.engines:
        births.configure(node.load(engine.family), engine, None, 1)
