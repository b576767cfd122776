"""The engines of a slot, completely, as bytes: what a reload hands from one process to the next.

A snapshot is taken between two cycles, when every output of a transition has left or is held and every drained message
has run or is parked. Messages are encoded, so the process that reads it needs none of the writer's classes. Reading has
two steps, because the reader may not touch the slot before the writer is gone. `read_snapshot` converts and migrates,
and can fail; `revive` puts the result into a scheduler, and cannot.

It is written in parts, so its writer can do other work between two of them. Its cost is that of the states in it: the
interface that engines of one family have in common is written once.

A driver's own state is not included: a device begins anew, with the mail and the streams of the one before it. Also not
included are routes (looked up again; held outputs wait for them) and the report's unsent items.

Of an engine that the reader followed (`trigger_tail`) everything but its environment is written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, Literal, Protocol

import msgspec

from engines.model import AdoptError, Configuration, Declaration, Environment, Family, encode
from engines.model.store.adopt import Downgraded
from engines.model.store.dump import read_dump
from host.config.engine_values import convert_engine
from host.config.spec import MailboxSpec
from host.node.births import plain
from host.node.cell import Cell, Way, new_cell
from host.node.differing import differences
from host.node.early import Letterbox
from host.node.journal.numbering import Numbers
from host.node.mailbox import Batch
from host.node.questions import QuestionImage, misfit, question_image, suspension_of
from host.node.scheduler import Scheduler

FORMAT: Final = 2

FAILED: Final = 3
"""Of the counters of an image."""

CELLS_PER_PART: Final = 256
"""Takes some milliseconds, where states are small."""


class FollowedEngine(Protocol):
    """An engine that the reader followed: its environment under its new version, and how many transitions failed since
    it had had `failed_before`."""

    env: Environment[Any]
    failed: int
    failed_before: int


class BatchImage(msgspec.Struct, frozen=True, array_like=True):
    """Waiting mail of one stream."""

    arrival: int
    mailbox: int
    sender: str
    epoch: int
    first_n: int
    payloads: list[bytes]


class CellImage(msgspec.Struct, frozen=True, array_like=True):
    """An engine. `held` are its outputs that could not leave, `ways` its streams with their next numbers. `env` is b""
    for a device, and where the reader has the environment.

    `downgraded` is its state as the version before has it, where a reload may go back to that (`Family.downgraded`).
    """

    name: str
    parent: str | None
    birth: int
    family: str
    interface: dict[str, Any]
    params: Any
    env: bytes
    mailboxes: dict[int, MailboxSpec]
    waiting: list[BatchImage]
    marks: list[tuple[str, int, int, int]]
    ways: list[tuple[str, int, int]]
    ways_from_n: int
    held: dict[str, list[tuple[int, bytes]]]
    told: tuple[int, ...]
    question: QuestionImage | None
    counters: tuple[int, int, int, int, int]
    is_ended: bool
    poison: Literal["", "skip", "stop", "park"] = ""
    downgraded: Downgraded = b""


class SlotImage(msgspec.Struct, frozen=True, array_like=True):
    """The first part of a snapshot: a slot without its engines. `stops` are the names that have sent stop, with their
    slots."""

    format: int
    ended: list[str]
    stops: dict[str, int]
    early: list[Letterbox]


class CellsImage(msgspec.Struct, frozen=True, array_like=True):
    """Any later part: engines, whose `interface` is empty, and by family the interfaces that no earlier part had."""

    cells: list[CellImage]
    interfaces: dict[str, dict[str, Any]]


class Revived(msgspec.Struct, frozen=True):
    """An engine of a snapshot in the types of its (possibly new) family, in no scheduler yet. A device has no `env`."""

    family: Declaration[Any, Any, Any]
    configuration: Configuration[Any]
    env: Environment[Any] | None
    image: CellImage


Families = Callable[[str], str | None]
"""The family reference for an engine by name, None for its own; called right before the engine is made."""


class SnapshotError(Exception):
    """The engines of a snapshot cannot go on with these families; the text says which, and why."""


def take_snapshot(
    scheduler: Scheduler,
    is_in: Callable[[Cell], bool] = lambda cell: True,
    *,
    downgrades: bool = False,
    followed: Container[str] = (),
) -> Iterator[bytes]:
    """The engines of the slot for which `is_in` holds, as parts of a snapshot. No cycle may run before the last.

    `downgrades`: states go with them as the version before has them. The reader has the environments of `followed`.
    """
    outbox = scheduler.outbox
    early = scheduler.arrivals.early.waiting()
    yield msgspec.msgpack.encode(SlotImage(FORMAT, list(scheduler.ended), dict(outbox.stops), early))
    written: set[str] = set()
    senders = iter([cell for cell in outbox.senders() if is_in(cell)])
    while cells := list(islice(senders, CELLS_PER_PART)):
        images = [cell_image(cell, downgrades=downgrades, is_followed=cell.name in followed) for cell in cells]
        interfaces = {cell.family.ref: cell.family.interface() for cell in cells if cell.family.ref not in written}
        written.update(interfaces)
        yield msgspec.msgpack.encode(CellsImage(images, interfaces))


def read_snapshot(
    parts: Iterable[bytes],
    node: str,
    load: Callable[[str], Declaration[Any, Any, Any]],
    families: Families,
    followed: Mapping[str, FollowedEngine] = {},
) -> tuple[SlotImage, list[Revived]]:
    """The engines of a snapshot, each under the reference that `families` has for it, or its own. Those in `followed`
    are there already.

    Raises `SnapshotError`, `AdoptError` of the model, and what loading raises. A failure changes nothing.
    """
    first, *others = parts
    image = _FIRST.decode(first)
    if image.format != FORMAT:
        raise SnapshotError(f"snapshot of format {image.format}; this reads format {FORMAT}")
    interfaces: dict[str, dict[str, Any]] = {}
    revived = []
    for part in others:
        read = _OTHER.decode(part)
        interfaces.update(read.interfaces)
        for cell in read.cells:
            family = load(families(cell.name) or cell.family)
            revived.append(read_cell(cell, node, family, interfaces[cell.family], followed.get(cell.name)))
    return image, revived


def revive(
    scheduler: Scheduler, image: SlotImage, revived: list[Revived], prepare: Callable[[Cell], None] = lambda cell: None
) -> None:
    """Put the engines of a snapshot into an empty scheduler, where they go on. `prepare` gets each before its mail."""
    scheduler.ended.update(dict.fromkeys(image.ended))
    scheduler.outbox.inherit(image.stops)
    for one in revived:
        cell = revived_cell(one)
        prepare(cell)
        scheduler.take_in(cell)
    for letter in image.early:
        scheduler.arrivals.early.keep(letter, scheduler.clock())


def cell_image(
    cell: Cell,
    numbers: Numbers | None = None,
    interface: dict[str, Any] | None = None,
    *,
    downgrades: bool = False,
    is_followed: bool = False,
) -> CellImage:
    """The image of an engine, between two cycles. `numbers` has the streams of a journaled one, whose held outputs are
    among those not acknowledged. The reader has the environment of one that it followed."""
    configuration = cell.configuration
    env = None if is_followed else cell.env
    return CellImage(
        cell.name,
        configuration.parent,
        configuration.birth,
        cell.family.ref,
        interface or {},
        plain(configuration.params),
        b"" if env is None else cell.family.dump(env),
        {number: MailboxSpec(box.capacity, box.policy, box.stored_max) for number, box in cell.inboxes.items()},
        [_batch_image(number, batch) for number, inbox in cell.inboxes.items() for batch in inbox.batches],
        [(sender, mailbox, mark.epoch, mark.next_n) for (sender, mailbox), mark in cell.marks.items()],
        _ways(cell) if numbers is None else numbers.ways(),
        cell.ways_from_n if numbers is None else numbers.from_n,
        _held(cell) if numbers is None and cell.held else {},
        tuple(cell.told),
        None if cell.suspension is None else question_image(*msgspec.structs.astuple(cell.suspension)),
        (cell.handled, cell.received, cell.sent, cell.failed, cell.ignored),
        cell.is_ended,
        cell.poison,
        cell.family.downgraded(env.state) if downgrades and isinstance(cell.family, Family) and env else b"",
    )


def _ways(cell: Cell) -> list[tuple[str, int, int]]:
    return [(*to, n) for to, n in cell.closed.items()] + [(*to, way.number) for to, way in cell.ways.items()]


def _held(cell: Cell) -> dict[str, list[tuple[int, bytes]]]:
    return {target: [(mailbox, encode(message)) for mailbox, message in queue] for target, queue in cell.held.items()}


def _batch_image(mailbox: int, batch: Batch) -> BatchImage:
    left = batch.payloads[batch.position :]
    payloads = left if batch.is_encoded else [encode(message) for message in left]
    return BatchImage(batch.arrival, mailbox, batch.sender, batch.epoch, batch.first_n + batch.position, payloads)


def read_cell(
    image: CellImage,
    node: str,
    family: Declaration[Any, Any, Any],
    old_interface: dict[str, Any] | None,
    followed: FollowedEngine | None = None,
) -> Revived:
    """The engine of an image; `old_interface` None: by the code that wrote it. Raises as `read_snapshot`."""
    params, _ = convert_engine(family, image.params, None)
    configuration = Configuration(node, image.name, image.parent, params, image.birth)
    if bool(image.env or followed) != isinstance(family, Family):
        raise SnapshotError(f"{image.name}: an engine with rules cannot become a device, nor the other way round")
    env = None
    if isinstance(family, Family):
        if old_interface is None:
            return Revived(family, configuration, family.load(image.env), image)
        if image.env:
            env = family.adopt(image.env, old_interface, image.downgraded)
        if followed is not None:
            env = _as_followed(family, image, followed, env)
        assert env is not None
        if problem := misfit(family, configuration, env, image.question):
            raise AdoptError(family.name, [problem])
    return Revived(family, configuration, env, image)


def _as_followed(
    family: Family[Any, Any, Any, Any], image: CellImage, followed: FollowedEngine, carried: Environment[Any] | None
) -> Environment[Any]:
    """The environment of an engine that was followed; `carried` is the old one migrated, where it crossed too."""
    failed = image.counters[FAILED] - followed.failed_before
    if followed.failed > failed:
        raise SnapshotError(f"{image.name}: {followed.failed} of its last transitions fail now, {failed} did before")
    if carried is not None and (theirs := family.dump(carried)) != (mine := family.dump(followed.env)):
        dump = read_dump(theirs)
        if places := [place for place, _ in differences(dump, dump, dump, read_dump(mine))]:
            raise SnapshotError(f"{image.name} differs after its last triggers: {', '.join(places)}")
    return followed.env


def revived_cell(revived: Revived) -> Cell:
    """The engine as a cell, with the state that the host keeps beside it."""
    image = revived.image
    cell = new_cell(revived.family, revived.configuration, revived.env, image.mailboxes)
    for waiting in image.waiting:
        batch = Batch(waiting.arrival, waiting.sender, waiting.epoch, waiting.first_n, waiting.payloads, True)
        cell.inboxes[waiting.mailbox].add(batch)
    for sender, mailbox, epoch, next_n in image.marks:
        cell.mark(sender, mailbox, epoch, next_n)
    for target, mailbox, next_n in image.ways:
        cell.ways[target, mailbox] = Way(next_n)
    cell.ways_from_n = image.ways_from_n
    for target, queue in image.held.items():
        cell.held[target] = deque((mailbox, msgspec.Raw(payload)) for mailbox, payload in queue)
    cell.told = frozenset(image.told)
    waits = bool(image.waiting) and any(inbox.says_stop for inbox in cell.inboxes.values())
    cell.is_stopping = bool(image.told) or waits
    cell.handled, cell.received, cell.sent, cell.failed, cell.ignored = image.counters
    cell.is_ended = image.is_ended
    cell.poison = image.poison
    if image.question is not None:
        cell.suspension = suspension_of(image.question, cell.family.boxes)
    return cell


_FIRST: Final = msgspec.msgpack.Decoder(SlotImage)
_OTHER: Final = msgspec.msgpack.Decoder(CellsImage)
