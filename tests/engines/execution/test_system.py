"""The checked system: what holds of the rules in every order of messages, and that the published defects are found."""

from __future__ import annotations

from pathlib import Path

import pytest
from defects import DEFECTS, write_defective

from engines.execution.system import SYSTEM
from engines.model.system import BadSystemError
from host.check.run import CheckReport, CheckRequest, check
from host.check.search import Bounds

BOUNDS = Bounds(states=100_000)
"""More than any system here has."""
STORM = pytest.mark.storm


def checked(subject: str = "engines.execution.system", roots: tuple[str, ...] = (), **params: object) -> CheckReport:
    """The report of a check of all properties that the system states."""
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in params.items()}
    return check(CheckRequest(subject=f"{subject}:SYSTEM", params=texts, roots=roots, bounds=BOUNDS))


@pytest.mark.parametrize(
    ("params", "states", "transitions"),
    [
        ({"scenario": "increment"}, 149, 373),
        ({"scenario": "hot"}, 177, 448),
        ({"scenario": "failure"}, 19, 27),
        ({"scenario": "may"}, 180, 461),
        ({"scenario": "may-written"}, 123, 280),
        ({"scenario": "lazy"}, 223, 545),
        ({"scenario": "nock"}, 149, 373),
        ({"scenario": "increment", "shards": 2, "executors": 2}, 3_142, 14_439),
        pytest.param({"scenario": "hot", "shards": 2, "executors": 2}, 3_790, 17_704, marks=STORM),
        pytest.param({"scenario": "may", "shards": 2, "executors": 2}, 4_270, 20_431, marks=STORM),
        pytest.param({"scenario": "lazy", "shards": 2, "executors": 2}, 3_636, 15_669, marks=STORM),
        pytest.param({"scenario": "hot", "repeats": True}, 2_237, 9_788, marks=STORM),
    ],
    ids=str,
)
def test_everything_is_as_in_the_sequential_run(params: dict[str, object], states: int, transitions: int) -> None:
    """False if in some order of messages a transaction is stuck, reads what is not decided, or a watermark goes back;
    or if there are other states than when this was written."""
    report = checked(**params)
    assert {verdict.decided for verdict in report.verdicts} == {"holds"}
    assert report.is_exhaustive
    assert (report.found.counts.states, report.found.counts.transitions) == (states, transitions)


@pytest.mark.parametrize("name", DEFECTS)
def test_a_published_defect_is_found(name: str, tmp_path: Path) -> None:
    """False if the checker does not find a defect of the published rules that is put back."""
    defect, package = DEFECTS[name], f"defect_{list(DEFECTS).index(name)}"
    write_defective(defect, tmp_path, package)
    report = checked(f"{package}.system", (str(tmp_path),), scenario=defect.scenario)
    violated = {verdict.property for verdict in report.verdicts if verdict.decided == "violated"}
    assert defect.shown_by in violated, report.verdicts


def test_a_scenario_has_a_name() -> None:
    """False if a misspelt scenario were checked as another one, or raised without saying which there are."""
    with pytest.raises(BadSystemError, match="it must be one of increment, hot"):
        SYSTEM(scenario="hott")
