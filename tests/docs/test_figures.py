"""The figures of `docs/when-to-use.md` and `docs/hot-reload.md` are those of the run that lies beside them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "when-to-use.md").read_text(encoding="utf-8")
RUN = json.loads((DOCS / "benchmarks" / "run.json").read_text(encoding="utf-8"))
RELOADS = (DOCS / "hot-reload.md").read_text(encoding="utf-8")
WAITED = {item["peer"]: item["taken_ns"] for item in RUN["items"] if item["suite"] == "reload"}
MEDIANS = {(item["suite"], item["peer"]): item["median"] for item in RUN["items"] if "median" in item}
LINKED = re.findall(r"^\| ([^|]+?) \| ([\d.]+) M/s \| ([\d.]+) µs \|$", PAGE, re.MULTILINE)
KEPT = re.findall(r"^\| ([^|]+?) \| ([\d.]+) M/s \| ([\d.]+) M/s \|$", PAGE, re.MULTILINE)


def test_both_tables_are_there() -> None:
    """False if the page's tables changed their form, so that the tests below would compare nothing."""
    assert (len(LINKED), len(KEPT)) == (11, 3)


@pytest.mark.parametrize(("peer", "messages", "trip"), LINKED)
def test_messages_and_round_trips_are_those_of_the_run(peer: str, messages: str, trip: str) -> None:
    """False if the page shows another figure than the run has."""
    assert messages == _shown(MEDIANS["oneway", peer] / 1e6, messages)
    assert trip == _shown(MEDIANS["pingpong", peer] / 1e3, trip)


@pytest.mark.parametrize(("who", "written", "synced"), KEPT)
def test_journaled_records_are_those_of_the_run(who: str, written: str, synced: str) -> None:
    """False if the page shows another figure than the run has."""
    ours = who.startswith("enginehost")
    crash, durable = ("enginehost", "enginehost-durable") if ours else (f"{who} crash", f"{who} durable")
    assert written == _shown(MEDIANS["durable", crash] / 1e6, written)
    assert synced == _shown(MEDIANS["durable", durable] / 1e6, synced)


def test_waits_of_reloads_are_those_of_the_run() -> None:
    """False if the page shows another wait than the run has, or leaves a state or a queue out."""
    shown: list[str] = re.findall(r"([\d.]+) ms(?= \|)", RELOADS)
    sizes = [
        peer + size
        for size in ("", "-12MB", "-60MB")
        for peer in ("enginehost", "enginehost-volatile", "Erlang", "naive")
    ]
    queues = [f"enginehost-{count}-waiting" for count in (1_000, 100_000, 500_000)]
    assert shown == [f"{WAITED[peer]['p50'] / 1e6:.1f}" for peer in (*sizes, *queues)]
    longest = [round(WAITED[peer]["max"] / 1e6) for peer in ("enginehost", queues[-1])]
    assert f"was {longest[0]} ms." in RELOADS
    assert f"took {longest[1]} ms." in RELOADS


def _shown(value: float, like: str) -> str:
    """A value with as many decimals as the page gives."""
    return f"{value:.{len(like.partition('.')[2])}f}"
