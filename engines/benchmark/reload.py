"""A server whose code is replaced under load, and the client that measures its waits: what `bench reload` measures.

The client asks at a rate, or keeps a number of questions waiting. Its *wait* for an answer runs from the question or
from the answer before it, whichever was later: the time that a queue takes is not in it, the time in which nobody
answers is. The bench writes the server's family itself, since its source has to change.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from engines.model import (
    Arrived,
    Become,
    Effects,
    Elapsed,
    Family,
    Handle,
    Map,
    Message,
    Ref,
    Send,
    SetTimer,
    Timer,
    Value,
    rule,
)

TICK_NS: Final = 1_000_000
ASKED_MAX: Final = 5_000
"""Questions of one tick."""

BEHIND_MAX: Final = 1_000
"""Unanswered questions beyond which a client with a rate falls behind it, rather than fill every queue."""


class Ask(Message):
    """A question, numbered in order."""

    n: int
    sent_ns: int
    client: Ref[Answer]


class Answer(Message):
    """To the question with this number."""

    n: int
    sent_ns: int


class Fill(Message):
    """Have `entries` values of `size_bytes` in the state."""

    entries: int
    size_bytes: int
    listener: Ref[Filled]


class Filled(Message):
    """The state is full."""


class Store(Value):
    """Answers so far, and the content."""

    answers: int = 0
    content: Map[int, bytes] = Map()


class Begin(Message):
    """Ask `server`: `rate` questions a second or, without a rate, `waiting` at a time."""

    server: Ref[Ask]
    rate: int = 0
    waiting: int = 0


class Look(Message):
    """Report the longest wait since the last report. `ends`: ask no more."""

    listener: Ref[Waits]
    ends: bool = False


class Waits(Message):
    """The longest wait, and how many questions were asked, answered, and not answered in order."""

    longest_ns: int
    asked: int
    answered: int
    wrong: int


class Course(Value):
    """What the client asks, and has seen."""

    server: Ref[Ask] | None = None
    rate: int = 0
    waiting: int = 0
    began_ns: int = 0
    asked: int = 0
    answered: int = 0
    wrong: int = 0
    last_ns: int = 0
    longest_ns: int = 0


TICK = Timer("tick")


@rule
def answer(m: Ask, t: Arrived[Ask, None, Store]) -> Effects[Store, Answer | Filled]:
    """State: one more, and an entry replaced. Messages: the answer. Timers, engines: none."""
    store = t.env.state
    content = store.content.set(m.n % (len(store.content) or 1), m.n.to_bytes(8, "big"))
    return [Become(Store(store.answers + 1, content)), Send(m.client, Answer(m.n, m.sent_ns))]


@rule
def fill(m: Fill, t: Arrived[Fill, None, Store]) -> Effects[Store, Answer | Filled]:
    """State: full. Messages: a report. Timers, engines: none."""
    content = Map((n, n.to_bytes(m.size_bytes, "big")) for n in range(m.entries))
    return [Become(Store(t.env.state.answers, content)), Send(m.listener, Filled())]


@rule
def begin(m: Begin, t: Arrived[Begin, None, Course]) -> Effects[Course, Ask | Waits]:
    """State: a new course. Messages: none. Timers: the first tick. Engines: none."""
    course = Course(m.server, m.rate, m.waiting, t.now_ns, last_ns=t.now_ns)
    return [Become(course), SetTimer(TICK, at_ns=t.now_ns + TICK_NS)]


@rule(timer=TICK)
def ask(_tick: Handle, t: Elapsed[None, Course]) -> Effects[Course, Ask | Waits]:
    """State: more asked. Messages: what is due. Timers: the next tick, until the end. Engines: none."""
    course, now_ns = t.env.state, t.now_ns
    if course.server is None or not (course.rate or course.waiting):
        return []
    behind = course.asked - course.answered
    due = course.waiting - behind
    if course.rate:
        on_time = (now_ns - course.began_ns) * course.rate // 1_000_000_000 - course.asked
        due = min(on_time, BEHIND_MAX - behind)
    server, me = course.server, Ref[Answer](t.me.name)
    until = course.asked + max(0, min(due, ASKED_MAX))
    asks = [Send(server, Ask(n, now_ns, me)) for n in range(course.asked, until)]
    after = Become(replace(course, asked=until))
    return [after, SetTimer(TICK, at_ns=now_ns + TICK_NS), *asks]


@rule
def answered(m: Answer, t: Arrived[Answer, None, Course]) -> Effects[Course, Ask | Waits]:
    """State: one more, and how long it took. Messages, timers, engines: none."""
    course, now_ns = t.env.state, t.now_ns
    wait_ns = now_ns - max(m.sent_ns, course.last_ns)
    wrong = course.wrong + (m.n != course.answered)
    longest_ns = max(course.longest_ns, wait_ns)
    return replace(course, answered=course.answered + 1, wrong=wrong, last_ns=now_ns, longest_ns=longest_ns)


@rule
def look(m: Look, t: Arrived[Look, None, Course]) -> Effects[Course, Ask | Waits]:
    """State: no longest wait yet. Messages: a report. Timers, engines: none."""
    course = t.env.state
    waits = Waits(course.longest_ns, course.asked, course.answered, course.wrong)
    after = replace(course, longest_ns=0)
    return [Become(replace(after, rate=0, waiting=0) if m.ends else after), Send(m.listener, waits)]


CLIENT = Family("asking-client", state=Course(), accepts=Begin | Answer | Look, emits=Ask | Waits, timers=[TICK]).rules(
    begin, ask, answered, look
)
