"""Journaled engines: the cycle in C leaves the log that the one in Python does, as far as a recovery can tell."""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any, Literal

import pytest
from cycle_worlds import FAMILIES, Step, recovered, scripts, world
from deadline import DEADLINE_S
from family_inputs import configured
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.benchmark import oneway
from engines.examples.ping_pong import PLAYER, Ping, Serve
from engines.model import Family
from transport.native import native_available, native_reason

pytestmark = pytest.mark.skipif(not native_available(), reason=f"no native lanes: {native_reason()}")

LAWS = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@pytest.mark.storm
@pytest.mark.parametrize("mode", ["crash", "durable"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@LAWS
@given(data=st.data())
def test_c_writes_what_python_writes(
    family: Family[Any, Any, Any, Any], mode: Literal["crash", "durable"], data: st.DataObject
) -> None:
    """False if anything seen, or any engine recovered from the log at any step, came out otherwise."""
    params = data.draw(configured(family), label="params")
    script = data.draw(scripts(family), label="script")
    with (
        TemporaryDirectory() as one,
        TemporaryDirectory() as two,
        world(family, params, True, one, mode) as fast,
        world(family, params, False, two, mode) as plain,
    ):
        for step in script:
            assert fast.play(step) == plain.play(step)
            assert recovered(one, family) == recovered(two, family)


def test_common_mail_of_a_journaled_engine_never_leaves_c(tmp_path: Path) -> None:
    """False if the path that is compared above were Python's after all, or the log did not have its turns."""
    order = oneway.Reset(1_000, "q", oneway.Record(b"k", 1, "s"), "p")
    record = oneway.Record(b"key", 7, "here")
    with world(oneway.SINK, {}, True, str(tmp_path), "crash") as fast:
        fast.play(Step(0, "p", 0, [order]))
        before = fast.in_c
        fast.play(Step(1, "p", 0, [record] * 900))
        assert fast.in_c - before == 900
        assert recovered(str(tmp_path), oneway.SINK)["e"][4] == 901


def test_what_c_sends_is_kept_until_it_is_released(tmp_path: Path) -> None:
    """False if an output of a journaled engine, sent by C, were lost by a kill, or kept for ever."""
    log = str(tmp_path)
    with world(PLAYER, {}, True, log, "crash") as fast:
        fast.play(Step(0, "p", 0, [Serve("q", 5)]))
        fast.play(Step(1, "p", 0, [Ping(turn, 9, "q") for turn in range(3)]))
        assert fast.in_c > 0
        assert [one[2] for one in recovered(log, PLAYER)["e"][7]] == [2, 3, 4]
        fast.play(Step(1, "p", 0, [Ping(4, 9, "q")]))
        assert [one[2] for one in recovered(log, PLAYER)["e"][7]] == [5]


def test_the_log_has_the_mail_before_its_heads_move(tmp_path: Path) -> None:
    """False if a kill could find mail neither in its lane nor in the log, or an output out before its cause is in."""
    with world(PLAYER, {}, True, str(tmp_path), "crash") as fast:
        fast.play(Step(0, "p", 0, [Serve("q", 5)]))
        worker, peer, seen = fast.worker, fast.peer, list[tuple[int, int, int]]()
        log = worker.log
        assert log is not None
        before = peer.released(1)

        def commit() -> bool:
            outputs = len(peer.drain(10_000))
            wanted = log.commit()
            seen.append((peer.released(1), outputs, recovered(str(tmp_path), PLAYER)["e"][4]))
            return wanted

        ledger = log.ledger()
        assert ledger is not None
        fast.use(ledger._replace(commit=commit))
        fast.play(Step(1, "p", 0, [Ping(2, 9, "q")]))
        assert seen[0] == (before, 0, 2)
        assert peer.released(1) > before


def test_c_does_not_sleep_on_acknowledgements(tmp_path: Path) -> None:
    """False if an engine that C made keep too much stood until other mail came: receivers that release ring no bell."""
    with world(PLAYER, {}, True, str(tmp_path), "crash") as fast:
        fast.play(Step(0, "p", 0, [Serve("q", 5)]))
        worker = fast.worker
        assert worker.log is not None
        worker.log.keeping.unacked_bytes_max = 1
        fast.send(Step(1, "p", 0, [Ping(turn, 9, "q") for turn in range(3)]))
        os.eventfd_read(fast.ready)
        alarm = Timer(DEADLINE_S, os.eventfd_write, (fast.ready, 1))
        alarm.start()
        begun = time.monotonic()
        assert worker.is_calm
        assert worker._common() is None
        alarm.cancel()
        assert worker.log.keeping.acks.has_full
        assert time.monotonic() - begun < DEADLINE_S / 2
