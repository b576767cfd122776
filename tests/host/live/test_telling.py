"""What a worker tells: complete counts, and packets that fit, whatever the letters hold."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engines.examples.dice import DICE
from host.live import wire
from host.live.packets import Channel, channel_pair, supervisor_end, worker_end
from host.live.worker.telling import Telling
from host.node.news import Event, NoteLine, Waits
from host.node.report import LETTERS_MAX, NOTES_MAX, Report


def pair() -> tuple[Report, Telling, Channel[wire.ToSupervisor], Channel[wire.ToWorker]]:
    left, right = channel_pair()
    report, worker = Report(), worker_end(left)
    return report, Telling(worker, report), supervisor_end(right), worker


def heard(supervisor: Channel[wire.ToSupervisor], worker: Channel[wire.ToWorker]) -> list[wire.ToSupervisor]:
    packets: list[wire.ToSupervisor] = []
    while True:
        received = supervisor.receive()
        if received is not None:
            packets.append(received[0])
        elif worker.waiting:
            worker.flush()
        else:
            return packets


SIZES = st.lists(st.sampled_from([0, 10, 5_000, 20_000, 100_000]), max_size=30)


@settings(max_examples=30)
@given(SIZES, SIZES)
def test_letters_and_notes_of_any_size_fit_into_packets(details: list[int], texts: list[int]) -> None:
    """False if a long traceback or note could stop a worker from telling anything."""
    report, telling, supervisor, worker = pair()
    for size in details:
        report.bury("failed", "a", "b", 0, 1, b"\xc0" * min(size, 4_000), is_encoded=True, detail="x" * size)
    for size in texts:
        report.note(NoteLine("a", 1, "y" * size, {"z": "z" * size}))
    telling.everything(1)
    packets = heard(supervisor, worker)
    letters = [letter for packet in packets if isinstance(packet, wire.Letters) for letter in packet.letters]
    notes = [note for packet in packets if isinstance(packet, wire.Notes) for note in packet.notes]
    assert (len(letters), len(notes)) == (len(details), len(texts))
    counts = [packet.counts for packet in packets if isinstance(packet, wire.Letters)]
    assert sum(count.get("failed", 0) for count in counts) == len(details)
    worker.close()
    supervisor.close()


def test_a_flood_keeps_the_newest_and_counts_all() -> None:
    """False if a flood cost memory without bound, or went uncounted."""
    report, telling, supervisor, worker = pair()
    for n in range(LETTERS_MAX + 500):
        report.bury("unknown", "a", f"b{n}", 0, n, None, is_encoded=False)
    for n in range(NOTES_MAX + 7):
        report.note(NoteLine("a", n, str(n)))
    telling.everything(1)
    packets = heard(supervisor, worker)
    letters = [letter for packet in packets if isinstance(packet, wire.Letters) for letter in packet.letters]
    notes = [packet for packet in packets if isinstance(packet, wire.Notes)]
    assert [letter.target for letter in letters] == [f"b{n}" for n in range(500, LETTERS_MAX + 500)]
    assert sum(packet.counts.get("unknown", 0) for packet in packets if isinstance(packet, wire.Letters)) == 1_500
    assert [note.text for packet in notes for note in packet.notes] == [str(n) for n in range(7, NOTES_MAX + 7)]
    assert sum(packet.dropped for packet in notes) == 7
    worker.close()
    supervisor.close()


def test_what_others_depend_on_is_told_at_once_and_the_rest_in_time() -> None:
    """False if a question for a name waited behind letters, or letters of a busy worker were a packet each."""
    report, telling, supervisor, worker = pair()
    report.resolve.append("b")
    report.stopped.append("c")
    report.waits.append(Waits("d", ("x", "y"), 5))
    report.events.append(Event("gap", "e", {"expected": 1}))
    telling.at_once()
    assert heard(supervisor, worker) == [wire.Resolve("b"), Waits("d", ("x", "y"), 5), wire.EngineEnded("c")]
    telling.in_time(10**9)
    assert heard(supervisor, worker) == [Event("gap", "e", {"expected": 1})]
    report.events.append(Event("gap", "e", {"expected": 2}))
    telling.in_time(10**9 + 1)
    assert heard(supervisor, worker) == []
    telling.in_time(2 * 10**9)
    assert len(heard(supervisor, worker)) == 1
    worker.close()
    supervisor.close()


def test_how_a_family_looks_is_told_once() -> None:
    """False if thousands of engines of one family each cost the milliseconds of describing it."""
    _, telling, supervisor, worker = pair()
    for names in (["a.1"], ["a.2", "a.3"]):
        telling.ready((name, DICE) for name in names)
    told = [each for packet in heard(supervisor, worker) if isinstance(packet, wire.Ready) for each in packet.engines]
    assert [names for _, names in told] == [("a.1",), ("a.2", "a.3")]
    assert [running.interface for running, _ in told] == [DICE.interface(), None]
    worker.close()
    supervisor.close()
