"""What `doctor` and `version` say of the native lane is what the links of a node will be."""

from __future__ import annotations

import pytest

from host.live.machine import examine, native_lane
from transport import native


def lane_finding() -> tuple[str, str]:
    (found,) = (finding for finding in examine() if finding.check == "native lane")
    return found.level, found.value


@pytest.mark.parametrize(("mode", "level"), [("off", "warn"), ("auto", "warn"), ("require", "bad")])
def test_a_core_that_is_not_used_is_said_with_the_links_own_reason(
    monkeypatch: pytest.MonkeyPatch, mode: str, level: str
) -> None:
    """False if `doctor` had reasons of its own, or called a machine well on which no node starts."""
    monkeypatch.setenv("ENGINEHOST_NATIVE", mode)
    monkeypatch.setattr(native, "_import_problem", lambda: "it was not built")
    reason = native.native_reason()
    assert reason
    assert native_lane() == (False, reason)
    assert lane_finding() == (level, reason)


def test_a_core_that_is_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a working lane were called missing."""
    monkeypatch.delenv("ENGINEHOST_NATIVE", raising=False)
    if native.native_reason():
        pytest.skip(native.native_reason())
    is_native, where = native_lane()
    assert is_native
    assert "_lane" in where
    assert lane_finding() == ("ok", where)


def test_a_word_the_variable_does_not_have_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if `doctor` passed, or broke off, where every node refuses to start."""
    monkeypatch.setenv("ENGINEHOST_NATIVE", "maybe")
    level, value = lane_finding()
    assert level == "bad"
    assert "auto, require, off" in value
