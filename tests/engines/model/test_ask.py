"""`Ask`: of an answer and a time-out exactly one is taken, whatever comes when."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model import (
    Arrived,
    Become,
    Committed,
    Configuration,
    Delivery,
    Due,
    Effects,
    Elapsed,
    Environment,
    Failed,
    Family,
    Map,
    Message,
    Outgoing,
    Ref,
    Send,
    Stored,
    Timer,
    Value,
    birth,
    due_timers,
    next_deadline,
    rule,
    step,
)
from engines.model.ask import Answered, Ask, Asking, Overdue

SECOND = 1_000_000_000


class Order(Message):
    item: str
    shops: tuple[Ref["AskPrice"], ...]


class AskPrice(Message):
    item: str
    question: int
    answer_to: Ref["Quote"]


class Quote(Message):
    question: int
    price: int


class Bought(Message):
    item: str
    price: int


class GaveUp(Message):
    item: str


class Orders(Value):
    waiting: Map[int, str] = Map()


QUOTES = Ask("quotes", mailbox=1, answers=Quote, timeout_ns=2 * SECOND, open_max=8)


@rule
def order(message: Order, t: Arrived[Order, None, Orders]) -> Effects[Orders, AskPrice]:
    """State: what is asked for. Messages: one question to each shop. Timers: the questions'. Engines: none."""
    asked = QUOTES.open(t, len(message.shops))
    questions = [
        Send(shop, AskPrice(message.item, number, QUOTES.reply_to(t)))
        for shop, number in zip(message.shops, asked.numbers, strict=True)
    ]
    waiting = t.env.state.waiting.updated((number, message.item) for number in asked.numbers)
    return [Become(Orders(waiting)), *asked.effects, *questions]


@rule(when=QUOTES.answered)
def buy(quote: Answered[Quote], t: Arrived[Quote, None, Orders]) -> Effects[Orders, Bought]:
    """State: the question is closed. Messages: the purchase. Timers: the question's. Engines: none."""
    waiting = t.env.state.waiting
    bought = Bought(waiting[quote.answer.question], quote.answer.price)
    return [*quote.effects, Become(Orders(waiting.without(quote.answer.question))), Send(Ref("owner"), bought)]


@rule(timer=QUOTES.timer, when=QUOTES.overdue)
def give_up(missed: Overdue, t: Elapsed[None, Orders]) -> Effects[Orders, GaveUp]:
    """State: the questions are closed. Messages: one apology each. Timers: the next question's. Engines: none."""
    waiting = t.env.state.waiting
    apologies = [Send(Ref[GaveUp]("owner"), GaveUp(waiting[number])) for number in missed.numbers]
    for number in missed.numbers:
        waiting = waiting.without(number)
    return [*missed.effects, Become(Orders(waiting)), *apologies]


BUYER = Family(
    "buyer",
    accepts=Order | Quote,
    emits=AskPrice | Bought | GaveUp,
    state=Orders(),
    boxes=[QUOTES.box],
    timers=[QUOTES.timer],
).rules(order, buy, give_up, QUOTES.late)

ME: Configuration[None] = Configuration("node", "shop-floor/buyer", "shop-floor")


