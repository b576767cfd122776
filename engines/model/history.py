"""Histories of calls: which client asked what of a shared object, and what it was answered. Testers of them. Pure.

A history is a value: it can be the `history` of a `System`, whose `record` adds to it what clients send and get. It
keeps no order of events but what a tester may use: the calls of each client in order, and for each call how many calls
of each other client had returned when it was invoked. Two runs that no tester can tell apart have equal histories, so
the checker meets fewer states. Operations and results must be hashable, and of types whose bytes differ: operations
are subclasses of `Operation`.

A *linearization* is an order of calls that a `Reference` answers with the results recorded, in which a call comes
after all calls that had returned when it was invoked (M. Herlihy and J. Wing, "Linearizability", 1990). For sequential
consistency only the order of each client's own calls is kept (L. Lamport, 1979). A call that has not returned may take
effect, or not.

The search goes depth first over pairs of how many calls of each client were taken and the state of the reference, each
met once (after J. Wing and C. Gong, 1993, and G. Lowe, 2017). The worst case is exponential in the number of clients.
Verdicts are kept, because a checker asks about the same history in many states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar, dataclass_transform

import msgspec

from .values import Value

O_co = TypeVar("O_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)

VERDICTS_MAX: Final = 1 << 16
"""Verdicts kept; of more, those asked for longest ago are found again."""


class HistoryError(ValueError):
    """A history that no clients of one call at a time can have; the text says which client did what."""


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Operation(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """What a client asks of an object; encoded with the name of its class, so that operations differ in their bytes."""


class Invocation(Value, Generic[O_co]):
    """A call. `after`: how many calls of other clients had returned before it, in order of names, without zeros."""

    operation: O_co
    after: tuple[tuple[str, int], ...] = ()


class Calls(Value, Generic[O_co, R_co]):
    """The calls of a client in order: those that returned, with their results, and the one that has not."""

    client: str
    returned: tuple[tuple[Invocation[O_co], R_co], ...] = ()
    pending: Invocation[O_co] | None = None

    @property
    def count(self) -> int:
        """How many calls the client has made."""
        return len(self.returned) + (self.pending is not None)


class CallHistory(Value, Generic[O_co, R_co]):
    """The calls of all clients, in order of their names. `fault`: why this is no history; empty, it is one."""

    clients: tuple[Calls[O_co, R_co], ...] = ()
    fault: str = ""

    def calls(self, client: str) -> Calls[O_co, R_co]:
        """The calls of a client, which may have made none."""
        return next((calls for calls in self.clients if calls.client == client), Calls(client))

    def invoked(self, client: str, operation: Any) -> CallHistory[O_co, R_co]:
        """The history after a client has called; with a `fault` if it still waits for the result of another call."""
        calls = self.calls(client)
        if calls.pending is not None:
            return self._faulty(f"{client} calls {operation!r} before {calls.pending.operation!r} has returned")
        after = tuple((one.client, len(one.returned)) for one in self.clients if one.returned and one.client != client)
        return self._with(msgspec.structs.replace(calls, pending=Invocation(operation, after)))

    def returned(self, client: str, result: Any) -> CallHistory[O_co, R_co]:
        """The history after a client's call has returned; with a `fault` if it waits for none."""
        calls = self.calls(client)
        if calls.pending is None:
            return self._faulty(f"{result!r} returns to {client}, which waits for nothing")
        return self._with(Calls(client, (*calls.returned, (calls.pending, result))))

    def results(self) -> Iterator[tuple[O_co, R_co]]:
        """All operations that have returned, with their results; by client."""
        for calls in self.clients:
            for call, result in calls.returned:
                yield call.operation, result

    def _with(self, calls: Calls[O_co, R_co]) -> CallHistory[O_co, R_co]:
        if self.fault:
            return self
        others = (one for one in self.clients if one.client != calls.client)
        return CallHistory(tuple(sorted((calls, *others), key=lambda one: one.client)))

    def _faulty(self, fault: str) -> CallHistory[O_co, R_co]:
        return self if self.fault else CallHistory(self.clients, fault)


class Reference(NamedTuple):
    """An object as clients are to see it: its first state, and what an operation makes of a state, with the result.

    States are hashable, `apply` is pure and takes every operation in every state.
    """

    start: Any
    apply: Callable[[Any, Any], tuple[Any, Any]]


Answers: TypeAlias = tuple[tuple[Any, Any], ...]
"""Operations with their results, each as if alone."""


def linearization(history: CallHistory[Any, Any], reference: Reference) -> Answers | None:
    """An order that shows the history to be linearizable; None: there is none. Raises HistoryError."""
    return _order(history, reference, True)


def sequential_order(history: CallHistory[Any, Any], reference: Reference) -> Answers | None:
    """An order that shows the history to be sequentially consistent; None: there is none. Raises HistoryError."""
    return _order(history, reference, False)


def is_linearizable(history: CallHistory[Any, Any], reference: Reference) -> bool:
    """Whether the clients could not tell the object from one that answers each call at once. Raises HistoryError."""
    return _order(history, reference, True) is not None


def is_sequentially_consistent(history: CallHistory[Any, Any], reference: Reference) -> bool:
    """As `is_linearizable`, for clients that cannot see which calls of others are over. Raises HistoryError."""
    return _order(history, reference, False) is not None


class Prefix(NamedTuple):
    """A point of the search: how many calls of each client were taken, and the state of the reference then."""

    taken: tuple[int, ...]
    state: Any


@lru_cache(maxsize=VERDICTS_MAX)
def _order(history: CallHistory[Any, Any], reference: Reference, in_real_time: bool) -> Answers | None:
    if history.fault:
        raise HistoryError(history.fault)
    clients = history.clients
    first = Prefix((0,) * len(clients), reference.start)
    came: dict[Prefix, tuple[Prefix, Any] | None] = {first: None}
    left = [first]
    while left:
        node = left.pop()
        if all(count >= len(calls.returned) for count, calls in zip(node.taken, clients, strict=True)):
            return _path(came, node)
        for after, answer in _steps(node, clients, reference, in_real_time):
            if after not in came:
                came[after] = (node, answer)
                left.append(after)
    return None


def _steps(
    node: Prefix, clients: tuple[Calls[Any, Any], ...], reference: Reference, in_real_time: bool
) -> Iterator[tuple[Prefix, tuple[Any, Any]]]:
    """The calls that may come next, with what the reference answers; calls that have returned last."""
    done = {calls.client: count for calls, count in zip(clients, node.taken, strict=True)} if in_real_time else {}
    for is_pending in (True, False):
        for place, (calls, count) in enumerate(zip(clients, node.taken, strict=True)):
            if count >= calls.count or is_pending != (count == len(calls.returned)):
                continue
            call = calls.pending if is_pending else calls.returned[count][0]
            assert call is not None
            if in_real_time and any(done[client] < least for client, least in call.after):
                continue
            state, result = reference.apply(node.state, call.operation)
            if is_pending or result == calls.returned[count][1]:
                taken = (*node.taken[:place], count + 1, *node.taken[place + 1 :])
                yield Prefix(taken, state), (call.operation, result)


def _path(came: dict[Prefix, tuple[Prefix, Any] | None], node: Prefix) -> Answers:
    order = []
    while (step := came[node]) is not None:
        node, answer = step
        order.append(answer)
    return tuple(reversed(order))
