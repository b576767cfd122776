"""Measurement: sums agree, histograms keep their bound, what is late, lost or claimed, retention, loops, tokens."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from gauge_room import GAUGES, MINUTE_NS, SECOND_NS, GaugeRoom
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engines.agents.measuring.histogram import ERROR, Histogram
from engines.agents.measuring.keeping import BLOCK_BYTES_MAX, BLOCK_MAX, EVENTS_KEPT_NS, is_too_old
from engines.agents.measuring.rollups import DAY_NS, HOUR_NS, KEPT_NS, Rollup, Series, Sum, rollup_of, sum_of
from engines.agents.measuring.session_records import LogRecord, Usage
from engines.agents.measuring.tracked import FollowLog, LogRead, LogsNeeded, cycle_of
from engines.agents.messages import AgentMoved, Happened, HappenedTogether, PromptWanted, ProtocolChanged, Retire

values = st.floats(-1e9, 1e9, allow_nan=False).map(lambda one: round(one, 6))


@given(st.lists(values), st.integers(0, 100))
def test_a_sum_does_not_depend_on_the_order(numbers: list[float], cut: int) -> None:
    """False if minutes added up to another hour than their events."""
    total = Sum()
    for one in numbers:
        total = total.add(sum_of([one]))
    first, second = Sum(), Sum()
    for one in reversed(numbers[:cut]):
        first = first.add(sum_of([one]))
    for one in reversed(numbers[cut:]):
        second = second.add(sum_of([one]))
    assert second.add(first) == total
    assert float(total) == pytest.approx(sum(numbers), abs=1e-3)


@given(st.lists(st.tuples(values, st.integers(0, 10**6)), min_size=1), st.integers(0, 100))
def test_rollups_merge_as_if_made_at_once(many: list[tuple[float, int]], cut: int) -> None:
    """False if a merged rollup were another than that of all values."""
    whole = Rollup()
    for value, time_ns in many:
        whole = whole.merge(rollup_of([(value, time_ns)]))
    one, other = (rollup_of(part) if part else Rollup() for part in (many[:cut], many[cut:]))
    assert one.merge(other) == whole == other.merge(one)
    assert (whole.least, whole.greatest) == (min(v for v, _ in many), max(v for v, _ in many))


def test_m2_a_quantile_is_within_five_percent() -> None:
    """False if a histogram, alone or merged of parts, misses a quantile by more than its bound."""
    draw = Random(1)
    for shape in (lambda: draw.random(), lambda: draw.expovariate(1e-6), lambda: draw.lognormvariate(3, 4)):
        numbers = [shape() + 1e-3 for _ in range(3_000)]
        parts = [Histogram() for _ in range(7)]
        for index, one in enumerate(numbers):
            parts[index % 7] = parts[index % 7].add_all([one])
        whole = Histogram()
        for part in parts:
            whole = whole.merge(part)
        assert whole.count == 3_000
        ordered = sorted(numbers)
        for share in (0.01, 0.5, 0.9, 0.95, 0.99, 1.0):
            exact = ordered[max(0, -(-round(share * 3_000 * 1e6) // 10**6) - 1)]
            found = whole.quantile(share)
            assert found is not None
            assert abs(found - exact) <= ERROR * exact * 1.0001
    assert Histogram().quantile(0.5) is None
    assert Histogram().add_all([0, 5]).quantile(0.5) == 0.0


def total_of(parts: list[tuple[Series, Rollup]]) -> dict[Series, Rollup]:
    found: dict[Series, Rollup] = {}
    for series, one in parts:
        found[series] = found.get(series, Rollup()).merge(one)
    return found


def test_m1_minutes_hours_days_and_a_recount_agree() -> None:
    """False if the sums of any two lengths, or of the events on the disk, differ; or a late event is in a bucket."""
    room, draw = GaugeRoom(), Random(2)
    late = 0
    for _ in range(400):
        room.wait(draw.randrange(0, 20) * SECOND_NS)
        ago_ns = draw.choice([0, 0, 0, MINUTE_NS, 9 * MINUTE_NS, 13 * MINUTE_NS, 3 * HOUR_NS])
        late += ago_ns > 12 * MINUTE_NS
        kind, agent = draw.choice(["turn", "tool", "request"]), draw.choice(["ann", "bob"])
        state, value = draw.choice(["inbox", "deep"]), draw.randrange(1_000) / 8
        counted = {"values": (value, 2 * value)} if draw.random() < 0.3 else {"value": value}
        late += ago_ns > 12 * MINUTE_NS and "values" in counted
        room.happen(kind, agent, time_ns=room.now_ns - ago_ns, state=state, visit=1, **counted)
    room.wait(DAY_NS + HOUR_NS)
    minutes, hours, days = ([(one.bucket.series, one.rollup) for one in room.kept(ns)] for ns in KEPT_NS)
    assert total_of(minutes) == total_of(hours) == total_of(days)
    by_measure: dict[str, Rollup] = {}
    for series, one in minutes:
        by_measure[series.measure] = by_measure.get(series.measure, Rollup()).merge(one)
    assert sum(one.count for one in room.state.rollups.late.values()) == late
    for measure, one in room.state.rollups.late.items():
        by_measure[measure] = by_measure[measure].merge(one)
    recount: dict[str, Rollup] = {}
    for event in room.events():
        one = rollup_of([(value, event.time_ns) for value in event.values or (event.value or 0.0,)])
        recount[event.kind] = recount.get(event.kind, Rollup()).merge(one)
    assert recount == by_measure


def test_many_events_are_counted_together_and_known_when_somebody_asks() -> None:
    """False if an event is counted twice or never, whether it waits for others, its block, or a question."""
    room = GaugeRoom()
    for number in range(BLOCK_MAX + 300):
        room.happen("turn", value=1.0)
        room.wait(1_000_000)
        if number % 700 == 699:
            assert room.ask("system", "admin", "admin")["data"]["hour"]["turn"]["count"] == number + 1
    room.happen("tool", values=(2.0, 3.0))
    hour = room.ask("system", "admin", "admin")["data"]["hour"]
    assert (hour["turn"]["count"], hour["turn"]["sum"]) == (BLOCK_MAX + 300, BLOCK_MAX + 300)
    assert (hour["tool"]["count"], hour["tool"]["sum"]) == (2, 5.0)
    room.wait(MINUTE_NS)
    assert len(room.events()) == BLOCK_MAX + 301


def test_long_events_fit_the_store() -> None:
    """False if the store refuses a block of events with long texts, or one of them is lost."""
    room = GaugeRoom()
    text = "x" * 5_000
    events = tuple(
        Happened(number, room.now_ns, "alarm", "ann", attributes=(("text", text),)) for number in range(1, 501)
    )
    room.take(HappenedTogether(events), "validator")
    room.wait(MINUTE_NS)
    assert len(room.events()) == 500
    assert max(len(value) for key, value in room.store.items() if key[:1] == b"e") <= BLOCK_BYTES_MAX


def test_m1_a_gap_is_recorded_and_a_repeat_ignored() -> None:
    """False if lost events go unnoticed, or repeated ones count twice."""
    room = GaugeRoom()
    room.happen("turn")
    room.happen("turn", number=5)
    room.happen("turn", number=3)
    room.happen("turn", number=5)
    assert room.state.events == 2
    [gap] = room.state.gaps
    assert (gap.sender, gap.first, gap.last) == ("validator", 2, 4)
    assert room.state.missed == 3
    assert [one.kind for one in room.sent if isinstance(one, Happened)] == ["gap"]


def test_m4_retention_deletes_what_is_too_old_and_nothing_else() -> None:
    """False if a rollup or an event is deleted too early, or kept much too long."""
    room = GaugeRoom()
    began_ns = room.now_ns
    for _ in range(3):
        room.happen("turn")
        room.wait(HOUR_NS)
    assert len(room.kept(MINUTE_NS)) == 3
    assert len(room.events()) == 3
    room.wait(EVENTS_KEPT_NS - 3 * HOUR_NS - MINUTE_NS)
    assert len(room.events()) == 3
    room.wait(2 * MINUTE_NS + 5 * MINUTE_NS)
    assert len(room.events()) == 2
    keys = list(room.store)
    for length_ns in KEPT_NS:
        mine = [one for one in keys if one[:2] == {MINUTE_NS: b"rm", HOUR_NS: b"rh", DAY_NS: b"ry"}[length_ns]]
        limit_ns = began_ns - began_ns % length_ns + KEPT_NS[length_ns]
        assert not any(is_too_old(one, limit_ns) for one in mine)
        assert is_too_old(mine[0], limit_ns + 1)


def test_a_full_disk_is_reported_and_written_to_later() -> None:
    """False if rollups are lost while the store is full, or nobody learns of it."""
    room = GaugeRoom()
    room.is_full = True
    room.happen("turn")
    room.wait(30 * MINUTE_NS)
    alarms = [dict(one.attributes)["code"] for one in room.sent if isinstance(one, Happened) and one.kind == "alarm"]
    assert set(alarms) == {"storage_full"}
    assert not room.store
    room.is_full = False
    room.wait(2 * MINUTE_NS)
    assert len(room.kept(MINUTE_NS)) == 1
    assert len(room.events()) == 1
    assert not room.state.shelf.waiting


MEASURED = """---
version: 1.0.0
---
# Protocol: work

