"""Roles explored together: what is planted is found with its way, and good exchanges pass."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from deadline import DEADLINE_S

from engines.agents.protocol.model import Protocol
from engines.agents.protocol.parse import parse
from host.aism.exploration import explore
from host.check.run import CheckRequest, check

from .exchanges import GOOD, PLANTED, written


def read(source: str) -> Protocol:
    reading = parse(source)
    assert not [one for one in reading.findings if one.is_error], (reading.findings, source)
    return reading.protocol


@pytest.mark.parametrize("name", PLANTED)
def test_p6_what_is_planted_is_found(name: str) -> None:
    """False if a deadlock, an unspecified reception or an orphan is missed, or shown without its way."""
    code, roles, message = PLANTED[name]
    found = {one.code: one for one in explore(read(written(roles))).findings}
    assert code in found, found
    assert found[code].message == message
    assert found[code].hint.startswith("it comes so: ")
    assert "sends" in found[code].hint


@pytest.mark.parametrize("name", GOOD)
def test_p6_good_exchanges_pass(name: str) -> None:
    """False if an exchange that works is said to be broken, or was not looked at."""
    report = explore(read(written(GOOD[name])))
    assert report.findings == ()
    assert report.is_whole
    assert report.configurations > 3


def test_a_protocol_without_talk_is_not_explored() -> None:
    """False if a single role were taken for an exchange."""
    assert explore(read("# Protocol: x\n\n## States\n- a: A\n\n## Roles\n- one: A\n")).configurations == 0


def test_the_checker_takes_the_roles_by_name() -> None:
    """False if `enginehost check` could not explore a protocol as any other system."""
    _, roles, _ = PLANTED["both wait"]
    subject = "engines.agents.protocol.explore:SYSTEM"
    report = check(CheckRequest(subject=subject, params={"source": written(roles)}))
    assert [one.property for one in report.found.violations] == ["always no_deadlock"]


def test_lint_explores_the_roles_and_says_how_far() -> None:
    """False if `aism protocol lint` leaves out what the roles do together, or a comment does not silence it."""
    code, roles, message = PLANTED["both wait"]
    Path("talk.md").write_text(written(roles))
    call = [sys.executable, "-c", "import _enginehost; _enginehost.aism()", "protocol", "lint", "talk.md"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    data = json.loads(done.stdout)["data"]
    assert [one["message"] for one in data["findings"] if one["code"] == code] == [message]
    assert data["explored"] == [
        {"file": "talk.md", "findings": 1, "configurations": 3, "is_whole": True, "is_bounded": False}
    ]
