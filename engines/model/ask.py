"""`Ask`: questions with an answer or a time-out, exactly one of the two.

How it works. An Ask owns a mailbox for the answers and a timer. The mailbox's state holds the open questions and their
deadlines. Whichever comes first closes a question: its answer or its deadline. Both close it in the same place, so the
other finds nothing to close. An answer carries the number of its question, and the answering engine takes that number
from the question: correlation is by number, not by sender.

The awkward case: an answer to a closed question, late or duplicate. The rule `late` takes it, without effects; in a
family without that rule such answers would pile up in the mailbox. One timer serves all open questions: it is set to
the earliest deadline, and set again when that question closes.

    QUOTES = Ask("quotes", mailbox=1, answers=Quote, timeout_ns=2 * SECOND)

    @rule
    def order(request: Order, t: Ordered) -> Effects[None, AskPrice]:
        asked = QUOTES.open(t)
        return [*asked.effects, Send(request.shop, AskPrice(asked.number, QUOTES.reply_to(t)))]

    @rule(when=QUOTES.answered)
    def buy(quote: Answered[Quote], t: Quoted) -> Effects[None, Buy]:
        return [*quote.effects, Send(Ref(t.sender), Buy(quote.answer.price))]

    @rule(timer=QUOTES.timer, when=QUOTES.overdue)
    def give_up(missed: Overdue, t: Waited) -> Effects[None, Never]:
        return [*missed.effects, Note("no quote")]

    BUYER = Family(..., boxes=[QUOTES.box], timers=[QUOTES.timer]).rules(order, buy, give_up, QUOTES.late)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, Never, Protocol, TypeVar

import msgspec

from .box import Box
from .effects import CancelTimer, Put, SetTimer
from .environment import Timer
from .forms import members
from .map import Map
from .rule import Rule
from .trigger import Arrived, Elapsed
from .values import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import TypeForm

    from .ref import Ref

OPEN_MAX: Final = 1024
"""Questions open at once, unless the Ask sets another bound; one more fails the transition that opens it."""


class Correlated(Protocol):
    """An answer: a message that carries the number of its question."""

    @property
    def question(self) -> int:
        """The number, as it came with the question."""
        ...


R = TypeVar("R", bound=Correlated)
R_co = TypeVar("R_co", bound=Correlated, covariant=True)
Clocked = Arrived[Any, Any, Any] | Elapsed[Any, Any]


class Asking(Value):
    """State of the answers' mailbox: the count of questions ever opened, and the deadline of each open one."""

    count: int = 0
    deadlines_ns: Map[int, int] = Map()

    def without(self, numbers: tuple[int, ...]) -> Asking:
        """The state with these questions closed."""
        deadlines_ns = self.deadlines_ns
        for number in numbers:
            deadlines_ns = deadlines_ns.without(number)
        return Asking(self.count, deadlines_ns)


class Opened(msgspec.Struct, frozen=True):
    """Questions just opened, by number, and the effects that open them: on the Ask's mailbox state and its timer."""

    numbers: tuple[int, ...]
    effects: tuple[Put | SetTimer | CancelTimer, ...]

    @property
    def number(self) -> int:
        """The number of the first question, for actions that ask one."""
        return self.numbers[0]


class Answered(msgspec.Struct, Generic[R_co], frozen=True):
    """A match: the answer to a question that was open, and the effects that close it."""

    answer: R_co
    effects: tuple[Put | SetTimer | CancelTimer, ...]


class Overdue(msgspec.Struct, frozen=True):
    """A match: the questions whose deadline has come, in the order they were asked, and the effects that close them."""

    numbers: tuple[int, ...]
    effects: tuple[Put | SetTimer | CancelTimer, ...]


class Ask(Generic[R]):
    """The declaration of a kind of question: its mailbox for answers, its timer, its time-out.

    Args:
        name: the timer's name, and the label of the rule `late`.
        mailbox: number of the mailbox for the answers, used by nothing else.
        answers: the message type, or union, that answers; each has a field `question: int`.
        timeout_ns: from the question to its deadline.
        open_max: bound of the questions open at once.
    """

    def __init__(
        self, name: str, *, mailbox: int, answers: TypeForm[R], timeout_ns: int, open_max: int = OPEN_MAX
    ) -> None:
        self.timeout_ns = timeout_ns
        self.open_max = open_max
        self.timer = Timer(name)
        self.answered = _answered(self, answers)
        self.box: Box[R, Asking] = Box(mailbox, accepts=answers, start=Asking())
        self.late: Rule[R, Any, Any, tuple[Never, ...]] = Rule(
            _late, priority=1, name=f"{name}_late", messages=members(answers)
        )

    def open(self, t: Clocked, questions: int = 1) -> Opened:
        """Open questions, once an action. Raises OverflowError when more than `open_max` would be open."""
        asking = t.env[self.box].state
        if len(asking.deadlines_ns) + questions > self.open_max:
            raise OverflowError(f"{self.timer.name}: {self.open_max} questions may be open at once")
        numbers = tuple(range(asking.count + 1, asking.count + questions + 1))
        deadlines_ns = asking.deadlines_ns.updated((number, t.now_ns + self.timeout_ns) for number in numbers)
        return Opened(numbers, self._become(Asking(asking.count + questions, deadlines_ns)))

    def reply_to(self, t: Clocked) -> Ref[R]:
        """The reference to send along with a question."""
        return self.box.at(t.me.name)

    def overdue(self, t: Elapsed[Any, Any]) -> Overdue | None:
        """Guard: the deadline of an open question has come."""
        asking = t.env[self.box].state
        numbers = tuple(number for number, at_ns in asking.deadlines_ns.items() if at_ns <= t.now_ns)
        return Overdue(numbers, self._become(asking.without(numbers))) if numbers else None

    def _become(self, asking: Asking) -> tuple[Put | SetTimer | CancelTimer, ...]:
        """The effects after which `asking` holds: the timer is set to the earliest deadline, or cancelled."""
        if not asking.deadlines_ns:
            return (Put(self.box, asking), CancelTimer(self.timer))
        return (Put(self.box, asking), SetTimer(self.timer, at_ns=min(asking.deadlines_ns.values())))


def _answered(ask: Ask[R], answers: Any) -> Callable[[Arrived[R, Any, Any]], Answered[R] | None]:
    """The guard of the rule that takes an answer, annotated for these messages."""

    def answered(t: Arrived[R, Any, Any]) -> Answered[R] | None:
        """The message answers an open question."""
        asking = t.env[ask.box].state
        number = t.message.question
        if number not in asking.deadlines_ns:
            return None
        return Answered(t.message, ask._become(asking.without((number,))))

    trigger: Any = Arrived
    match: Any = Answered
    answered.__annotations__ = {"t": trigger[answers, Any, Any], "return": match[answers] | None}
    return answered


def _late(answer: Correlated, t: Clocked) -> tuple[Never, ...]:
    """An answer to a question that is no longer open. State, messages, timers, engines: none."""
    return ()
