"""`enginehost bench` with a run that was kept: shown, compared, reported, held against gates, and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bench_figures
import pytest

from host.cli.main import run

KEPT = [
    bench_figures.item("oneway", "enginehost", 90.0, 100.0, 110.0),
    bench_figures.item("oneway", "limit", 200.0, 210.0, 220.0),
    bench_figures.item("oneway", "Ray", note="not installed: pip install 'enginehost[peers]'"),
]


@pytest.fixture
def kept(tmp_path: Path) -> str:
    """A kept run."""
    return _kept(tmp_path / "run.json", KEPT)


def test_a_kept_run_is_shown(kept: str, capsys: pytest.CaptureFixture[str]) -> None:
    """If false, figures that were kept can only be read by a program."""
    assert run(["bench", "--from", kept]) == 0
    shown = capsys.readouterr().out
    assert "enginehost" in shown
    assert "2.1" in shown, "the limit by ours"
    assert "not installed: pip install 'enginehost[peers]'" in shown


def test_a_missed_gate_is_exit_code_8(kept: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If false, a regression goes through, or nobody learns which figure it was; or the output is not JSON any more."""
    gates = tmp_path / "gates.yaml"
    gates.write_text("- {suite: oneway, at_least: 0.75, of: limit}\n- {suite: oneway, at_least: 50}\n")
    assert run(["bench", "--from", kept, "--gate", str(gates), "--json"]) == 8
    printed = capsys.readouterr()
    assert "missed: oneway enginehost / limit: 0.4762, at least 0.75 wanted, by 37%" in printed.err
    assert len(json.loads(printed.out)["items"]) == 3
    gates.write_text("- {suite: oneway, at_least: 50}\n")
    assert run(["bench", "--from", kept, "--gate", str(gates)]) == 0


def test_a_comparison_has_intervals(kept: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If false, `--compare` shows ratios without saying what they are worth."""
    earlier = _kept(tmp_path / "earlier.json", [bench_figures.item("oneway", "enginehost", 45.0, 50.0, 55.0)])
    assert run(["bench", "--from", kept, "--compare", earlier, "--json"]) == 0
    ours, limit, _ = json.loads(capsys.readouterr().out)["items"]
    assert ours["compared"]["ratio"] == 2.0
    assert ours["compared"]["low"] < 2.0 < ours["compared"]["high"]
    assert "compared" not in limit


def test_a_report_is_written(kept: str, tmp_path: Path) -> None:
    """If false, `--html` does nothing."""
    assert run(["bench", "--from", kept, "--html", str(tmp_path / "report.html")]) == 0
    assert "oneway" in (tmp_path / "report.html").read_text()


def test_what_failed_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If false, a measurement that broke looks like one that was made."""
    broken = _kept(tmp_path / "run.json", [bench_figures.item("ring", "limit", note="failed: Broken", failed=True)])
    assert run(["bench", "--from", broken]) == 1
    assert "ring limit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["--all", "oneway"], 2),
        (["onway"], 2),
        (["--from", "no-such-file"], 4),
        (["oneway", "--gate", "no-such-file"], 4),
        (["oneway", "--compare", __file__], 1),
    ],
)
def test_mistakes_are_found_before_anything_is_measured(arguments: list[str], code: int) -> None:
    """If false, minutes of measuring end in a complaint."""
    assert run(["bench", *arguments]) == code


def _kept(path: Path, items: list[dict[str, Any]]) -> str:
    path.write_text(json.dumps(bench_figures.envelope(items)))
    return str(path)
