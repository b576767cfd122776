"""Any exception of an author's code becomes a failed transition with a text, whatever it does when it is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.model import (
    AnswerError,
    Arrived,
    Choose,
    Configuration,
    Delivery,
    Due,
    Effects,
    Elapsed,
    Failed,
    Family,
    Handle,
    Interaction,
    Message,
    SetTimer,
    Timer,
    Value,
    birth,
    due_timers,
    interactive_rule,
    rule,
    step,
)
from engines.model.blame import blame


class WithoutText(Exception):
    def __str__(self) -> str:
        raise SystemExit("no words")

    __repr__ = __str__


class NameRaises(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no name")


class WithoutName(Exception, metaclass=NameRaises):
    pass


class Liar(Exception):
    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")

    @__class__.setter
    def __class__(self, _: Any) -> None:
        raise RuntimeError("no class")


class WithoutAttributes(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(name)


class WithoutCause(Exception):
    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        raise KeyboardInterrupt

    @property
    def __traceback__(self) -> Any:  # type: ignore[override]
        raise KeyboardInterrupt


class OddText(str):
    def __format__(self, spec: str) -> str:
        raise SystemExit("no format")

    encode = rstrip = splitlines = partition = __str__ = __format__  # type: ignore[assignment]


class WithOddText(Exception):
    def __str__(self) -> str:
        return OddText("odd")


class Noted(Exception):
    pass


def noted() -> Noted:
    error = Noted("several\nlines")
    error.add_note("and a note")
    return error


RAISED: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("ordinary"),
    "SystemExit": lambda: SystemExit("in words"),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "BaseException": lambda: BaseException("the base"),
    "StopIteration": lambda: StopIteration(3),
    "AnswerError": lambda: AnswerError("nobody's"),
    "WithoutText": WithoutText,
    "WithoutName": lambda: WithoutName("text"),
    "Liar": lambda: Liar("text"),
    "WithoutAttributes": lambda: WithoutAttributes("text"),
    "WithoutCause": lambda: WithoutCause("text"),
    "WithOddText": WithOddText,
    "Noted": noted,
    "OSError": lambda: OSError("caf\udce9"),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("several", [KeyboardInterrupt(), ValueError("one")]),
}
"""By the name of its type."""


class Go(Message):
    pass


class Ask(Message):
    pass


class Guarded(Message):
    pass


class Wake(Message):
    pass


class Count(Value):
    total: int = 0


ALARM = Timer("alarm")
to_raise: list[BaseException] = []


def throw() -> None:
    if to_raise:
        raise to_raise[0]


@rule
def act(m: Go, t: Arrived[Go, None, Count]) -> Effects[Count, Go]:
    throw()
    return Count(1)


@interactive_rule
def ask(m: Ask, t: Arrived[Ask, None, Count]) -> Interaction[Count, Go]:
    yield Choose(("yes", "no"))
    throw()
    return Count(1)


def refuses(t: Arrived[Guarded, None, Count]) -> Guarded | None:
    throw()
    return None


@rule(when=refuses)
def guarded(m: Guarded, t: Arrived[Guarded, None, Count]) -> Effects[Count, Go]:
    return Count(1)


@rule
def wake(m: Wake, t: Arrived[Wake, None, Count]) -> Effects[Count, Go]:
    return [SetTimer(ALARM, after_ns=1)]


@rule(timer=ALARM)
def rang(h: Handle, t: Elapsed[None, Count]) -> Effects[Count, Go]:
    throw()
    return Count(1)


FAMILY = Family("raising", state=Count(), accepts=Go | Ask | Guarded | Wake, emits=Go, timers=[ALARM]).rules(
    act, ask, guarded, wake, rang
)
ME = Configuration[Any]("node", "e")


@pytest.fixture(autouse=True)
def nothing_is_raised() -> None:
    to_raise.clear()


@pytest.mark.parametrize("name", RAISED)
@pytest.mark.parametrize("message", [Go(), Guarded(), Ask(), Wake()], ids=lambda message: type(message).__name__)
def test_whatever_is_raised_fails_the_transition(message: Message, name: str) -> None:
    """False if an exception of any kind left `step`, or its traceback did not end with a text that can be sent."""
    env = birth(FAMILY, ME, now_ns=0)
    answers: tuple[Any, ...] = ("yes",) if isinstance(message, Ask) else ()
    cause: Delivery[Any] | Due = Delivery("s", 0, message)
    now_ns = 0
    if isinstance(message, Wake):
        env = step(FAMILY, ME, env, cause, 0).env  # type: ignore[union-attr]
        cause, now_ns = Due(due_timers(env, 1)), 1
    to_raise.append(RAISED[name]())
    if answers and name == "AnswerError":
        with pytest.raises(AnswerError):
            step(FAMILY, ME, env, cause, now_ns, answers)
        return
    outcome = step(FAMILY, ME, env, cause, now_ns, answers)
    assert isinstance(outcome, Failed)
    assert outcome.error.encode()
    assert outcome.traceback.encode()
    is_wrapped = name == "StopIteration" and isinstance(message, Ask)
    assert outcome.error.startswith("RuntimeError" if is_wrapped else name)
    assert outcome.error.partition("\n")[0] in outcome.traceback.splitlines()[-1]


@given(st.text(st.characters(), max_size=50))
def test_any_text_can_be_sent(text: str) -> None:
    """False if the text of an exception could not be put into a packet."""
    line, whole = blame(ValueError(text))
    assert line.encode().decode() == line
    assert whole.encode()
