"""The control page: what a worker is doing, read from outside, also after its death."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.live.control_page import NAME_BYTES_MAX, ControlPage, new_control_page, read_control_page
from host.node.news import Trigger
from host.node.progress import EPOCH, HANDLED, MAILBOX, PARKED, RECEIVED, SENT, STARTED_NS, TIMERS, N
from transport.port import Broken


@pytest.fixture
def page() -> Iterator[int]:
    descriptor = new_control_page()
    yield descriptor
    os.close(descriptor)


def test_a_fresh_page_says_nothing(page: int) -> None:
    """False if a slot that never ran named a message in flight."""
    reading = read_control_page(page)
    assert (reading.engine, reading.in_flight, reading.words[HANDLED]) == ("", None, 0)


@given(
    st.text(min_size=1, max_size=60).filter(lambda name: name.isprintable()),
    st.text(max_size=60),
    st.integers(1, 2**64 - 1),
)
def test_what_is_written_is_read(engine: str, sender: str, n: int) -> None:
    """False if a word or a name were cut or moved."""
    descriptor = new_control_page()
    try:
        writer = ControlPage(descriptor)
        writer.show(engine, sender)
        words = {MAILBOX: 3, EPOCH: 7, STARTED_NS: 9, HANDLED: 5, RECEIVED: 8, SENT: 2, PARKED: 3, N: n}
        for word, value in words.items():
            writer.words[word] = value
        reading = read_control_page(descriptor)
        assert reading.in_flight == Trigger(engine, sender, 3, 7, n)
        shown = [reading.words[word] for word in (STARTED_NS, HANDLED, RECEIVED, SENT, PARKED)]
        assert shown == [9, 5, 8, 2, 3]
    finally:
        os.close(descriptor)


def test_timers_in_flight_are_no_message(page: int) -> None:
    """False if a kill while timers were handled made a dead letter of a message that never was."""
    writer = ControlPage(page)
    writer.show("engine", "")
    writer.words[MAILBOX] = TIMERS
    writer.words[N] = 1
    reading = read_control_page(page)
    assert (reading.engine, reading.in_flight) == ("engine", None)


def test_names_beyond_their_field_are_cut(page: int) -> None:
    """False if a long name overwrote what lies behind it."""
    writer = ControlPage(page)
    writer.show("e" * 5_000, "s" * 5_000)
    writer.words[N] = 1
    in_flight = read_control_page(page).in_flight
    assert in_flight is not None
    assert (in_flight.engine, in_flight.sender) == ("e" * NAME_BYTES_MAX, "s" * NAME_BYTES_MAX)


def test_the_page_outlives_its_writer_and_the_next_writer_clears_it(page: int) -> None:
    """False if a kill took the page along, or a new process were blamed for the old one's message."""
    pid = os.fork()
    if pid == 0:
        writer = ControlPage(page)
        writer.show("engine", "sender")
        writer.words[N] = 42
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert read_control_page(page).in_flight == Trigger("engine", "sender", 0, 0, 42)
    ControlPage(page)
    assert read_control_page(page).in_flight is None


def test_what_is_no_page_is_broken() -> None:
    """False if some other memory were read as a page."""
    descriptor = os.memfd_create("no-page", os.MFD_CLOEXEC)
    os.write(descriptor, b"x" * 4_096)
    with pytest.raises(Broken):
        read_control_page(descriptor)
    with pytest.raises(Broken):
        ControlPage(descriptor)
    os.close(descriptor)
