"""A worker's own log, opened: read, locked, and ready to be written to.

A log that is damaged, of a later format, or not replayable by its families, fails the start of each engine, with the
place; nothing is written.

One writer: the folder is locked for the life of the process, since a killed supervisor unlocks the data folder before
its workers are gone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from engines.model import AdoptError, Declaration
from engines.model.blame import clean
from host.live import wire
from host.live.clock import engine_clock, offset_from
from host.live.journal.checksums import checksums, kind_written
from host.live.journal.elsewhere import Elsewhere, refuse_elsewhere, refuse_logs_of_their_own
from host.live.journal.folder import Folder
from host.live.journal.frames import frame_bytes
from host.live.journal.over import LOCK, unmark
from host.live.journal.recovery import Recovered, begin, boot_id, go_on, recover
from host.live.journal.writer import Journal, LogStopped
from host.live.packets import Channel
from host.live.worker.greeting import next_packet
from host.live.worker.loading import failure
from host.live.worker.own_link import OwnLink
from host.node.journal.checking import Diverged
from host.node.journal.digest import Digest
from host.node.journal.layout import VERSION, Newer
from host.node.journal.marks import life_of
from host.node.journal.scan import Damaged
from host.node.journaled.keeping import Keeping
from host.node.routing import Birth

if TYPE_CHECKING:
    from host.live.journal.following import Follower

Load = Callable[[str], Declaration[Any, Any, Any]]


class OwnLog(NamedTuple):
    """`found` is the content of the log; engine time, by `offset_ns`, continues after it. `lock` is a descriptor."""

    folder: Folder
    lock: int
    found: Recovered
    offset_ns: int
    journal: Journal
    keeping: Keeping


def open_log(boot: wire.Boot, own: OwnLink, load: Load, found: Recovered | None = None) -> OwnLog:
    """`found` is the content if a candidate has read it. Raises what `recover` and `begin` raise, and `Elsewhere`."""
    folder = Folder(boot.journal, make=True)
    held = lock(boot.journal)
    if found is None:
        found = recover(folder, boot.node, load, boot_id())
        _refuse_elsewhere(boot, found)
    if not _is_over(found, boot.births):
        unmark(boot.journal)
    offset_ns = offset_from(boot.now_ns, found.replay.clock_ns + 1)
    journal = begin(folder, found, boot_id(), engine_clock(offset_ns), durable=_is_durable(boot, found))
    return OwnLog(folder, held, found, offset_ns, journal, _keeping(boot, own, journal))


def prime_log(boot: wire.Boot, own: OwnLink, load: Load, follower: Follower) -> OwnLog:
    """A log that another process still writes: all of `open_log` that needs no end of it. `begin_primed` follows.

    Raises `CannotFollow` if the next writer cannot continue in the segment of this one.
    """
    from host.live.journal.following import CannotFollow

    found = follower.so_far()
    offset_ns = offset_from(boot.now_ns, found.replay.clock_ns + 1)
    head = follower.head
    folder = Folder(boot.journal)
    journal = Journal(folder, head, checksums()[head.kind], engine_clock(offset_ns), durable=_is_durable(boot, found))
    if (head.kind, head.version) != (kind_written(), VERSION) or (journal.is_durable and head.synced < head.base):
        raise CannotFollow("its segment is of another kind")
    return OwnLog(folder, -1, found, offset_ns, journal, _keeping(boot, own, journal))


def begin_primed(boot: wire.Boot, own_log: OwnLog, found: Recovered) -> int:
    """Open a primed log, which ended as `found`. Its lock; raises `LogStopped`, OSError."""
    held = lock(boot.journal)
    if not _is_over(found, boot.births):
        unmark(boot.journal)
    go_on(own_log.journal, found, boot_id(), engine_clock(own_log.offset_ns)())
    return held


def _is_durable(boot: wire.Boot, found: Recovered) -> bool:
    modes = [birth.spec.durability for birth in boot.births] + [s.kept.mode for s in found.replay.streams.values()]
    return "durable" in modes


def _keeping(boot: wire.Boot, own: OwnLink, journal: Journal) -> Keeping:
    keeping = Keeping(journal.batch, Digest(checksums()[journal.head.kind]), frame_bytes, own.link)
    keeping.unacked_bytes_max = boot.journal_spec.unacked_bytes
    return keeping


def lock(folder: str) -> int:
    """Lock a log until this process ends; waits for a holder that is about to end. The descriptor."""
    fd = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def try_open_log(channel: Channel[wire.ToWorker], boot: wire.Boot, own: OwnLink, load: Load) -> OwnLog | None:
    """As `open_log`. If the log cannot be used, each engine is reported as failed with the reason, and this returns
    None once the supervisor has sent `Exit`: a new start would fail the same way. Raises `Closed`."""
    try:
        return open_log(boot, own, load)
    except (AdoptError, Damaged, Newer, Diverged, Elsewhere, LogStopped, OSError) as error:
        _refuse(channel, boot, clean(f"{boot.journal}: {error}"))
    except BaseException as error:
        _refuse(channel, boot, failure("", error).detail)
    return None


def _refuse(channel: Channel[wire.ToWorker], boot: wire.Boot, detail: str) -> None:
    for birth in boot.births:
        channel.send(wire.EngineFailed(birth.spec.name, "journal", detail))
    while not isinstance(next_packet(channel)[0], wire.Exit):
        continue


def _refuse_elsewhere(boot: wire.Boot, found: Recovered) -> None:
    """Raises `Elsewhere`. A child that was just spawned is in no other log: names are not used twice."""
    replay = found.replay
    if not boot.fresh:
        journaled = [birth.spec.name for birth in boot.births if birth.spec.durability != "volatile"]
        new_here = [name for name in journaled if name not in replay.streams and name not in replay.ended]
        refuse_elsewhere(boot.journal, new_here, life_of(boot.epoch))
    if boot.spawned == "parent":
        known = {**replay.streams, **dict.fromkeys(replay.ended)}
        children = (child for stream in replay.streams.values() for child in stream.kept.children)
        refuse_logs_of_their_own(boot.journal, [child for child in children if child not in known])


def _is_over(found: Recovered, births: tuple[Birth, ...]) -> bool:
    """Whether no engine lives that the log has or will have."""
    replay = found.replay
    return not (replay.streams or replay.leaving) and all(birth.spec.name in replay.ended for birth in births)
