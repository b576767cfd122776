"""Sends the report of a worker's scheduler to the supervisor, as packets.

Spawns are sent at once, before the outputs of the same turn are published: the supervisor must know a name before any
engine can look it up. Lookups, ends and choices are sent at once too. Letters and notes go at most every `PAUSE_NS`
while the worker is busy, and always before it sleeps or answers a query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from engines.model import Declaration
from host.live import wire
from host.live.packets import OUTSIZED_BYTES_MAX, Channel, close_all, encoded_bytes, memory_file, parcels
from host.node.news import Event, Letter, NoteLine, Packet, SetAside
from host.node.report import Offspring, Report
from host.node.routing import Birth

WAITING_PACKETS_MAX: Final = 1_024
"""Packets queued for a supervisor that is behind; beyond it the worker waits until the supervisor has read some."""

PAUSE_NS: Final = 20_000_000
"""Between two packets of letters or notes from a busy worker."""

ITEMS_BYTES: Final = wire.PACKET_BYTES_MAX - 4 * 1024
"""Letters or notes in one packet, encoded; the rest is room for counts."""

BORN_BYTES_MAX: Final = OUTSIZED_BYTES_MAX - 64 * 1024
"""Size of one encoded child; the rest is room for its frame, also when it is forwarded."""

ITEM_BYTES_MAX: Final = 16 * 1024
"""A longer letter or note loses its detail and fields."""


class Telling:
    """Mutable, one a worker. `now_ns` in calls is engine time; `described` is that of `Boot`."""

    def __init__(
        self, channel: Channel[wire.ToWorker], report: Report, described: Iterable[tuple[str, str]] = ()
    ) -> None:
        self._channel = channel
        self._report = report
        self._told_ns = 0
        self._described = set(described)
        self.first: Packet | None = None
        """Sent before whatever is sent next."""

    @property
    def is_due(self) -> bool:
        """Whether `everything` would send something."""
        report = self._report
        return bool(report.events or report.notes or report.notes_dropped or report.rested) or report.has_letters

    def at_once(self) -> None:
        """Send what other processes may depend on: most cycles have nothing of it."""
        report, send = self._report, self._send
        if not (report.spawned or report.resolve or report.waits or report.set_aside or report.stopped):
            return
        if report.spawned:
            self._tell_spawned(report.spawned)
            report.spawned.clear()
        for name in report.resolve:
            send(wire.Resolve(name))
        report.resolve.clear()
        for waits in report.waits:
            send(waits)
        report.waits.clear()
        for one, payload in report.set_aside:
            self._tell_set_aside(one, payload)
        report.set_aside.clear()
        for name in report.stopped:
            send(wire.EngineEnded(name))
        report.stopped.clear()

    def in_time(self, now_ns: int) -> None:
        """Tell letters, notes and events, unless it was done a moment ago."""
        if now_ns - self._told_ns >= PAUSE_NS:
            self.everything(now_ns)

    def everything(self, now_ns: int) -> None:
        """Tell letters, notes and events."""
        self._told_ns = now_ns
        report = self._report
        while report.events:
            self._send(report.events.popleft())
        if report.has_letters:
            counts, letters = report.take_letters()
            packed = _packed(letters)
            for index, chunk in enumerate(packed or [()]):
                self._send(wire.Letters(counts if index == 0 else {}, chunk))
        if report.rested:
            self._send(wire.Rested(tuple(report.rested)))
            report.rested.clear()
        if report.notes or report.notes_dropped:
            notes, dropped = report.take_notes()
            for chunk in _packed(notes):
                self._send(wire.Notes(chunk, dropped))
                dropped = 0

    def ready(self, engines: Iterable[tuple[str, Declaration[Any, Any, Any]]]) -> None:
        """Report that engines take messages; and once for each family its interface, which takes milliseconds."""
        alike: dict[tuple[str, str], tuple[Declaration[Any, Any, Any], list[str]]] = {}
        for name, family in engines:
            alike.setdefault((family.ref, family.version), (family, []))[1].append(name)
        for family, names in alike.values():
            for parcel in parcels(((name, encoded_bytes(name)) for name in names), ITEMS_BYTES // 2):
                self._send(wire.Ready(((self._running(family), parcel),)))

    def _send(self, packet: Packet, descriptors: Sequence[int] = ()) -> None:
        """Send; a supervisor that is far behind is waited for."""
        if self.first is not None:
            first, self.first = self.first, None
            self._channel.send(first)
        if self._channel.waiting >= WAITING_PACKETS_MAX:
            self._channel.make_room(0)
        self._channel.send(packet, descriptors)

    def _running(self, family: Declaration[Any, Any, Any]) -> wire.Running:
        key = (family.ref, family.version)
        interface = None if key in self._described else family.interface()  # type: ignore[attr-defined]
        self._described.add(key)
        return wire.Running(family.ref, family.version, interface)

    def _tell_spawned(self, children: list[Offspring]) -> None:
        for parcel in parcels(self._born(children), ITEMS_BYTES):
            self._send(wire.ChildrenSpawned(parcel))

    def _born(self, children: list[Offspring]) -> Iterator[tuple[wire.Born, int]]:
        """Children with their encoded length. One too long for a packet is reported as failed instead."""
        for child in children:
            running = None if child.cell is None else self._running(child.cell.family)
            born = wire.Born(Birth(child.spec, child.parent, 1), child.is_here, running, child.again)
            length = encoded_bytes(born)
            if length <= BORN_BYTES_MAX:
                yield born, length
                continue
            error = f"its parameters and state take {length} bytes, at most {BORN_BYTES_MAX} are possible"
            self._send(Event("spawn_failed", child.parent, {"child": child.spec.name, "error": error}))

    def _tell_set_aside(self, one: SetAside, payload: bytes | None) -> None:
        descriptors = [] if payload is None else [memory_file(payload)]
        self._send(msgspec.structs.replace(one, detail=one.detail[-ITEM_BYTES_MAX // 2 :]), descriptors)
        close_all(descriptors)


def _packed(items: Iterable[Letter | NoteLine]) -> list[tuple[Any, ...]]:
    """Items in order, split into packets, each with as much of its text as fits; one still too long is shortened."""
    measured = ((item, encoded_bytes(item)) for item in map(_cut, items))
    short = (pair if pair[1] <= ITEM_BYTES_MAX else (_shortened(pair[0]), ITEM_BYTES_MAX) for pair in measured)
    return list(parcels(short, ITEMS_BYTES))


def _cut(item: Letter | NoteLine) -> Letter | NoteLine:
    if isinstance(item, NoteLine):
        return msgspec.structs.replace(item, text=item.text[: ITEM_BYTES_MAX // 2])
    return msgspec.structs.replace(item, detail=item.detail[-ITEM_BYTES_MAX // 2 :])


def _shortened(item: Letter | NoteLine) -> Letter | NoteLine:
    if isinstance(item, NoteLine):
        return msgspec.structs.replace(item, fields={"shortened": True})
    return msgspec.structs.replace(item, message=None, detail=item.detail[-ITEM_BYTES_MAX // 4 :])
