"""The feed: what transactions changed, in the order of their timestamps, for those who watch keys.

Workers send it the outcomes of all their transactions, whoever submitted them. Timestamps are consecutive, so it holds
back what came early and has every transaction once, in order; the timestamp is also the cursor with which a watcher
continues after any restart. So each worker of a node needs the feed in its configuration, if any has it.

It keeps the latest `kept` transactions. A watcher that is further behind is refused and told where it can go on.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from msgspec import Meta
from msgspec.structs import replace

from engines.execution.transactions import Summary
from engines.mempool.messages import ExecutorFinished
from engines.model import (
    Arrived,
    Become,
    CancelTimer,
    Config,
    Effects,
    Elapsed,
    Family,
    Handle,
    Map,
    Ref,
    Send,
    Sent,
    SetTimer,
    Timer,
    Value,
    rule,
)

from .messages import Change, Changes, Refusal, Watch

WATCHERS_MAX: Final = 1_000
PATIENCE: Final = Timer("patience")


class Keep(Config):
    """How many transactions are kept for watchers."""

    kept: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000


class Watcher(Value):
    """Somebody for whom nothing has come yet. `after` moves on with the transactions that are of no interest."""

    reply_to: Ref[Changes | Refusal]
    after: int
    keys: tuple[bytes, ...]
    limit: int
    until_ns: int


class Published(Value):
    """State: transactions up to `last` without a gap, of which those from `first` on are kept; later ones wait."""

    first: int = 1
    last: int = 0
    changes: Map[int, Change] = Map()
    early: Map[int, Change] = Map()
    watchers: tuple[Watcher, ...] = ()


News: TypeAlias = Changes | Refusal


def of_interest(change: Change, keys: tuple[bytes, ...]) -> bool:
    """Whether a watcher of these keys wants a change."""
    return not keys or any(access.key in keys for access in change.writes)


@rule
def publish(told: ExecutorFinished, t: Arrived[ExecutorFinished, Keep, Published]) -> Effects[Published, News]:
    """State: transactions more. Messages: to the watchers for whom something came. Timers, engines: none."""
    state = t.env.state
    early = state.early.updated({one.timestamp: _change(one) for one in told.summaries if one.timestamp > state.last})
    changes, last = state.changes, state.last
    fresh: list[Change] = []
    while (change := early.get(last + 1)) is not None:
        last += 1
        early, changes = early.without(last), changes.set(last, change)
        fresh.append(change)
    first = state.first
    while last - first + 1 > t.config.kept:
        changes = changes.without(first)
        first += 1
    after = Published(first, last, changes, early, state.watchers)
    if not fresh or not state.watchers:
        return after
    watchers: list[Watcher] = []
    sends: list[Sent[News]] = []
    for watcher in state.watchers:
        wanted = [one for one in fresh if one.timestamp > watcher.after and of_interest(one, watcher.keys)]
        if wanted:
            cursor = last if len(wanted) <= watcher.limit else wanted[watcher.limit - 1].timestamp
            sends.append(Send(watcher.reply_to, Changes(tuple(wanted[: watcher.limit]), cursor)))
        else:
            watchers.append(replace(watcher, after=max(last, watcher.after)))
    return [Become(replace(after, watchers=tuple(watchers))), *sends]


def _change(summary: Summary) -> Change:
    return Change(summary.timestamp, summary.height, summary.tx_hash, summary.error, summary.values_written)


@rule
def watch(order: Watch, t: Arrived[Watch, Keep, Published]) -> Effects[Published, News]:
    """State: a watcher more, if nothing is there for it. Messages: what is there, or a refusal. Timers: its patience.
    Engines: none."""
    state = t.env.state
    if order.after + 1 < state.first:
        reason = f"transactions up to {state.first - 1} are not kept any more; go on after {state.first - 1}"
        return Send(order.reply_to, Refusal(order.after, "cursor", reason))
    found: list[Change] = []
    cursor = order.after
    while cursor < state.last and len(found) < order.limit:
        cursor += 1
        change = state.changes[cursor]
        if of_interest(change, order.keys):
            found.append(change)
    if found or not order.patience_ns:
        return Send(order.reply_to, Changes(tuple(found), cursor))
    if len(state.watchers) >= WATCHERS_MAX:
        return Send(order.reply_to, Refusal(order.after, "busy", f"{WATCHERS_MAX} watchers wait already"))
    watcher = Watcher(order.reply_to, cursor, order.keys, order.limit, t.now_ns + order.patience_ns)
    watchers = (*state.watchers, watcher)
    return [Become(replace(state, watchers=watchers)), SetTimer(PATIENCE, min(one.until_ns for one in watchers))]


@rule(timer=PATIENCE)
def end_patience(_patience: Handle, t: Elapsed[Keep, Published]) -> Effects[Published, News]:
    """State: without those whose patience is over. Messages: empty answers. Timers: the next. Engines: none."""
    state = t.env.state
    over = tuple(one for one in state.watchers if one.until_ns <= t.now_ns)
    rest = tuple(one for one in state.watchers if one.until_ns > t.now_ns)
    again = SetTimer(PATIENCE, min(one.until_ns for one in rest)) if rest else CancelTimer(PATIENCE)
    empty = [Send(one.reply_to, Changes((), one.after)) for one in over]
    return [Become(replace(state, watchers=rest)), again, *empty]


FEED = Family(
    "feed", config=Keep, state=Published(), accepts=ExecutorFinished | Watch, emits=Changes | Refusal, timers=[PATIENCE]
).rules(publish, watch, end_patience)
