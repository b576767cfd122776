"""Logs of before there was a value law: what they hold comes back, as far as it can be written."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from journal_worker import BOOT, Worker, image_of, log_state_of, marks_of, of_format
from live_nodes import FAMILIES, World, until
from simulated_disk import SimulatedFolder

from engines.model import load_family
from host.config.spec import EngineSpec, SupervisionSpec
from host.live.journal.data_folder import log_folder, pin
from host.live.journal.recovery import Recovered, recover
from host.live.journal.snapshots import write_snapshot
from host.node.journaled.keeping import EngineRecorder

FAMILY = "unruly:UNRULY"
FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)


def load(ref: str) -> Any:
    return load_family(ref, [str(FAMILIES)])


class OldWorker(Worker):
    """A worker of before there was a value law."""

    def begin(self, name: str) -> None:
        module = load(FAMILY)
        engine = self.bear(name, FAMILY)
        engine.cell.family = module.under_old_rules()

    def do(self, name: str, *whats: str) -> None:
        do = next(iter(load(FAMILY).accepts_types))
        self.mail("alice", name, [do(what, "shop") for what in whats])
        self.commit()


def old(files: dict[str, bytes]) -> SimulatedFolder:
    """The disk, as a program without a value law had left it."""
    return SimulatedFolder({n: of_format(1, data) if n.endswith(".log") else data for n, data in files.items()})


def made(mode: str, *whats: str) -> tuple[SimulatedFolder, OldWorker]:
    folder = SimulatedFolder()
    worker = OldWorker(folder, mode)
    worker.begin("e")
    worker.do("e", *whats)
    return old(folder.contents()), worker


def found_in(folder: SimulatedFolder) -> Recovered:
    return recover(folder, "node", load, BOOT)


@pytest.mark.parametrize("mode", ["crash", "durable"])
@pytest.mark.parametrize(
    ("whats", "count", "number"),
    [
        (("one", "large"), 1, 1),
        (("one", "half", "half"), 1, 1),
        (("large", "one"), 2, 1),
        (("one", "text", "never"), 1, 1),
        (("one", "never", "large"), 1, 1),
    ],
)
def test_the_newest_state_that_can_be_written_is_gone_on_from(
    mode: str, whats: tuple[str, ...], count: int, number: int
) -> None:
    """False if a state that cannot be written kept its engine from coming back, if a trigger behind the state it came
    back with was not named, or if numbers of outputs that had left were given out again."""
    folder, worker = made(mode, *whats)
    found = found_in(folder)
    stream = found.replay.streams["e"]
    assert (stream.env.state.count, stream.env.state.number) == (count, number)
    assert type(stream.env.state.number) is int
    formed = found.formed["e"]
    assert [one.trigger.n for one in formed.left_out] == list(range(formed.turn + 1, len(whats) + 1))
    assert all(one.payload for one in formed.left_out)
    assert bool(formed.left_out) == (formed.turn < len(whats))
    assert stream.kept.numbers.ways() == worker.engines["e"].numbers.ways() == [("shop", 0, len(whats) + 1)]
    assert [n for n, _ in stream.kept.unacked["shop", 0]] == list(range(1, len(whats) + 1))
    assert marks_of(stream)["alice", 0] == (1, len(whats) + 1)
    again = stream.family.load(image_of(stream).cell.env)
    assert again == stream.env


@pytest.mark.parametrize("mode", ["crash", "durable"])
def test_what_can_be_converted_is(mode: str) -> None:
    """False if an int in a float's place, or a timer with a fraction, were not brought to form, or cost a turn."""
    folder, _ = made(mode, "level", "fraction", "one")
    found = found_in(folder)
    stream = found.replay.streams["e"]
    assert type(stream.env.state.level) is float
    assert (stream.env.state.level, stream.env.state.count) == (3.0, 3)
    (timer,) = stream.env.timers.values()
    assert timer.deadline_ns == 2_000_000_001
    assert found.formed["e"].is_converted
    assert not found.formed["e"].left_out


