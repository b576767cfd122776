"""Moments become a chart: what is paired with what, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from host.chart.join import join
from host.chart.model import Arrow, Chart, ChartMark, Participant
from host.chart.moments import MessageId, Moment, Sending, Source, Spawning, Taking


def message(sender: str, target: str, n: int, epoch: int = 1) -> MessageId:
    return MessageId(sender, target, 0, epoch, n)


def takes(time_ns: int, id: MessageId, *sent: MessageId) -> Moment:
    """The receiver takes a message, and sends these."""
    return Moment(
        time_ns, id.target, 1, Taking(id, f"M{id.n}", "taken"), sent=tuple(Sending(one, f"M{one.n}") for one in sent)
    )


def source(name: str, *moments: Moment, complete_from_ns: int | None = 0) -> Source:
    return Source(name, moments, (name,), complete_from_ns=complete_from_ns)


def arrows(chart: Chart) -> list[str]:
    """Events as short text."""
    return [
        f"{e.source}>{e.target} {e.label} {e.fate}" if isinstance(e, Arrow) else f"{','.join(e.engines)} {e.label}"
        for e in chart.events
    ]


def test_a_message_comes_after_its_sending_whatever_the_clocks_say() -> None:
    """False if a receiver whose clock is behind were drawn before its sender."""
    ask = message("a", "b", 1)
    chart = join([source("b", takes(5, ask)), source("a", takes(100, message("cli", "a", 1), ask))])
    assert arrows(chart) == ["cli>a M1 taken", "a>b M1 taken"]
    assert chart.participants == (Participant("cli", True), Participant("a"), Participant("b"))


def test_ties_go_by_time_then_name() -> None:
    """False if the order depended on that of the logs."""
    one, two, three = (source(n, takes(t, message("cli", n, 1))) for n, t in (("c", 7), ("b", 7), ("a", 8)))
    expected = ["cli>b M1 taken", "cli>c M1 taken", "cli>a M1 taken"]
    assert arrows(join([one, two, three])) == arrows(join([three, two, one])) == expected


def test_what_was_sent_again_is_paired_with_its_sending() -> None:
    """False if a message that a recovery sent again, in a later epoch, were drawn as one from nowhere and one lost."""
    first = message("a", "b", 4, epoch=1)
    chart = join(
        [source("a", takes(1, message("cli", "a", 1), first)), source("b", takes(2, message("a", "b", 4, epoch=3)))]
    )
    assert arrows(chart) == ["cli>a M1 taken", "a>b M4 taken"]


def test_numbers_of_another_epoch_are_other_messages() -> None:
    """False if a taken message were paired with one that was sent later, in a later epoch."""
    a = source("a", takes(9, message("cli", "a", 1), message("a", "b", 4, epoch=3)))
    chart = join([a, source("b", takes(2, message("a", "b", 4, epoch=1)))])
    assert arrows(chart) == ["a>b M4 taken", "cli>a M1 taken", "a>b M4 lost"]


def test_what_became_of_untaken_messages() -> None:
    """False if a chart claimed a loss that the logs do not show, or hid one."""
    sent = [message("a", name, 1) for name in ("done", "busy", "partly", "far")]
    a = source("a", takes(5, message("cli", "a", 1), *sent))
    end = Moment(6, "done", after=(ChartMark(6, ("done",), "ended", "ends"),), is_end=True)
    done = Source("done", (end,), ("done",), complete_from_ns=0)
    busy = Source("busy", (), ("busy",), waiting=((message("a", "busy", 1), 1),), complete_from_ns=0)
    partly = Source("partly", (), ("partly",), complete_from_ns=6)
    chart = join([a, done, busy, partly])
    fates = {event.target: (event.fate, event.detail) for event in chart.events if isinstance(event, Arrow)}
    assert fates == {
        "a": ("taken", ""),
        "done": ("lost", "done ended first"),
        "busy": ("waiting", ""),
        "partly": ("sent", ""),
        "far": ("sent", ""),
    }


def test_a_birth_comes_after_its_spawn() -> None:
    """False if a child lived before its parent made it."""
    spawn = Moment(50, "a", 1, spawned=(Spawning("a/x", "spawn X"),))
    birth = Moment(3, "a/x", marks=(ChartMark(3, ("a/x",), "began", "begins"),), is_birth=True)
    chart = join([source("a/x", birth), source("a", spawn)])
    assert arrows(chart) == ["a>a/x spawn X spawn", "a/x begins"]


def test_logs_that_contradict_each_other_are_drawn_whole() -> None:
    """False if two logs, one of them an old copy, gave an endless search or a chart without them."""
    x, y = message("a", "b", 1), message("b", "a", 1)
    chart = join([source("a", takes(1, y, x)), source("b", takes(2, x, y))])
    assert arrows(chart) == ["b>a M1 taken", "a>b M1 taken"]


Script = list[tuple[int, int, int]]


STEPS = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 5))


@given(st.lists(STEPS, max_size=40), st.permutations(range(4)))
def test_every_order_of_logs_gives_the_same_chart(script: Script, order: Sequence[int]) -> None:
    """False for a run of four engines with any clocks if the chart breaks an engine's own order, draws a message before
    its sending, loses a moment, or depends on the order of the logs.
    """
    moments: list[list[Moment]] = [[], [], [], []]
    sent: list[tuple[MessageId, int]] = []
    for number, (who, whom, time_ns) in enumerate(script):
        mine = next((pair for pair in sent if pair[0].target == f"e{who}"), None)
        if mine is not None:
            sent.remove(mine)
        cause = message("cli", f"e{who}", 1000 + number) if mine is None else mine[0]
        made = message(f"e{who}", f"e{whom}", number)
        moments[who].append(takes(time_ns, cause, made))
        sent.append((made, number))
    sources = [source(f"e{index}", *found) for index, found in enumerate(moments)]
    chart = join(sources)
    taken = [e for e in chart.events if isinstance(e, Arrow) and e.fate == "taken"]
    for index, found in enumerate(moments):
        expected = [moment.took.label for moment in found if moment.took is not None]
        assert [event.label for event in taken if event.target == f"e{index}"] == expected
    made = {(m.took.label, m.engine): {one.label for one in m.sent} for found in moments for m in found if m.took}
    seen: set[str] = set()
    for event in taken:
        assert event.source == "cli" or event.label in seen
        seen |= made[event.label, event.target]
    assert join([sources[index] for index in order]) == chart
