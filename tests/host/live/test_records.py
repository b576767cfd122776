from __future__ import annotations

import asyncio
import math
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from host.live.supervisor import records
from host.live.supervisor.records import Record


def lines(path: Path) -> list[Any]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_items_reach_file_ring_and_followers_in_order(tmp_path: Path) -> None:
    """An event is seen in one place and missing in another."""

    async def scenario() -> None:
        record = Record(str(tmp_path / "events.jsonl"))
        heard: list[Any] = []
        record.append([{"n": 0, "engine": "a"}])
        record.follow(heard.extend)
        record.append([{"n": 1, "engine": "a"}, {"n": 2, "engine": "b"}])
        await asyncio.sleep(0)
        record.leave(heard.extend)
        record.append([{"n": 3, "engine": "b"}])
        assert [item["n"] for item in record.newest(10)] == [0, 1, 2, 3]
        assert [item["n"] for item in record.newest(1, "a")] == [1]
        record.close()

    asyncio.run(scenario())
    assert [item["n"] for item in lines(tmp_path / "events.jsonl")] == [0, 1, 2, 3]


def test_the_file_tells_the_floats_apart_that_json_has_no_number_for(tmp_path: Path) -> None:
    """False if a note with infinity were null in the file of a node that is down."""

    async def scenario() -> None:
        record = Record(str(tmp_path / "logs.jsonl"))
        record.append([{"fields": {"x": [math.inf, -math.inf, math.nan, None]}}])
        record.close()

    asyncio.run(scenario())
    assert lines(tmp_path / "logs.jsonl") == [{"fields": {"x": ["inf", "-inf", "nan", None]}}]


def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that logs for weeks fills the disk."""
    monkeypatch.setattr(records, "FILE_BYTES_MAX", 1_000)

    async def scenario() -> None:
        record = Record(str(tmp_path / "logs.jsonl"))
        for n in range(1_000):
            record.append([{"n": n}])
            record.flush()
        record.close()

    asyncio.run(scenario())
    assert sorted(os.listdir(tmp_path)) == ["logs.jsonl", "logs.jsonl.1"]
    assert all(path.stat().st_size <= 1_000 for path in tmp_path.iterdir())
    assert lines(tmp_path / "logs.jsonl")[-1]["n"] == 999
