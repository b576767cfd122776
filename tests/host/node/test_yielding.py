"""Timers of no delay: they keep out neither mail nor neighbours, and what they send has the bounds of any output."""

from __future__ import annotations

import pytest
from engines_for_tests import ASKER, PUMP, RECORDER, Add, Ask, Pump
from hypothesis import given
from hypothesis import strategies as st
from inline_nodes import InlineNode

from engines.model import Ref
from host.config.spec import MailboxSpec
from host.node.scheduler import RUN_NS_MAX
from host.node.turns import OUTPUTS_MAX

SECOND = 1_000_000_000
CALL_NS = 10_000
"""Time that passes from one look at the clock to the next."""
ALWAYS = 1 << 60
"""Ticks that nobody lives to see the end of."""


class Ticking:
    """A clock that moves by a little at each look."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        self.now_ns += CALL_NS
        return self.now_ns


def nodes() -> tuple[InlineNode, Ticking]:
    clock = Ticking()
    return InlineNode(lambda ref: RECORDER, clock=clock), clock


def test_a_run_ends_in_time_whatever_the_timers() -> None:
    """False if an engine whose timer is always due kept the process from everything else."""
    inline, clock = nodes()
    inline.add("pump", PUMP)
    inline.send("pump", Pump(Ref("pump"), ALWAYS))
    for _ in range(3):
        before_ns = clock.now_ns
        inline.cycle()
        assert clock.now_ns - before_ns < 2 * RUN_NS_MAX


def test_very_many_due_timers_are_no_longer_run_than_one() -> None:
    """False if a look at the clock came only after all engines of a large group had fired."""
    inline, clock = nodes()
    for number in range(2_000):
        inline.add(f"pump{number}", PUMP)
        inline.send(f"pump{number}", Pump(Ref("nobody"), ALWAYS))
    inline.listen("nobody")
    for _ in range(5):
        before_ns = clock.now_ns
        inline.scheduler.run(budget_ns=10 * CALL_NS)
        assert clock.now_ns - before_ns < 3_000 * CALL_NS
    assert any(inline.state(f"pump{number}").ticks < ALWAYS for number in range(2_000))


@pytest.mark.storm
@given(st.integers(1, 40), st.integers(1, 40))
def test_mail_gets_its_turn_between_timers_that_are_always_due(own: int, neighbours: int) -> None:
    """False if a timer of no delay kept mail from its engine or from a neighbour."""
    inline, _ = nodes()
    inline.add("pump", PUMP)
    inline.add("recorder", RECORDER)
    inline.send("pump", Pump(Ref("pump"), ALWAYS))
    inline.cycle()
    inline.send("pump", *[Add(1)] * own)
    inline.send("recorder", *[Add(1)] * neighbours)
    inline.cycle()
    assert inline.state("pump").heard == own
    assert len(inline.state("recorder").numbers) == neighbours


@pytest.mark.storm
def test_outputs_of_timers_have_the_bound_of_any_output() -> None:
    """False if what timers send heaped up in memory until the last of them had fired."""
    inline, _ = nodes()
    inline.add("pump", PUMP)
    heard = inline.listen("out")
    inline.send("pump", Pump(Ref("out"), 1_000, 300))
    seen = 0
    while not inline.scheduler.is_idle:
        inline.scheduler.run()
        waiting = sum(len(outputs) for _, outputs in inline.scheduler.turns.outputs)
        assert waiting < OUTPUTS_MAX + 301
        seen = max(seen, waiting)
        inline.cycle()
    inline.run_until_idle()
    assert seen >= OUTPUTS_MAX / 2
    assert len(heard) == 300_000


def test_an_engine_whose_outputs_cannot_leave_gets_no_timer_either() -> None:
    """False if timers went on to fire, and to send, where mail would have had to wait."""
    inline, _ = nodes()
    inline.add("pump", PUMP)
    inline.add("asker", ASKER, mailboxes={0: MailboxSpec(capacity=8)})
    inline.send("asker", Ask(SECOND))
    inline.send("pump", Pump(Ref("asker"), ALWAYS, 50))
    for _ in range(20):
        inline.cycle()
    held = sum(map(len, inline.scheduler.cells["pump"].held.values()))
    assert inline.state("pump").sent <= OUTPUTS_MAX + 50
    assert held == inline.outbox.held > 0
