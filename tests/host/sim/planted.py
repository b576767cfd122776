"""Engines with a planted mistake each, and the properties that it breaks.

A queue waits for each job it hands to a worker and forgets that a worker may die with it: a lost wake-up. A client pays
again when a receipt is late, and the till takes it as another payment: a retry that is not idempotent.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from engines.model import (
    Arrived,
    Become,
    CancelTimer,
    Effects,
    Elapsed,
    Family,
    Handle,
    Message,
    Ref,
    Send,
    SetTimer,
    Timer,
    Value,
    rule,
)


class Job(Message):
    """Do job `n`, and tell `queue`."""

    n: int
    queue: Ref[Done]


class Done(Message):
    """Job `n` is done."""

    n: int


class Put(Message):
    """A job for `worker`."""

    n: int
    worker: Ref[Job]


class Jobs(Value):
    """Jobs that wait, the one the worker has, and those done."""

    worker: Ref[Job] | None = None
    waiting: tuple[int, ...] = ()
    at_work: int = 0
    done: tuple[int, ...] = ()


@rule
def put(order: Put, t: Arrived[Put, None, Jobs]) -> Effects[Jobs, Job]:
    """State: the job waits, or is at work. Messages: the job, if none is at work. Timers, engines: none."""
    jobs = replace(t.env.state, worker=order.worker)
    if jobs.at_work:
        return replace(jobs, waiting=(*jobs.waiting, order.n))
    return [Become(replace(jobs, at_work=order.n)), Send(order.worker, Job(order.n, Ref(t.me.name)))]


@rule
def finished(done: Done, t: Arrived[Done, None, Jobs]) -> Effects[Jobs, Job]:
    """State: a job more is done. Messages: the next one. Timers, engines: none."""
    jobs = t.env.state
    jobs = replace(jobs, at_work=0, done=(*jobs.done, done.n))
    if not jobs.waiting or jobs.worker is None:
        return jobs
    n, *waiting = jobs.waiting
    after = replace(jobs, at_work=n, waiting=tuple(waiting))
    return [Become(after), Send(jobs.worker, Job(n, Ref(t.me.name)))]


QUEUE = Family("queue", state=Jobs(), accepts=Put | Done, emits=Job).rules(put, finished)


WORK = Timer("work")


class Busy(Value):
    """The job at hand."""

    job: Job | None = None


@rule
def begin(job: Job, t: Arrived[Job, None, Busy]) -> Effects[Busy, Done]:
    """State: the job. Timers: its end. Messages, engines: none."""
    return [Become(Busy(job)), SetTimer(WORK, t.now_ns + 1_000_000)]


@rule(timer=WORK)
def end(_work: Handle, t: Elapsed[None, Busy]) -> Effects[Busy, Done]:
    """State: no job. Messages: it is done. Timers, engines: none."""
    job = t.env.state.job
    return [Become(Busy()), Send(job.queue, Done(job.n))] if job is not None else []


WORKER = Family("worker", state=Busy(), accepts=Job, emits=Done, timers=(WORK,)).rules(begin, end)


def nothing_waits(view: Any) -> bool:
    """Every job was done."""
    return all(not engine.state.at_work for engine in view.engines("queue"))


# --- a retry that is not idempotent -----------------------------------------------------------------------------------


class Buy(Message):
    """Pay `amount` to `till`."""

    till: Ref[Charge]
    amount: int


class Charge(Message):
    """A payment."""

    amount: int
    client: Ref[Receipt]


class Receipt(Message):
    """It was taken."""


class Taken(Value):
    """What the till took."""

    total: int = 0


class Owed(Value):
    """What a client has ordered in all, and what it is paying."""

    till: Ref[Charge] | None = None
    owes: int = 0
    ordered: int = 0


RETRY = Timer("retry")
PATIENCE_NS = 4_000_000


@rule
def take(charge: Charge, t: Arrived[Charge, None, Taken]) -> Effects[Taken, Receipt]:
    """State: the money is taken. Messages: a receipt. Timers, engines: none."""
    return [Become(Taken(t.env.state.total + charge.amount)), Send(charge.client, Receipt())]


@rule
def buy(order: Buy, t: Arrived[Buy, None, Owed]) -> Effects[Owed, Charge]:
    """State: what is owed. Messages: a payment. Timers: the next try. Engines: none."""
    owed = Owed(order.till, order.amount, t.env.state.ordered + order.amount)
    charge = Charge(order.amount, Ref(t.me.name))
    return [Become(owed), Send(order.till, charge), SetTimer(RETRY, t.now_ns + PATIENCE_NS)]


@rule(timer=RETRY)
def try_again(_retry: Handle, t: Elapsed[None, Owed]) -> Effects[Owed, Charge]:
    """Messages: the payment again. Timers: the next try. State, engines: none."""
    owed = t.env.state
    if owed.till is None:
        return []
    return [Send(owed.till, Charge(owed.owes, Ref(t.me.name))), SetTimer(RETRY, t.now_ns + PATIENCE_NS)]


@rule
def receipt(_paid: Receipt, t: Arrived[Receipt, None, Owed]) -> Effects[Owed, Charge]:
    """State: nothing is owed. Timers: no further try. Messages, engines: none."""
    owed = replace(t.env.state, till=None, owes=0)
    return [Become(owed), CancelTimer(RETRY)] if t.env.is_pending(RETRY) else []


CASHIER = Family("cashier", state=Taken(), accepts=Charge, emits=Receipt).rules(take)
BUYER = Family("buyer", state=Owed(), accepts=Buy | Receipt, emits=Charge, timers=(RETRY,)).rules(
    buy, try_again, receipt
)


def nothing_is_taken_twice(view: Any) -> bool:
    """The cashier has at most what was ordered."""
    return sum(one.state.total for one in view.engines("cashier")) <= sum(
        one.state.ordered for one in view.engines("buyer")
    )


def nobody_has_it(view: Any) -> bool:
    """Planted: a property that raises."""
    return bool(view.engine("nobody").state)
