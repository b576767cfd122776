"""A journal that was damaged: refused, or cut with a word about it, or as it was. Never silently wrong, no traceback.

A recovery may say: `Damaged` or `Newer` with segment and offset; or it may come to a prefix and say what was cut or
which snapshot it passed over; or the damage lies where nobody reads, and everything is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from journal_engines import Decide, Gamble, Later, Pay
from journal_worker import BOOT, Worker, load, log_state_of, of_format
from simulated_disk import SimulatedFolder

from engines.model import Ref
from host.live.journal.recovery import recover
from host.live.journal.snapshots import Snapshots
from host.node.journal.layout import Newer
from host.node.journal.scan import Damaged

PAID: Ref[object] = Ref("shop")
OTHER_BOOT = b"another boot...."
Files = dict[str, bytes]


def make(mode: str, *, closed: bool) -> tuple[Files, list[object]]:
    """A small journal of three segments and a snapshot, and the states it went through."""
    folder = SimulatedFolder()
    worker = Worker(folder, mode)
    worker.bear("bank")
    worker.commit()
    states = [worker.engines["bank"].cell.env]
    snapshots = Snapshots(folder, worker.journal, worker.clock)
    for cycle in range(6):
        worker.mail("alice", "bank", [Pay(cycle, PAID), Gamble()] if cycle != 3 else [Later(9), Decide()])
        if cycle == 4:
            worker.answer("bank", "no")
        worker.clock.now_ns += 20
        worker.fire("bank")
        worker.commit()
        states.append(worker.engines["bank"].cell.env)
        if cycle == 1:
            snapshots.take(log_state_of(recover(folder, "node", load, BOOT).replay))
        if cycle == 3:
            worker.journal.begin_segment()
    if closed:
        worker.journal.close()
    return folder.contents(), states


def verdict(files: Files, states: list[object], boot: bytes) -> str:
    """What a recovery of these files says; an assertion if it is silently wrong."""
    try:
        found = recover(SimulatedFolder(files), "node", load, boot)
    except (Damaged, Newer):
        return "refused"
    env = found.replay.streams["bank"].env if found.replay.streams else None
    assert env is None or env in states
    if found.scan.cut is not None or found.refused:
        return "reported"
    assert env == states[-1], "silently wrong"
    return "whole"


def flips(files: Files) -> Iterator[Files]:
    for name, data in files.items():
        for place in range(len(data)):
            changed = bytearray(data)
            changed[place] ^= 1 << place % 8
            yield {**files, name: bytes(changed)}


def zeroed(files: Files) -> Iterator[Files]:
    for name, data in files.items():
        for start in range(0, len(data), 512):
            end = min(len(data), start + 512)
            yield {**files, name: data[:start] + bytes(end - start) + data[end:]}


def swapped(files: Files) -> Iterator[Files]:
    for one in files:
        for other in files:
            if one < other:
                yield {**files, one: files[other], other: files[one]}
                yield {**files, one: files[other]}


def truncated(files: Files) -> Iterator[Files]:
    for name, data in files.items():
        for length in range(0, len(data), 3):
            yield {**files, name: data[:length]}


@pytest.mark.storm
@pytest.mark.parametrize("mode", ["crash", "durable"])
@pytest.mark.parametrize("closed", [False, True])
def test_no_damage_is_silent(mode: str, closed: bool) -> None:
    """Every byte flipped, every sector zeroed, files swapped, truncated anywhere; in this boot and after another."""
    files, states = make(mode, closed=closed)
    counts: dict[str, int] = {}
    for damage in (flips, zeroed, swapped, truncated):
        for changed in damage(files):
            for boot in (BOOT, OTHER_BOOT):
                said = verdict(changed, states, boot)
                counts[f"{damage.__name__} {said}"] = counts.get(f"{damage.__name__} {said}", 0) + 1
    print(mode, counts)
    assert counts.get("flips refused", 0) > 1000


def test_in_a_boot_that_lost_no_power_nothing_is_cut_but_an_unfinished_end() -> None:
    """False if a byte that rotted in the page cache or on the disk cost what was there."""
    files, states = make("crash", closed=False)
    last = max(name for name in files if name.endswith(".log"))
    assert {verdict({**files, last: data[last]}, states, BOOT) for data in flips({last: files[last]})} == {"refused"}


def test_random_bytes_are_no_journal() -> None:
    """False if anything but a journal were taken for one, or ended in a traceback.

    What is before the snapshot nobody reads."""
    random = Random(3)
    files, states = make("crash", closed=False)
    for _ in range(300):
        name = random.choice([name for name in files if name != "00000001.log"])
        changed = {**files, name: random.randbytes(random.randint(0, 900))}
        assert verdict(changed, states, BOOT) in ("refused", "reported")


def test_a_newer_format_is_refused_as_such() -> None:
    """False if a log of a later version were read, or called damaged."""
    files, _ = make("crash", closed=False)
    first = min(name for name in files if name.endswith(".log"))
    with pytest.raises(Newer, match="format 3; this program reads up to format 2"):
        recover(SimulatedFolder({first: of_format(3, files[first])}), "node", load, BOOT)


@pytest.mark.parametrize("mode", ["crash", "durable"])
def test_an_older_format_is_read_as_ever(mode: str) -> None:
    """False if a log of format 1, which has no digests of states, were refused, or read in another way."""
    files, states = make(mode, closed=True)
    older = {n: of_format(1, data) if n.endswith(".log") else data for n, data in files.items()}
    assert older != files
    assert verdict(older, states, BOOT) == verdict(files, states, BOOT)
