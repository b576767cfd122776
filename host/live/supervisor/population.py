"""Creates slots, from the layout of the node file or for spawned engines, and boots their processes.

Boot and all that follows is sent at once, and waits in the worker's socket until the worker reads. Births that do not
fit into the Boot packet follow in `Deliver` packets.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final, Literal

from host.config.placement import SlotPlan, free_slot, share_of
from host.config.spec import EngineSpec
from host.live.journal.versions import SUFFIX, version_path
from host.live.packets import OUTSIZED_BYTES_MAX, encoded_bytes, parcels
from host.live.process_stat import resident_bytes
from host.live.spawn.zygote import Fork
from host.live.supervisor import links
from host.live.supervisor.control_groups import ControlGroup, bound_of
from host.live.supervisor.node import Node
from host.live.supervisor.processes import Process
from host.live.supervisor.slots import Group, Slot
from host.live.wire import PACKET_BYTES_MAX, Boot, Born, ChildEnded, Deliver
from host.node.endings import strongest
from host.node.news import Fatal, Letter
from host.node.routing import Birth, Missing, Resident

LENT_BYTES: Final = 1 << 30
"""Memory for the code of a candidate, and for the triggers that it rehearses."""

LENT_TIMES: Final = 6
"""The present process's memory, for a candidate: its state as bytes, read, migrated, and encoded to be compared."""

CODE: Final = "code"

BIRTHS_BYTES: Final = PACKET_BYTES_MAX - 32 * 1024
"""Births of one packet, encoded; the rest of a Boot packet (roots, address) stays far below 16 KiB without `fallen`."""

BIRTH_BYTES_MAX: Final = OUTSIZED_BYTES_MAX - 32 * 1024
"""One birth. One larger than `BIRTHS_BYTES` is alone in its packet."""


class TooBig(Exception):
    """An engine's parameters and initial state are too large to be sent to a process."""


def populate(node: Node, plans: Iterable[SlotPlan]) -> None:
    """Make the slots of the node file. Raises `TooBig`, before anything is made."""
    specs = {spec.name: spec for spec in node.spec.engines}
    list(_chunks([Birth(spec) for spec in node.spec.engines]))
    groups = {name: group for group in node.groups.values() for name in group.spec.engines}
    for plan in plans:
        residents = [Resident(specs[name], plan.slot) for name in plan.engines]
        _make_slot(node, plan, residents, group=next((groups[n] for n in plan.engines if n in groups), None))
    for group in node.groups.values():
        there = [found for name in group.spec.engines if not isinstance(found := node.directory.find(name), Missing)]
        group.slots = list(dict.fromkeys(resident.slot for resident in there))


def tell_birth_failed(node: Node, slot: Slot, error: Exception) -> None:
    """Record that no process came up: no descriptors, no room on the disk, no zygote."""
    for resident in node.directory.in_slot(slot.number)[:1]:
        node.event("birth_failed", resident.name, slot=slot.number, error=str(error))


def bear(node: Node, slot: Slot, entry: Literal["worker", "candidate"] = "worker") -> Process:
    """A process for `slot`, not booted yet."""
    names = [resident.name for resident in node.directory.in_slot(slot.number)] or ["-"]
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    group = _control_group(node, slot)
    title = f"enginehost: {node.spec.node}/{slot.number} {names[0]}{more}"
    fork = Fork(entry, names[0], title, "" if group is None else group.folder)
    on_packet, on_end = partial(node.on_packet, slot), partial(node.on_end, slot)
    return Process(node.nursery, node.reaper, fork, on_packet, on_end, node.control_groups, group)


def _largest(limits: Iterable[int | None]) -> int | None:
    return max((limit for limit in limits if limit), default=None)


def _control_group(node: Node, slot: Slot) -> ControlGroup | None:
    """The control group for the next process of a slot with a memory limit; None where there is none."""
    specs = [resident.spec for resident in node.directory.in_slot(slot.number)]
    memory_bytes = _largest(spec.child.memory_bytes for spec in specs)
    if memory_bytes is None:
        return None
    journaled = any(spec.durability != "volatile" for spec in specs)
    return node.control_groups.make(slot.number, bound_of(memory_bytes, node.spec.transport, journaled=journaled))


def _lent_bytes(slot: Slot) -> int:
    used = 0 if slot.process is None else resident_bytes(slot.process.pid)
    return LENT_BYTES + LENT_TIMES * used


def births(node: Node, residents: Iterable[Resident]) -> list[Birth]:
    """The births of these engines, as of now."""
    parked = node.quarantine.parked()
    return [Birth(r.spec, r.parent, r.birth, r.name in parked) for r in residents]


def send_boot(
    node: Node,
    slot: Slot,
    process: Process,
    births: list[Birth],
    *,
    fallen: tuple[Fatal, ...] = (),
    candidate_page: int | None = None,
    code: tuple[str, ...] = (),
) -> None:
    """Boot and deliver `births`. A candidate gets a control page of its own now, the slot's descriptors with `Go`.

    `code` as in `Boot`.
    """
    first, *others = _chunks(births) or [()]
    transport = node.spec.transport
    specs = [resident.spec for resident in node.directory.in_slot(slot.number)]
    boot = Boot(
        node=node.spec.node,
        slot=slot.number,
        epoch=slot.epoch,
        native=node.transport.native,
        wait=transport.wait,
        arena_bytes=transport.arena_bytes,
        journal=_journal(node, slot),
        journal_spec=node.spec.journal,
        fresh=slot.fresh,
        lent_bytes=0 if candidate_page is None else _lent_bytes(slot),
        address=slot.memory.address,
        roots=node.spec.roots,
        births=first,
        core=slot.core,
        device=slot.device,
        fallen=fallen,
        candidate=candidate_page is not None,
        now_ns=node.offset_ns,
        spawned=node.spec.spawned,
        described=node.described(birth.spec.family for birth in births),
        memory_bytes=_largest(spec.child.memory_bytes for spec in specs),
        cpu_ns=_largest(spec.child.cpu_ns for spec in specs),
        code=code,
        volatile_triggers=_volatile_triggers(node, slot),
        held=slot.holds and candidate_page is None,
    )
    process.send(boot, *(slot.memory.own_descriptors() if candidate_page is None else [candidate_page]))
    for births_more in others:
        process.send(Deliver(births_more))


