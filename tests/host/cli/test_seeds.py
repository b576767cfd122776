"""Seeds run by several processes give what one process gives."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from host.cli import seeds
from host.cli.seeds import run_all
from host.config.load import load_node
from host.sim.families import Families
from host.sim.faults import parse_faults
from host.sim.script import parse_script
from host.sim.search import Trial

ROOT = Path(__file__).resolve().parents[3]
SEEDS = range(5, 15)


@pytest.fixture(scope="module")
def trial() -> Trial:
    """A token that goes round, with crashes."""
    spec = load_node(ROOT / "bench" / "simulated.yaml")
    lines = tuple(parse_script("send one Start hops=8\n"))
    return Trial(spec, parse_faults("crash=0.05"), lines, families=Families(spec.roots, {}))


def test_results_come_in_the_order_of_the_seeds(trial: Trial) -> None:
    """False if a result were lost, came in another's place, or depended on the process that made it."""
    alone = list(run_all(trial, SEEDS, 1))
    assert [one.seed for one in alone] == list(SEEDS)
    assert len({one.faults for one in alone}) > 3
    assert list(run_all(trial, SEEDS, 3)) == alone


def test_seeds_of_a_worker_that_died_are_run(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a worker that was killed took results with it, or an error in one were not the error of the search."""
    alone = list(run_all(trial, SEEDS, 1))
    original, parent = seeds.run_trial, os.getpid()

    def deadly(trial: Trial, seed: int, **options: Any) -> Any:
        if os.getpid() != parent and seed == 11:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(trial, seed, **options)

    monkeypatch.setattr(seeds, "run_trial", deadly)
    assert list(run_all(trial, SEEDS, 2)) == alone

    def failing(trial: Trial, seed: int, **options: Any) -> Any:
        if seed == 11:
            raise LookupError("no such engine")
        return original(trial, seed, **options)

    monkeypatch.setattr(seeds, "run_trial", failing)
    with pytest.raises(LookupError, match="no such engine"):
        list(run_all(trial, SEEDS, 2))


def test_no_worker_outlives_the_search(trial: Trial) -> None:
    """False if a search that ended at a failure left processes."""
    runs = run_all(trial, range(1, 1_000_000), 2)
    assert [next(runs).seed for _ in range(4)] == [1, 2, 3, 4]
    runs.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
