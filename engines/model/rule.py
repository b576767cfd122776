"""Rules: guarded actions. `@rule` turns an action into one; its name is its label.

The guard gets the trigger and returns a match, or None if it does not hold; without a guard the message itself (or the
timer's handle) is the match. The action gets match and trigger and returns effects. Types are read from the action's
annotations: `Arrived[M, C, S]` gives the messages, `Elapsed[C, S]` goes with `timer=`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Generic, Never, TypeVar, overload

from .environment import Handle, Timer
from .interaction import Choose, Roll
from .place import Place, of_function
from .trigger import Arrived, Elapsed

C = TypeVar("C")
M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)
R = TypeVar("R")
S = TypeVar("S")
X = TypeVar("X")
X_co = TypeVar("X_co", covariant=True)


class Rule(Generic[M_co, C, S, X_co]):
    """A guarded action on messages M (or on a timer), in a family with parameters C and state S; it returns X.

    Calling the rule calls its action, so a test needs no host. `messages` is given for rules made by other code;
    otherwise the action's annotations say which they are.
    """

    __slots__ = (
        "__wrapped__",
        "action",
        "guard",
        "hints",
        "interactive",
        "messages",
        "name",
        "place",
        "priority",
        "timer",
    )

    def __init__(
        self,
        action: Callable[..., Any],
        guard: Callable[..., Any] | None = None,
        priority: int = 0,
        timer: Timer | None = None,
        name: str | None = None,
        *,
        interactive: bool = False,
        messages: tuple[type[Any], ...] | None = None,
    ) -> None:
        self.action = action
        self.guard = guard
        self.priority = priority
        self.timer = timer
        self.name = action.__name__ if name is None else name
        self.interactive = interactive
        self.messages = messages
        self.hints: Any = None  # the action's annotations, read once by `signature`
        self.place: Place = of_function(action)
        self.__wrapped__ = action

    def __call__(self, match: Any, trigger: Any) -> X_co:
        """The action itself."""
        effects: X_co = self.action(match, trigger)
        return effects

    def __repr__(self) -> str:
        return f"Rule({self.name!r})"


class InteractiveRule(Rule[M_co, C, S, X_co]):
    """A rule whose action asks: a generator that yields Choose and Roll and returns effects."""

    __slots__ = ()

    def __init__(
        self,
        action: Callable[..., Any],
        guard: Callable[..., Any] | None = None,
        priority: int = 0,
        timer: Timer | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(action, guard, priority, timer, name, interactive=True)


class _OnMatch(Generic[R, M, C, S]):
    """Takes the action that goes with a guard on messages."""

    def __call__(self, action: Callable[[R, Arrived[M, C, S]], X], /) -> Rule[M, C, S, X]:
        raise NotImplementedError


class _OnMessage:
    """Takes an action on any message of its annotated types."""

    def __call__(self, action: Callable[[M, Arrived[M, C, S]], X], /) -> Rule[M, C, S, X]:
        raise NotImplementedError


class _OnTimerMatch(Generic[R, C, S]):
    """Takes the action that goes with a guard on a timer."""

    def __call__(self, action: Callable[[R, Elapsed[C, S]], X], /) -> Rule[Never, C, S, X]:
        raise NotImplementedError


class _OnTimer:
    """Takes an action on a timer."""

    def __call__(self, action: Callable[[Handle, Elapsed[C, S]], X], /) -> Rule[Never, C, S, X]:
        raise NotImplementedError


@overload
def rule(action: Callable[[M, Arrived[M, C, S]], X], /) -> Rule[M, C, S, X]: ...
@overload
def rule(
    *, when: Callable[[Arrived[M, C, S]], R | None], priority: int = ..., name: str | None = ...
) -> _OnMatch[R, M, C, S]: ...
@overload
def rule(
    *, timer: Timer, when: Callable[[Elapsed[C, S]], R | None], priority: int = ..., name: str | None = ...
) -> _OnTimerMatch[R, C, S]: ...
@overload
def rule(*, timer: Timer, priority: int = ..., name: str | None = ...) -> _OnTimer: ...
@overload
def rule(*, priority: int = ..., name: str | None = ...) -> _OnMessage: ...
def rule(
    action: Callable[..., Any] | None = None,
    /,
    *,
    when: Callable[..., Any] | None = None,
    priority: int = 0,
    timer: Timer | None = None,
    name: str | None = None,
) -> Any:
    """Make an action a rule.

    Args:
        when: the guard. It may have no effects and must be able to return None: its annotation ends in `| None`.
        priority: of the rules that hold, only those with the lowest number take part.
        timer: the timer that the rule is about, instead of a message.
        name: its label; by default the action's name.
    """
    if action is not None:
        return Rule(action)
    return lambda decorated: Rule(decorated, when, priority, timer, name)


class _AskOnMatch(Generic[R, M, C, S]):
    """As `_OnMatch`, for a generator."""

    def __call__(
        self, action: Callable[[R, Arrived[M, C, S]], Generator[Choose[Any] | Roll[Any], Any, X]], /
    ) -> InteractiveRule[M, C, S, X]:
        raise NotImplementedError


class _AskOnMessage:
    """As `_OnMessage`, for a generator."""

    def __call__(
        self, action: Callable[[M, Arrived[M, C, S]], Generator[Choose[Any] | Roll[Any], Any, X]], /
    ) -> InteractiveRule[M, C, S, X]:
        raise NotImplementedError


class _AskOnTimerMatch(Generic[R, C, S]):
    """As `_OnTimerMatch`, for a generator."""

    def __call__(
        self, action: Callable[[R, Elapsed[C, S]], Generator[Choose[Any] | Roll[Any], Any, X]], /
    ) -> InteractiveRule[Never, C, S, X]:
        raise NotImplementedError


class _AskOnTimer:
    """As `_OnTimer`, for a generator."""

    def __call__(
        self, action: Callable[[Handle, Elapsed[C, S]], Generator[Choose[Any] | Roll[Any], Any, X]], /
    ) -> InteractiveRule[Never, C, S, X]:
        raise NotImplementedError


@overload
def interactive_rule(
    action: Callable[[M, Arrived[M, C, S]], Generator[Choose[Any] | Roll[Any], Any, X]], /
) -> InteractiveRule[M, C, S, X]: ...
@overload
def interactive_rule(
    *, when: Callable[[Arrived[M, C, S]], R | None], priority: int = ..., name: str | None = ...
) -> _AskOnMatch[R, M, C, S]: ...
@overload
def interactive_rule(
    *, timer: Timer, when: Callable[[Elapsed[C, S]], R | None], priority: int = ..., name: str | None = ...
) -> _AskOnTimerMatch[R, C, S]: ...
@overload
def interactive_rule(*, timer: Timer, priority: int = ..., name: str | None = ...) -> _AskOnTimer: ...
@overload
def interactive_rule(*, priority: int = ..., name: str | None = ...) -> _AskOnMessage: ...
def interactive_rule(
    action: Callable[..., Any] | None = None,
    /,
    *,
    when: Callable[..., Any] | None = None,
    priority: int = 0,
    timer: Timer | None = None,
    name: str | None = None,
) -> Any:
    """Make a generator that yields `Choose` and `Roll` a rule; arguments as for `rule`."""
    if action is not None:
        return InteractiveRule(action)
    return lambda decorated: InteractiveRule(decorated, when, priority, timer, name)
