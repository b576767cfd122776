"""The orderings of the lane and of the arm and ring handshake, checked exhaustively by spin; see `models/lane.pml`."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from native_build import COMPILER, NEEDS_COMPILER

pytestmark = [NEEDS_COMPILER, pytest.mark.skipif(shutil.which("spin") is None, reason="no spin")]

MODEL = Path(__file__).parent / "models" / "lane.pml"
LOST, TORN = "invalid end state", "assertion violated"
WEAKENED = {
    "NO_FENCE_PUBLISH": LOST,
    "NO_FENCE_ARM_CONSUMER": LOST,
    "NO_FENCE_RELEASE": LOST,
    "NO_FENCE_ARM_PRODUCER": LOST,
    "NO_LOOK_AGAIN": LOST,
    "RELAXED_TAIL_STORE": TORN,
    "RELAXED_TAIL_LOAD": TORN,
    "RELAXED_HEAD_STORE": TORN,
    "RELAXED_HEAD_LOAD": TORN,
}


def explore(folder: Path, *defines: str) -> str:
    """What spin's checker says after all states, or at the first error."""
    flags = [f"-D{define}" for define in defines]
    subprocess.run(["spin", *flags, "-a", str(MODEL)], cwd=folder, check=True, capture_output=True)
    command = [COMPILER or "gcc", "-O2", "-w", "-DSAFETY", "-DMEMLIM=2000", "-o", "pan", "pan.c"]
    subprocess.run(command, cwd=folder, check=True)
    return subprocess.run(["./pan", "-m100000"], cwd=folder, check=True, capture_output=True, text=True).stdout


def states(report: str) -> int:
    """How many there were; fails when the search was cut short."""
    assert "errors: 0" in report, report
    assert "max search depth too small" not in report
    assert "Search not completed" not in report, report
    found = re.search(r"(\d+) states, stored", report)
    assert found is not None
    return int(found[1])


@pytest.mark.storm
def test_no_order_of_stores_tears_a_read_or_loses_a_wake_up(tmp_path: Path) -> None:
    """If false, two processors could disagree about a frame or a sleeper, however rarely."""
    assert states(explore(tmp_path)) > 500_000


@pytest.mark.long
def test_the_same_with_one_message_more(tmp_path: Path) -> None:
    """If false, it would take another lap of the ring."""
    assert states(explore(tmp_path, "MESSAGES=5")) > 10_000_000


@pytest.mark.storm
@pytest.mark.parametrize("weakened", WEAKENED)
def test_each_ordering_is_needed(tmp_path: Path, weakened: str) -> None:
    """If false, the model would not tell a right lane from one with this ordering left out."""
    report = explore(tmp_path, weakened)
    assert "errors: 1" in report
    assert WEAKENED[weakened] in report
