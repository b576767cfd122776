"""The report: well-formed, complete in itself, and with every figure of the run."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import bench_figures
from hypothesis import given
from hypothesis import strategies as st

from bench.plot import WIDTH, scale_for
from bench.report import report
from bench.show import show_value
from bench.suites import NAMES

TAKEN_NS = {"p50": 4.5e4, "p90": 5e4, "p99": 6e4, "p999": 9e4, "max": 1e6}
RUN = [
    *(bench_figures.item(name, "enginehost", 1.1e6 + n, 1.2e6 + n, 1.3e6 + n) for n, name in enumerate(NAMES)),
    bench_figures.item("extra", "enginehost", 2.4e6, 2.5e6, 2.6e6, wait="adaptive"),
    bench_figures.item("extra", "limit", 3.4e6),
    bench_figures.item("extra", "Ray", note="not installed: pip install 'enginehost[peers]'"),
    bench_figures.item("extra", "odd & <b>", note="failed: <script>", failed=True),
    bench_figures.item("times", "enginehost", 4.5e4, unit="ns", taken_ns=TAKEN_NS, detail={"idle_cpu_ns": 1234.0}),
    bench_figures.item("times", "slow", 4.5e7, unit="ns", taken_ns={name: v * 1000 for name, v in TAKEN_NS.items()}),
]


def page() -> ElementTree.Element:
    return ElementTree.fromstring(report(RUN).removeprefix("<!doctype html>"))


def test_it_is_well_formed_whatever_the_names_hold() -> None:
    """If false, a peer's error message breaks the page."""
    assert page().tag == "html"
    assert page().find(".//b") is None


def test_nothing_is_fetched_and_nothing_runs() -> None:
    """If false, the report is incomplete without a network, or tells somebody that it is read."""
    text = report(RUN)
    assert not re.search(r"https?:|url\(|@import|<script|<link|<img|src=", text)
    assert all(link.get("href", "").startswith("#") for link in page().iter("a"))


def test_every_suite_has_its_figures_and_a_strip_for_each() -> None:
    """If false, something that was measured is not shown."""
    sections = {section.get("id"): section for section in page().iter("section")}
    assert list(sections) == [*NAMES, "extra", "times"]
    for entry in RUN:
        shown = " ".join(sections[entry["suite"]].itertext())
        wanted = show_value(entry["median"], entry["unit"]) if entry["values"] else entry["note"]
        assert entry["peer"] in shown
        assert wanted in shown
    assert len(list(sections["extra"].iter("svg"))) == 2
    assert len(list(sections["times"].iter("svg"))) == 4, "a strip for the rounds, and one for single times"
    assert "p99 60.0 us" in " ".join(sections["times"].itertext())
    assert "1,234" in " ".join(sections["times"].itertext())


def test_it_says_where_the_figures_are_from() -> None:
    """If false, a figure has no machine and no commit."""
    shown = " ".join(page().itertext())
    assert all(value in shown for value in bench_figures.RUN.values())


@given(st.lists(st.floats(1e-2, 1e12), min_size=1, max_size=10), st.booleans())
def test_a_scale_keeps_order_and_stays_on_the_strip(values: list[float], logarithmic: bool) -> None:
    """If false, a plot shows the slower one as the faster one, or draws beside the page."""
    scale = scale_for(values, logarithmic)
    places = [scale.place(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= WIDTH for place in places)
    assert 1 <= len(scale.ticks()) <= 11
    assert all(0 <= scale.place(tick) <= WIDTH for tick in scale.ticks())