def _volatile_triggers(node: Node, slot: Slot) -> int:
    """None for a process that cannot be forked: nobody would run them again (`host.live.worker.recalling`)."""
    return node.spec.reload.volatile_triggers if node.transport.native and not slot.device else 0


def _journal(node: Node, slot: Slot) -> str:
    """The folder of the slot's log, created if missing; "" where no engine has a journal, or can have one."""
    residents = node.directory.in_slot(slot.number)
    if slot.device or all(resident.spec.durability == "volatile" for resident in residents):
        return ""
    from host.live.journal.data_folder import log_folder

    return log_folder(node.data, slot.share, make=True).path


def code_folder(node: Node, slot: Slot) -> str:
    """Where the code of a slot's version is kept for a way back: with its log, or in a folder of this life."""
    return _journal(node, slot) or os.path.join(node.data, CODE, str(slot.number))


def note_code(node: Node, slot: Slot, version: str) -> None:
    """An engine of a slot runs this version. With a journal, the code is kept before a turn of it is in the log."""
    if not any(path.endswith(version + SUFFIX) for path in slot.code):
        slot.code = (*slot.code, version_path(code_folder(node, slot), version))


def code_left(slot: Slot) -> tuple[str, ...]:
    """The kept versions that a process of a slot is to run. That of an engine that ended is removed in time."""
    return tuple(filter(os.path.exists, slot.code))


def drop_code(node: Node, slot: Slot) -> None:
    """Remove the kept versions of a slot without a log, but for those that its processes run."""
    with suppress(OSError), os.scandir(code_folder(node, slot)) as entries:
        for entry in entries:
            if entry.path not in slot.code:
                os.unlink(entry.path)


def drop_all_code(data: str) -> None:
    """Remove what an earlier life kept of slots without a log."""
    shutil.rmtree(os.path.join(data, CODE), ignore_errors=True)


def take_spawn(node: Node, slot: Slot, child: Born) -> Slot | None:
    """A child was spawned in `slot`. If its worker did not place it, it gets a slot of its own, not started yet.

    A name that is or was in use means that the spawn was reported twice: nothing changes.
    """
    spec, parent = child.birth.spec, child.birth.parent
    if child.again:
        node.ended_logs.bear_again(share_of(spec))
    known = node.directory.find(spec.name)
    if known == Missing("ended") and not child.placed_here and spec.durability != "volatile":
        node.tell(slot.number, ChildEnded(parent or "", spec.name))  # its process died before it wrote that down
    if known != Missing("unknown"):
        return None
    if child.placed_here:
        node.directory.enter(Resident(spec, slot.number, parent, child.birth.birth))
        _tell_spawned(node, spec, parent)
        return None
    number = free_slot(node.slots)
    if number is None:
        _refuse_spawn(node, spec, parent or "", "every slot is taken")
        return None
    resident = Resident(spec, number, parent, child.birth.birth)
    try:
        made = _make_slot(node, SlotPlan(number, (spec.name,), False, spec.placement.core), [resident])
    except OSError as error:
        _refuse_spawn(node, spec, parent or "", f"no memory for its slot: {error.strerror}")
        return None
    made.spawned, made.fresh, made.code = True, not child.again, node.slots[slot.number].code
    _tell_spawned(node, spec, parent)
    return made


def _make_slot(node: Node, plan: SlotPlan, residents: list[Resident], group: Group | None = None) -> Slot:
    node.slots[plan.slot] = slot = Slot(plan, node.transport.memory(plan.slot), group)
    slot.share = share_of(residents[0].spec)
    slot.kind = strongest(frozenset(resident.spec.child.restart for resident in residents))
    for resident in residents:
        node.directory.enter(resident)
    return slot


def _tell_spawned(node: Node, spec: EngineSpec, parent: str | None) -> None:
    node.event("spawned", spec.name, parent=parent, family=spec.family)


def _refuse_spawn(node: Node, spec: EngineSpec, parent: str, why: str) -> None:
    detail = f"{spec.name} cannot live: {why}"
    letter = Letter(links.NO_SLOT, parent, spec.name, 0, node.now_ns(), None, detail)
    node.letters.add({links.NO_SLOT: 1}, [letter])
    node.event("spawn_refused", spec.name, parent=parent, reason=links.NO_SLOT)


def _chunks(births: list[Birth]) -> Iterator[tuple[Birth, ...]]:
    """`births` in order, split into packets. Raises `TooBig`."""
    lengths = [encoded_bytes(birth) for birth in births]
    for birth, length in zip(births, lengths, strict=True):
        if length > BIRTH_BYTES_MAX:
            raise TooBig(
                f"{birth.spec.name}: config and state take {length} bytes, at most {BIRTH_BYTES_MAX} are possible"
            )
    return parcels(zip(births, lengths, strict=True), BIRTHS_BYTES)
