"""The chunk store under the checker; and that the checker finds a store that forgets what it promised."""

from __future__ import annotations

from typing import Any

import pytest

from engines.devices.file_store import FileExists, FileStored
from engines.devices.key_value import SetValue, ValueRead
from engines.model import Become, Ref, Send, encode
from engines.storage import steps
from engines.storage.collection import HERE
from engines.storage.jobs import Checking, Indexing, Marking, Putting
from engines.storage.steps import Answered, Done
from host.check.run import CheckReport, CheckRequest, check


def checked(crashes: int = 0, **params: str) -> CheckReport:
    return check(CheckRequest(subject="engines.storage.system:SYSTEM", params=params, faults=crashes))


@pytest.mark.parametrize(
    ("grace", "puts", "crashes", "states"),
    [
        ("true", "1", 0, 3_199),
        pytest.param("true", "1", 1, 23_757, marks=pytest.mark.storm),
        pytest.param("false", "1", 1, 26_717, marks=pytest.mark.storm),
        pytest.param("false", "2", 1, 425_291, marks=pytest.mark.storm),
    ],
)
def test_what_was_promised_is_kept(grace: str, puts: str, crashes: int, states: int) -> None:
    """False if in some order of requests, or after some crash, a pinned chunk is collected, an answered put cannot be
    read, or a request is worked on for ever."""
    found = checked(crashes, grace=grace, puts=puts).found
    assert not found.ended
    assert found.violations == []
    assert found.counts.states == states


def test_a_pin_that_a_collection_overlooks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if the check passes a store that answers a pin after a collection has read the index."""
    ours = steps.mark

    def hasty(job: Checking, found: ValueRead, t: Answered) -> Done:
        if found.value is None:
            return ours(job, found, t)
        marking = Marking(job.reply, job.request, t.now_ns, job.address)
        order = SetValue(job.key, job.value, Ref[Any](t.me.name), found.request)
        return [Become(t.env.state.changed(found.request, marking)), Send(t.config.index, order)]

    monkeypatch.setattr(steps, "mark", hasty)
    assert [one.property for one in checked().found.violations] == ["always a_pinned_chunk_is_here"]


@pytest.mark.storm
def test_a_put_during_a_collection_that_is_not_noted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if the check passes a store whose collection drops the file of a chunk that was put meanwhile."""

    def careless(job: Putting, answer: FileStored | FileExists, t: Answered) -> Done:
        number, exists = answer.request, isinstance(answer, FileExists)
        indexing = Indexing(job.reply, job.request, t.now_ns, answer.address, exists)
        entry = SetValue(HERE + answer.address, encode(job.kept), Ref[Any](t.me.name), number)
        return [Become(t.env.state.changed(number, indexing)), Send(t.config.index, entry)]

    monkeypatch.setattr(steps, "index_chunk", careless)
    found = checked(puts="2").found.violations
    assert [one.property for one in found] == ["always what_is_here_is_on_the_disk"]
