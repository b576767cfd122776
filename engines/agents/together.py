"""Many messages to one receiver as one: a busy engine for agents makes few large transitions, not many small ones.

The bridge reads the requests of many agents at once, and sends them to their families together. A family answers such a
message in one transition, and what this says to the bridge, or to another family, leaves together too. So at a rate of
thousands of requests a second a transition, its record in the journal and its way through a lane serve ten of them or
more; one request by itself is a message by itself, as ever.

The awkward case: a request that breaks its family ends the transition of all that came with it. Those are asked again,
one by one (`engines/agents/bridge/unanswered.py`), so they are answered, and the broken one stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, get_args

from engines.model import Ref, Send

from .messages import AgentAnswer, AgentRequest, Spoken, Together

KINDS: Final = frozenset(get_args(Spoken))
MESSAGES_MAX: Final = 256
CHARS_MAX: Final = 64 << 10
"""Of the texts of requests and answers in one message: longer ones go by themselves."""


Server: TypeAlias = Callable[[Any, Any], object]
"""Does in a turn what a message asks for."""


def together(sends: Iterable[Any], *alone: Ref[Any] | None) -> list[Any]:
    """The same messages, in the same order for each receiver; those `alone` get each by itself."""
    found: list[Any] = []
    open_for: dict[str, tuple[Ref[Any], list[Any], int]] = {}
    for one in sends:
        target, message = one.target, one.message
        if type(message) not in KINDS or target in alone:
            _close(found, open_for, target)
            found.append(one)
            continue
        name, size = str(target), _size(message)
        _, waiting, before = open_for.get(name, (target, [], 0))
        if waiting and (before + size > CHARS_MAX or len(waiting) == MESSAGES_MAX):
            _close(found, open_for, target)
            waiting, before = [], 0
        waiting.append(message)
        open_for[name] = target, waiting, before + size
    found += [Send(target, joined(waiting)) for target, waiting, _ in open_for.values()]
    return found


def joined(messages: Sequence[Any]) -> Any:
    """One message that says what these do."""
    return messages[0] if len(messages) == 1 else Together(tuple(messages))


def served(every: Together, servers: Mapping[type, Server]) -> Iterator[tuple[Server, Any]]:
    """Each message with the function that serves its kind, in their order; those that nobody serves are passed over."""
    for one in every.messages:
        if serve := servers.get(type(one)):
            yield serve, one


def _close(found: list[Any], open_for: dict[str, tuple[Ref[Any], list[Any], int]], target: Ref[Any]) -> None:
    if (waiting := open_for.pop(str(target), None)) is not None:
        found.append(Send(target, joined(waiting[1])))


def _size(message: Any) -> int:
    kind = type(message)
    return len(message.text if kind is AgentAnswer else message.body if kind is AgentRequest else "")
