"""However a measurement ends, nothing of it stays: no process, no folder."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from deadline import DEADLINE_S


@pytest.mark.storm
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("suite", ["oneway", "pingpong"])
def test_nothing_is_left_behind(tmp_path: Path, suite: str, number: signal.Signals) -> None:
    """If false, the next measurement shares the machine with what is left of this one."""
    command = [sys.executable, "-m", "host", "bench", suite, "--rounds", "1000", "--json"]
    bench = subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.DEVNULL, process_group=0
    )
    below: list[psutil.Process] = []
    try:
        below = _with_children(bench.pid)
        if number is signal.SIGINT:
            os.killpg(bench.pid, number)
        else:
            bench.send_signal(number)
        code = bench.wait(DEADLINE_S)
        left = psutil.wait_procs(below, timeout=DEADLINE_S)[1]
    finally:
        for process in (bench, *below):
            with suppress(psutil.Error):
                process.kill()
        bench.wait(DEADLINE_S)
    assert code in {signal.SIGINT: (130,), signal.SIGTERM: (130,), signal.SIGKILL: (-9,)}[number]
    assert left == []
    if number is not signal.SIGKILL:
        assert list(tmp_path.glob("enginehost-bench-*")) == []


def _with_children(pid: int) -> list[psutil.Process]:
    """Everything below a measurement, once a node of it runs: the supervisor, its zygote, two workers at least."""
    process = psutil.Process(pid)
    poller = select.poll()
    for _ in range(int(DEADLINE_S * 20)):
        below = process.children(recursive=True)
        if len(below) >= 4:
            return below
        poller.poll(50)
    raise TimeoutError(f"no node within {DEADLINE_S:g} s")