## States
- inbox (initial): reads

## Roles
- worker: works
- boss: watches
  - may: measure:system

## Measurements
- quality: gauge
"""


def enrolled() -> GaugeRoom:
    room = GaugeRoom()
    room.take(ProtocolChanged("work", "1.0.0", "d", MEASURED, True))
    room.take(AgentMoved("ann", "worker", "work", "1.0.0", "d", "inbox", "", 1, 1, True, ()))
    room.take(AgentMoved("eve", "boss", "work", "1.0.0", "d", "inbox", "", 1, 1, True, ()))
    return room


def test_m6_what_an_agent_claims_never_becomes_a_fact() -> None:
    """False if a claimed value could open a guard."""
    room = enrolled()
    assert room.ask("record", id="quality", value=0.9)["data"]["confidence"] == "claimed"
    assert room.ask("record", id="quality", value=0.9)["success"], "a repeat"
    assert room.ask("record", id="context_percent", value=99)["error"]["code"] == "not_declared"
    assert room.ask("record", id="quality", value="much", request_id="s")["error"]["code"] == "no_number"
    room.happen("resource", sender="evil", source="agent", confidence="claimed", attributes=(("rss", "1"),))
    assert room.facts() == {}
    assert room.ask("self")["data"]["hour"]["custom.quality"]["count"] == 1
    [event] = [one for one in room.sent if isinstance(one, Happened)]
    assert (event.kind, event.source, event.confidence) == ("custom", "agent", "claimed")


def test_an_agent_sees_itself_and_others_only_by_right() -> None:
    """False if an agent without the right sees what is measured about others."""
    room = enrolled()
    room.happen("turn", "eve")
    assert room.ask("peers")["error"]["code"] == "no_right"
    assert room.ask("system")["error"]["code"] == "no_right"
    assert room.ask("self", agent_="eve")["error"]["type"] == "usage"
    assert [one["agent"] for one in room.ask("peers", "eve")["data"]["peers"]] == ["ann", "eve"]
    assert room.ask("system", "eve")["data"]["hour"]["turn"]["count"] == 1
    assert room.ask("system", "admin", "admin")["data"]["agents"] == 2


def test_a_loop_without_progress_is_an_alarm_and_with_progress_none() -> None:
    """False if an agent that goes in circles is not noticed, or one that works is."""
    room = GaugeRoom()
    for visit in range(1, 30):
        room.happen("transition", state="ab"[visit % 2], visit=visit)
        if visit % 4 == 0:
            room.happen("message.delivered", sender="router", state="ab"[visit % 2], visit=visit)
    assert not [one for one in room.sent if isinstance(one, PromptWanted)]
    for visit in range(30, 45):
        room.happen("transition", state="ab"[visit % 2], visit=visit)
    prompts = [one for one in room.sent if isinstance(one, PromptWanted)]
    assert len(prompts) == 1
    assert (prompts[0].agent, prompts[0].reason) == ("ann", "alarm")


@given(st.lists(st.sampled_from("abc"), max_size=40))
def test_a_cycle_is_one_that_was_passed_five_times(path: list[str]) -> None:
    """False if the search finds a cycle that is none, or misses one."""
    cycle = cycle_of(tuple(path))
    lengths = [n for n in range(1, 11) if len(path) >= 5 * n and path[-5 * n :] == path[-n:] * 5]
    assert bool(cycle) == bool(lengths)
    if lengths:
        assert cycle == tuple(path[-lengths[0] :])


def message(name: str, time_s: int = 0, output: int = 10, model: str = "claude-x", **more: Any) -> LogRecord:
    """A message of a session log, with a context of 50,000 tokens."""
    usage = Usage(more.pop("input", 1_000), more.pop("cache_read", 40_000), more.pop("cache_write", 9_000), output)
    time_ns = (1_700_000_040 + time_s) * SECOND_NS if time_s >= 0 else 0
    return LogRecord("message", "s", time_ns, model, name, more.pop("request", "q"), usage, **more)


def test_tokens_become_facts() -> None:
    """False if guards see another context, use or cost than the log has."""
    room = GaugeRoom()
    room.happen("transition", visit=1)
    room.read(message("m1"), message("m2", output=20, is_sidechain=True, cache_read=900_000))
    facts = room.facts()
    assert facts["context_tokens"] == 50_000
    assert facts["context_percent"] == 25
    assert facts["tokens_in_state"] == facts["tokens_in_session"] == 1_000 + 9_000 + 10 + 1_000 + 9_000 + 20
    assert facts["cost"] == pytest.approx((2_000 * 3 + 940_000 * 0.3 + 18_000 * 3.75 + 30 * 15) / 1e6)
    room.now_ns += SECOND_NS
    room.happen("transition", visit=2, state="deep")
    assert room.facts()["tokens_in_state"] == 0
    room.read(message("m3", 5, model="claude-big-1"), message("m4", -5))
    assert room.facts()["context_percent"] == 5
    assert room.facts()["tokens_in_state"] == 20_020
    for session, is_resumed in ((2, True), (3, False)):
        before = room.facts()
        attributes = (("conversation", "2"), ("resumed", str(is_resumed)))
        room.happen("life.starting", sender="orchestrator", visit=2, session=session, attributes=attributes)
        anew = {} if is_resumed else {"context_percent": 0, "context_tokens": 0, "tokens_in_session": 0}
        assert room.facts() == before | anew
        assert room.state.agents["ann"].session == session


def test_what_the_engine_measures_for_a_protocol_becomes_a_fact() -> None:
    """False if the effect `measure` of a transition changes nothing that a guard can see."""
    room = GaugeRoom()
    room.happen("custom", attributes=(("id", "rounds"),))
    room.happen("custom", attributes=(("id", "rounds"),))
    assert room.facts() == {"rounds": 2}
    room.happen("retired")
    assert "ann" not in room.state.agents


def test_resources_become_facts() -> None:
    """False if a guard on memory sees nothing, or another value."""
    room = GaugeRoom()
    room.happen(
        "resource",
        sender="orchestrator",
        attributes=(("memory_bytes", "1048576"), ("cpu_ns", "1500000000"), ("x", "1")),
    )
    assert room.facts() == {"rss": 1_048_576, "cpu_seconds": 1.5}


def test_s7_what_was_read_is_not_read_again_and_what_was_left_out_is() -> None:
    """False if a repeated piece of a log counts twice, or a missing one is not asked for."""
    room = GaugeRoom()
    room.happen("session.registered", attributes=(("transcript", "/w/ann/log.jsonl"),))
    [order] = [one for one in room.sent if isinstance(one, FollowLog)]
    assert (order.path, order.cursors) == ("/w/ann/log.jsonl", ())
    room.read(message("m1"), message("m2"))
    before = room.facts()
    room.read(message("m1"), message("m2"), offset=0)
    room.read(message("m9"), offset=700)
    assert room.facts() == before
    orders = [one for one in room.sent if isinstance(one, FollowLog)]
    assert [(one.identity, one.offset) for one in orders[-1].cursors] == [("a", 200)]
    room.read(message("m2"), message("m3"), offset=100)
    assert room.state.agents["ann"].tokens.total.output == 30, "a piece that overlaps counts what is new in it"
    assert len([one for one in room.take(LogsNeeded(), "logs") if isinstance(one, FollowLog)]) == 1
    room.take(LogRead("ann", "", "", 0, 0, (), problem="it cannot be read"), "logs")
    assert room.facts()["log_intact"] is False, "an agent is not resumed from it"
    room.read(message("m4"), offset=300)
    assert room.facts()["log_intact"] is True
    room.take(Retire("ann"))
    assert room.take(LogsNeeded(), "logs") == []


def test_without_a_store_nothing_grows() -> None:
    """False if measurement without a disk keeps what it cannot write."""
    room = GaugeRoom(replace(GAUGES, store=None))
    for _ in range(50):
        room.happen("turn")
        room.wait(3 * HOUR_NS)
    assert not room.state.shelf.waiting
    assert not room.state.shelf.events
    assert len(room.state.rollups.longer) <= 2