@pytest.mark.parametrize("bad", ["half", "level"])
def test_a_snapshot_that_does_not_give_what_was_is_passed_over(bad: str) -> None:
    """False if a snapshot that cannot be read, or that reads as another state, kept its engine from coming back."""
    folder = SimulatedFolder()
    worker = OldWorker(folder)
    worker.begin("e")
    worker.do("e", bad)
    worker.journal.begin_segment()
    state = log_state_of(recover(folder, "node", lambda ref: load(ref).under_old_rules(), BOOT).replay)
    write_snapshot(folder, worker.journal.head, state)
    worker.do("e", "one")
    found = found_in(old(folder.contents()))
    assert (found.replay.streams["e"].env.state.count, found.replay.streams["e"].env.state.number) == (2, 1)
    assert found.turns == 2


def test_an_image_that_cannot_be_read_is_passed_over() -> None:
    """False if what a migration that was not looked at had put into a log kept its engine from coming back, or if an
    engine whose first image cannot be read kept its neighbours."""
    folder = SimulatedFolder()
    worker = OldWorker(folder)
    worker.begin("e")
    worker.do("e", "one")
    cell = worker.engines["e"].cell
    good = cell.env
    cell.env = msgspec.structs.replace(good, state=msgspec.structs.replace(good.state, number=2.5))
    worker.journal.record("e", EngineRecorder(cell, "crash", 1, turns=1).image("version", worker.clock()))
    birth = EngineRecorder(cell, "crash", 1).image("birth", worker.clock())
    kid = msgspec.structs.replace(birth, cell=msgspec.structs.replace(birth.cell, name="kid"))
    worker.journal.record("kid", kid)
    worker.commit()
    cell.env = good
    worker.do("e", "one")
    found = found_in(old(folder.contents()))
    assert found.replay.streams["e"].env.state.count == 2
    assert set(found.replay.streams) == {"e"}
    assert set(found.replay.unread) == {"e", "kid"}


def test_a_log_with_a_law_is_not_touched() -> None:
    """False if turns under the value law were run as old ones, or an engine of a new log were brought to form."""
    folder = SimulatedFolder()
    worker = OldWorker(folder)
    worker.begin("e")
    worker.do("e", "one")
    assert found_in(folder).formed == {}


def bricked(world: World, mode: str) -> Any:
    """The data folder of a node whose engine has a state that cannot be written."""
    pin(str(world.folder / "test"), "test", (str(world.roots),), int(os.environ.get("PYTHONHASHSEED", "0") or "0"))
    folder = log_folder(str(world.folder / "test"), "e", make=True)
    disk, _ = made(mode, "one", "large", "half")
    for name, data in disk.contents().items():
        Path(folder.path, name).write_bytes(data)
    return world.spec(EngineSpec("e", FAMILY, durability=mode), supervision=FREE)  # type: ignore[arg-type]


@pytest.mark.storm
@pytest.mark.parametrize("mode", ["crash", "durable"])
def test_a_node_that_was_bricked_starts_again(world: World, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if it did not, if a trigger was neither in the state nor in quarantine, or if it happened once more."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    spec = bricked(world, mode)
    with world.up(spec) as node:
        assert node.ask("state", engine="e")[0]["state"] == {"count": 1, "number": 1, "level": 0.0}
        entries = node.ask("quarantine", do="ls")
        assert [(one["engine"], one["sender"], one["n"]) for one in entries] == [("e", "alice", 2), ("e", "alice", 3)]
        (event,) = node.events("brought_to_form")
        assert (event["engine"], event["turn"], event["left_out"]) == ("e", 1, 2)
        assert "Mixed.number: 2.5 is float, not int" in event["reason"]
        node.send("e", "Do", what="one", to="e")
        until(lambda: node.ask("state", engine="e")[0]["state"]["count"] == 2, "a turn")
        for pid in world.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not world.processes(), "the end of all processes")
    with world.up(spec) as node:
        assert node.ask("state", engine="e")[0]["state"]["count"] == 2
        assert len(node.ask("quarantine", do="ls")) == 2
        assert not node.events("brought_to_form")  # of this life