class Run:
    """A buyer on its own clock; what its owner was told, by question."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.env: Environment[Orders] = birth(BUYER, ME, now_ns=0)
        self.told: list[Bought | GaveUp] = []
        self.asked: dict[int, int] = {}

    def feed(self, cause: Delivery[Any] | Due) -> Committed[Orders]:
        outcome = step(BUYER, ME, self.env, cause, self.now_ns)
        assert isinstance(outcome, Committed)
        self.env = outcome.env
        for output in outcome.outputs:
            assert isinstance(output, Outgoing)
            if isinstance(output.message, AskPrice):
                assert str(output.message.answer_to) == "shop-floor/buyer#1"
                self.asked[output.message.question] = self.now_ns + 2 * SECOND
            else:
                self.told.append(output.message)
        return outcome

    def wait(self, nanoseconds: int) -> None:
        """Time passes; timers fire at their deadline or, as live, a little late."""
        self.now_ns += nanoseconds
        handles = due_timers(self.env, self.now_ns)
        if handles:
            self.feed(Due(handles))

    def ask(self, shops: int) -> None:
        """One order; its item names the next question so that each end can be told apart."""
        self.feed(Delivery("owner", 0, Order(f"{len(self.asked)}", tuple(Ref(f"shop-{n}") for n in range(shops)))))

    def answer(self, question: int) -> None:
        self.feed(Delivery("shop", 1, Quote(question, 7)))


steps = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 2)),
    st.tuples(st.just("answer"), st.integers(0, 12)),
    st.tuples(st.just("wait"), st.integers(0, 3 * SECOND) | st.just(SECOND)),
)


@settings(deadline=None)
@given(st.lists(steps, max_size=40))
def test_exactly_one_of_answer_and_timeout_is_taken(script: list[tuple[str, int]]) -> None:
    """A question would be answered twice, answered and given up, or forgotten."""
    run = Run()
    expected: list[Bought | GaveUp] = []
    open_until: dict[int, tuple[int, str]] = {}
    for word, number in script:
        if word == "ask" and len(open_until) + number <= 8:
            known = len(run.asked)
            run.ask(number)
            open_until |= {known + 1 + n: (run.now_ns + 2 * SECOND, f"{known}") for n in range(number)}
        elif word == "answer":
            run.answer(number)
            if number in open_until:
                expected.append(Bought(open_until.pop(number)[1], 7))
        elif word == "wait":
            run.wait(number)
            missed = [question for question, (at_ns, _) in sorted(open_until.items()) if at_ns <= run.now_ns]
            expected += [GaveUp(open_until.pop(question)[1]) for question in missed]
        assert run.told == expected
        assert set(run.env.state.waiting) == set(open_until)
        assert next_deadline(run.env) == min((at_ns for at_ns, _ in open_until.values()), default=None)
        assert run.env[QUOTES.box].stored == ()
    run.wait(5 * SECOND)
    assert len(run.told) == len(run.asked)
    assert next_deadline(run.env) is None


def test_late_and_second_answers_are_taken_without_effects() -> None:
    """They would pile up in the mailbox, or be taken for the answer to another question."""
    run = Run()
    run.ask(1)
    run.answer(1)
    before = run.env
    for question in (1, 2, -1):
        outcome = step(BUYER, ME, before, Delivery("shop", 1, Quote(question, 7)), 0)
        assert outcome == Committed(before, (), ("quotes_late",))


def test_a_reply_cancels_the_timer_and_the_last_one_leaves_none() -> None:
    """A time-out would fire for a question that was answered."""
    run = Run()
    run.ask(1)
    run.wait(SECOND)
    run.ask(1)
    assert next_deadline(run.env) == 2 * SECOND
    run.answer(1)
    assert next_deadline(run.env) == 3 * SECOND
    run.answer(2)
    assert next_deadline(run.env) is None


def test_questions_are_bounded() -> None:
    """Open questions would grow without bound when nobody answers and time stands still."""
    run = Run()
    for _ in range(8):
        run.ask(1)
    outcome = step(BUYER, ME, run.env, Delivery("owner", 0, Order("x", (Ref("shop"),))), 0)
    assert isinstance(outcome, Failed)
    assert "8 questions" in outcome.error


def test_without_the_rule_for_late_answers_they_are_stored() -> None:
    """The reason `late` exists would be gone, and so should it be."""
    deaf = Family(
        "deaf",
        accepts=Order | Quote,
        emits=AskPrice | Bought | GaveUp,
        state=Orders(),
        boxes=[QUOTES.box],
        timers=[QUOTES.timer],
    ).rules(order, buy, give_up)
    env = birth(deaf, ME, now_ns=0)
    assert isinstance(step(deaf, ME, env, Delivery("shop", 1, Quote(1, 7)), 0), Stored)


def test_the_state_of_questions_survives_a_dump() -> None:
    """After a reload a question would never end."""
    run = Run()
    run.ask(2)
    assert BUYER.load(BUYER.dump(run.env)) == run.env
    assert run.env[QUOTES.box].state == Asking(2, Map({1: 2 * SECOND, 2: 2 * SECOND}))
    assert QUOTES.timer == Timer("quotes")
