"""A candidate: the process that takes over a slot in a reload.

It imports the new code and reports what it would run, migrates a snapshot of the engines, and then waits for the slot.
It touches no lane and writes no log before `Go`, when the old process is gone (`handover` for slots with a journal);
or, where it follows, before it has the token (`primed`).
Any error until then is reported as `EngineFailed`, and ends only this process.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from engines.model import AdoptError, Family
from engines.model.blame import clean
from host.config.convert import ConversionError
from host.live import wire
from host.live.confine import lent
from host.live.control_page import ControlPage
from host.live.packets import Channel, close_all, read_parts, stream_parts
from host.live.worker.greeting import next_packet
from host.live.worker.handover import Inheritance, read_inheritance
from host.live.worker.loading import DETAIL_CHARS_MAX, failure, loader
from host.live.worker.loop import Worker
from host.live.worker.own_link import open_link
from host.live.worker.parts import Outset
from host.live.worker.telling import Telling
from host.node.births import Births
from host.node.progress import N
from host.node.report import Report
from host.node.routing import Birth
from host.node.snapshot import SnapshotError
from transport.port import Broken, Closed

if TYPE_CHECKING:
    from host.live.journal.following import Follower
    from host.live.worker.primed import PrimedCandidate
    from host.live.worker.tail_reading import TailReader


def adopt_and_run(channel: Channel[wire.ToWorker], boot: wire.Boot, descriptors: list[int]) -> None:
    """From the import to the end of the worker it becomes. Raises `Closed` if the supervisor is gone."""
    candidate = _Candidate(channel, boot, _own_page(descriptors))
    with lent(boot.lent_bytes):
        run = _until_the_cut(channel, boot, candidate)
    if run is not None:
        run()


def _until_the_cut(
    channel: Channel[wire.ToWorker], boot: wire.Boot, candidate: _Candidate
) -> Callable[[], None] | None:
    """Everything up to the cut. What follows it; None: the supervisor asked to exit. Raises `Closed`."""
    candidate.prepare(boot.births)
    while True:
        packet, descriptors = next_packet(channel, candidate.keep_level)
        match packet:
            case wire.Deliver(births):
                candidate.prepare(births)
            case wire.Rehearse():
                candidate.rehearse(descriptors)
            case wire.Follow():
                candidate.follow(packet)
            case wire.Prime():
                if (primed := candidate.prime(descriptors)) is not None:
                    return candidate.take(primed)
            case wire.Adopt():
                candidate.adopt(descriptors, packet)
            case wire.Go(parked):
                return partial(candidate.go, parked, descriptors)
            case wire.Exit():
                return None
            case _:
                close_all(descriptors)


FOLLOW_MS: Final = 2
"""How far a candidate that follows may be behind, beside what it has to run."""


class _Candidate:
    """The state of a candidate before it owns the slot."""

    def __init__(self, channel: Channel[wire.ToWorker], boot: wire.Boot, page: ControlPage) -> None:
        self._channel = channel
        self._page = page
        self._at = ""
        self._boot = boot
        self._load = loader(boot.roots, check=True, code=boot.code)
        self._births = Births(boot.node, self._load, are_here=True)
        self._telling = Telling(channel, Report(), boot.described)
        self._families: dict[str, str] = {}
        self._inherited: Inheritance | None = None
        self._follower: Follower | None = None
        self._tail: TailReader | None = None
        self._rehearsed_from: dict[str, int] = {}

    def prepare(self, births: tuple[Birth, ...]) -> None:
        """Import what the engines run, and send `Ready` or `EngineFailed` for each."""
        ready = []
        for birth in births:
            spec = birth.spec
            self._families[spec.name] = spec.family
            self._stand_at(spec.family)
            try:
                family = self._load(spec.family)
                self._births.configure(family, spec, birth.parent, birth.birth)
            except BaseException as error:
                self._channel.send(failure(spec.name, error))
            else:
                ready.append((spec.name, family))
        self._stand_at("")
        _import_what_a_worker_needs(self._boot)
        self._telling.ready(ready)

    def rehearse(self, descriptors: list[int]) -> None:
        """Run triggers of the past, and compare. The volatile engines of a tail may go on from there."""
        from host.node.rehearsal import RehearsalEnd, rehearse

        ends: dict[str, RehearsalEnd] = {}
        try:
            with open(descriptors[0], "rb") as stream:
                results = rehearse(stream_parts(stream), self._rehearsed, ends)
            self._rehearsed_from = {name: end.after for name, end in ends.items()}
            for file in descriptors[1:]:
                from host.live.worker.tail_reading import TailReader

                commuting = {one.engine: ends[one.engine] for one in results if one.commutes and one.engine in ends}
                self._tail = TailReader(file, commuting, self._stand_at)
        except BaseException as error:
            self._fail(error)
        else:
            self._channel.send(wire.Rehearsed(tuple(results)))
        self._stand_at("")

    def _rehearsed(self, engine: str, before: str) -> Family[Any, Any, Any, Any]:
        """The family of an engine, which is rehearsed next; it was `before`."""
        self._stand_at(engine)
        family = self._load(self._families.get(engine, before))
        if not isinstance(family, Family):
            raise SnapshotError(f"{engine}: an engine with rules cannot become a device")
        return family

    def follow(self, order: wire.Follow) -> None:
        """Make the engines from log and tail, and send `Level`; from then on stay behind their writer."""
        try:
            with _nothing_to_collect():
                reason = self._follow_log() if order.from_log else ""
                follows_tail = self._tail is not None and self._tail.come_level(order.within_ns)
        except BaseException as error:
            self._fail(error)
        else:
            large = self._tail.large if self._tail is not None and follows_tail else ()
            self._channel.send(wire.Level(reason, follows_tail, large))

    def _follow_log(self) -> str:
        """Make the engines from the log; "" or why that cannot be."""
        from host.live.journal.following import CannotFollow, Follower
        from host.live.journal.versions import keep_version

        try:
            self._follower = Follower(self._boot, self._load, self._family_of, self._rehearsed_from)
            self._follower.come_level()
        except CannotFollow as error:
            self._follower = None
            return str(error)
        for ref in set(self._families.values()):
            keep_version(self._boot.journal, self._load(ref))
        return ""

    def keep_level(self) -> int | None:
        """Run what was written since; the milliseconds until the next time, None with nothing to follow."""
        tail = self._tail if self._tail is not None and self._tail.is_begun else None
        followers = [one for one in (self._follower, tail) if one is not None]
        try:
            for one in followers:
                one.catch_up()
        except BaseException as error:
            self._fail(error)
            return None
        return FOLLOW_MS if followers else None

    def prime(self, descriptors: list[int]) -> PrimedCandidate | None:
        """Be ready to take over, and send `Primed`; None if that is not possible."""
        from host.live.journal.following import CannotFollow
        from host.live.worker.primed import PrimedCandidate

        assert self._follower is not None, "Prime before Follow"
        try:
            with _nothing_to_collect():
                primed = PrimedCandidate(
                    self._channel, self._boot, self._load, self._family_of, self._follower, descriptors
                )
        except CannotFollow as error:
            self._channel.send(wire.Primed(reason=str(error)))
            return None
        except BaseException as error:
            self._fail(error)
            return None
        self._channel.send(wire.Primed(*self._how_adopted()))
        return primed

    def take(self, primed: PrimedCandidate) -> Callable[[], None] | None:
        """Follow the log until it ends. What runs the engines then; None if they stay where they are."""
        from host.live.worker.primed import OldEnded

        gc.disable()
        try:
            takeover = primed.wait()
        except Closed:
            raise
        except OldEnded:
            self._channel.send(wire.NotPassed())
        except BaseException as error:
            self._fail(error)
        else:
            if takeover is not None:
                return partial(primed.run, takeover)
        while primed.is_wanted and not isinstance(next_packet(self._channel)[0], wire.Exit):
            continue
        return None

    def _fail(self, error: BaseException) -> None:
        from host.live.journal.following import CannotFollow
        from host.node.journal.checking import Diverged
        from host.node.rehearsal import CutShort, Differs

        self._follower = self._tail = None
        match error:
            case Differs() | CutShort() | Diverged():
                word = "rehearsal"
            case CannotFollow():
                word = "cut"
            case _:
                self._channel.send(failure(self._at, error))
                return
        self._channel.send(wire.EngineFailed(self._at, word, clean(str(error))[:DETAIL_CHARS_MAX]))

    def adopt(self, descriptors: list[int], order: wire.Adopt) -> None:
        """Convert and migrate the engines of the snapshot."""
        try:
            with _nothing_to_collect():
                parts = read_parts(descriptors[0])
                follower = self._follower
                followed = None if follower is None else partial(follower.content, order.log_end)
                engines = {} if self._tail is None else self._tail.end(order.tail_end)
                self._inherited = read_inheritance(parts, self._boot, self._load, self._family_of, followed, engines)
        except (AdoptError, SnapshotError, ConversionError) as error:
            self._channel.send(wire.EngineFailed(self._at, "adopt", clean(str(error))[:DETAIL_CHARS_MAX]))
        except BaseException as error:
            self._fail(error)
        else:
            self._stand_at("")
            self._follower = self._tail = None
            self._channel.send(wire.Adopted(*self._how_adopted(), tuple(engines)))
        finally:
            close_all(descriptors)

    def _how_adopted(self) -> tuple[dict[str, str], dict[str, str]]:
        """How states came over, and whether they could go back, by family."""
        loaded = {ref: self._load(ref) for ref in self._families.values()}
        families = {ref: family for ref, family in loaded.items() if isinstance(family, Family)}
        return (
            {ref: family.adopted for ref, family in families.items()},
            {ref: family.forward_only for ref, family in families.items() if family.forward_only},
        )

    def _family_of(self, engine: str) -> str | None:
        """The family under which an engine continues; it is adopted next."""
        self._stand_at(engine)
        return self._families.get(engine)

    def _stand_at(self, what: str) -> None:
        """A family's code runs next, and may end this process: the page records where."""
        self._at = what
        self._page.show(what, "")
        self._page.words[N] = bool(what)

    def go(self, parked: tuple[str, ...], descriptors: list[int]) -> None:
        """The slot is ours: become its worker."""
        assert self._inherited is not None, "Go before Adopt"
        inherited = self._inherited
        outset = Outset(self._channel, self._boot, open_link(self._boot, descriptors), self._load)
        if self._boot.device:
            from host.live.worker.device_loop import run_devices

            run_devices(outset, lambda worker: worker.report_ready(worker.take_over(inherited, prepare=worker.prepare)))
            return
        if self._boot.journal:
            from host.live.worker.own_log import open_log

            outset = outset._replace(own_log=open_log(self._boot, outset.own, self._load, inherited.found))
        worker = Worker(outset)
        with _nothing_to_collect():
            cells = worker.take_over(inherited, parked)
        worker.run(cells)


def _import_what_a_worker_needs(boot: wire.Boot) -> None:
    """Import before the cut what would be imported in it."""
    if boot.native:
        import host.live.cycle._cycle
        import transport.lanes  # noqa: F401
    if boot.journal:
        import host.live.worker.journaled  # noqa: F401


def _own_page(descriptors: list[int]) -> ControlPage:
    """The page of a process that has no slot yet. Raises `Broken`."""
    if len(descriptors) != 1:
        close_all(descriptors)
        raise Broken(f"candidate: {len(descriptors)} descriptors came with Boot, not its page")
    try:
        return ControlPage(descriptors[0])
    finally:
        close_all(descriptors)


@contextmanager
def _nothing_to_collect() -> Iterator[None]:
    """No collection while engines are made: all of them stay, and the collector would visit them again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
