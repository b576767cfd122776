"""A whole node in one process, with devices and real time."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from deadline import DEADLINE_S

from engines.model import LoadError, encode, load_family
from host.config.spec import EngineSpec, NodeSpec
from host.live.inline import InlineRun

FAMILIES = str(Path(__file__).parent / "families")


def spec(*engines: EngineSpec) -> NodeSpec:
    return NodeSpec("inline", "/none", "digest", engines, roots=(FAMILIES,))


def message(ref: str, tag: str, *values: object) -> bytes:
    kinds = load_family(ref, (FAMILIES,)).accepts_types
    return encode(next(kind for kind in kinds if kind.__name__ == tag)(*values))


async def until(inline: InlineRun, engine: str, handled: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while inline.scheduler.cells[engine].handled < handled:
            await asyncio.sleep(0)


def test_devices_and_engines_run_in_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    """False if a debugger saw another node than users do."""
    inline = InlineRun(spec(EngineSpec("source", "blasting:BLASTER"), EngineSpec("watcher", "blasting:WATCHER")))

    async def live() -> None:
        running = asyncio.ensure_future(inline.run())
        await asyncio.sleep(0)
        blast = message("blasting:BLASTER", "Blast", 5_000, "watcher")
        inline.scheduler.deliver(0, "test", "source", 0, 1, 1, [blast])
        inline.scheduler.deliver(0, "test", "watcher", 0, 1, 1, [b"no"])
        inline.soon()
        await until(inline, "watcher", 5_001)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(live())
    state = inline.scheduler.cells["watcher"].env.state
    assert (state.count, state.disorder) == (5_000, 0)
    (letter,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (letter["dead_letter"], letter["sender"], letter["target"]) == ("type", "test", "watcher")


def test_an_error_of_a_driver_stops_the_program() -> None:
    """False if a debugger never got to see where a driver failed."""
    inline = InlineRun(spec(EngineSpec("source", "blasting:BLASTER")))

    async def live() -> None:
        running = asyncio.ensure_future(inline.run())
        await asyncio.sleep(0)
        inline.scheduler.deliver(0, "test", "source", 0, 1, 1, [message("blasting:BLASTER", "Fall")])
        async with asyncio.timeout(DEADLINE_S):
            await running

    with pytest.raises(RuntimeError, match="as asked"):
        asyncio.run(live())


def test_a_family_that_does_not_import_is_said_before_anything_runs() -> None:
    """False if half a node ran before a typing error showed."""
    with pytest.raises(LoadError, match="nowhere"):
        InlineRun(spec(EngineSpec("watcher", "blasting:WATCHER"), EngineSpec("x", "nowhere:X")))
