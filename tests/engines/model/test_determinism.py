"""The determinism check: a clean family does the same in a process with another hash seed, planted faults show."""

import os
import re
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import msgspec
import pytest

import engines.examples
from engines.model import (
    Answer,
    Blob,
    Committed,
    Configuration,
    Delivery,
    Due,
    Environment,
    Family,
    LoadError,
    birth,
    due_timers,
    load_family,
    step,
)
from engines.model.check.determinism import DIFFERENCES_MAX, Difference, compare, record_case, record_outcome, run_case
from engines.model.check.samples import Samples
from host.live.inspection.determinism import run_elsewhere

PLANTED = str(Path(__file__).with_name("planted"))
OTHER_SEEDS = [seed for seed in range(1, 8) if str(seed) != os.environ.get("PYTHONHASHSEED")]
AnyFamily = Family[Any, Any, Any, Any]

CLEAN: Any = load_family("planted_faults:CLEAN", (PLANTED,))
planted: Any = sys.modules["planted_faults"]


def elsewhere(cases: list[bytes], seed: int) -> list[bytes]:
    """The records of the cases, run in one process with this hash seed."""
    return run_elsewhere(cases, (PLANTED,), seed=seed)


class History:
    """Transitions of one engine, each recorded with its outcome."""

    def __init__(self, family: AnyFamily, params: Any) -> None:
        self.family = family
        self.me = Configuration("node", "words", "parent", params)
        self.env: Environment[Any] = birth(family, self.me, now_ns=0)
        self.now_ns = 0
        self.cases: list[bytes] = []
        self.records: list[bytes] = []

    def feed(self, cause: Delivery[Any] | Due, answers: tuple[Answer, ...] = ()) -> None:
        outcome = step(self.family, self.me, self.env, cause, self.now_ns, answers)
        self.cases.append(record_case(self.family, self.me, self.env, cause, self.now_ns, answers))
        self.records.append(record_outcome(outcome))
        if isinstance(outcome, Committed):
            self.env = outcome.env

    def say(self, *words: str) -> None:
        self.feed(Delivery("author", 0, planted.Words(words, Blob("".join(words).encode()))))

    def bet(self, stake: int, *answers: Answer) -> None:
        self.feed(Delivery("author", 0, planted.Bet(stake)), answers)

    def wait(self, nanoseconds: int) -> None:
        self.now_ns += nanoseconds
        handles = due_timers(self.env, self.now_ns)
        if handles:
            self.feed(Due(handles))


def clean_history() -> History:
    """Every kind of outcome: committed, stored, suspended, failed, stopped; timers, spawns, notes, blobs, answers."""
    history = History(CLEAN, planted.Limits(9))
    history.say("left", "right", "left")
    history.bet(0)
    history.bet(-1)
    for answers in ((), (3,), (3, "red")):
        history.bet(7, *answers)
    history.wait(5)
    history.say("up", "down")
    return history


def test_a_clean_family_does_the_same_under_other_seeds() -> None:
    """The check would find what is not there, or something in the model itself would follow the hash seed."""
    history = clean_history()
    kinds = [msgspec.msgpack.decode(record)["outcome"] for record in history.records]
    assert set(kinds) == {"Committed", "Stored", "Failed", "Suspended"}
    for seed in OTHER_SEEDS[:2]:
        assert elsewhere(history.cases, seed) == history.records


def example_families() -> list[AnyFamily]:
    modules = [import_module(f"engines.examples.{found.name}") for found in iter_modules(engines.examples.__path__)]
    return [value for module in modules for value in vars(module).values() if isinstance(value, Family)]


def test_the_examples_do_the_same_under_other_seeds() -> None:
    """An example would teach a rule that follows the hash seed, the clock or what ran before."""
    histories: list[History] = []
    for family in example_families():
        samples = Samples(seed=len(histories))
        histories.append(History(family, samples.of(family.config)))
        for kind in [kind for box in family.boxes.values() for kind in sorted(box.accepts_types, key=str)] * 10:
            histories[-1].feed(Delivery("author", family.plan[kind].mailbox, samples.of(kind)))
            histories[-1].wait(10**9)
    cases = [case for history in histories for case in history.cases]
    records = [record for history in histories for record in history.records]
    assert len(cases) > 200
    assert elsewhere(cases, OTHER_SEEDS[0]) == records


def test_every_planted_fault_is_found() -> None:
    """A clock, chance, or the order of a set would decide what an engine does, unseen."""
    histories = {}
    for name in planted.FAULTS:
        histories[name] = History(load_family(f"planted_faults:{name}", (PLANTED,)), planted.Limits())  # type: ignore[arg-type]
        for n in range(3):
            histories[name].say(*(f"word-{n}-{k}" for k in range(6)))
    cases = [case for history in histories.values() for case in history.cases]
    found = dict.fromkeys(histories, 0)
    records = iter(elsewhere(cases, OTHER_SEEDS[0]))
    for name, history in histories.items():
        found[name] = sum(bool(compare(record, next(records))) for record in history.records)
    assert {name for name, times in found.items() if times == 0} == set()
    assert len(found) == 15


def test_a_difference_says_where() -> None:
    """The author would know that something differs, not what."""
    history = History(planted.SET_ORDER, planted.Limits())
    history.say("a", "b", "c", "d", "e")
    (here,) = history.records
    others = (elsewhere(history.cases, seed)[0] for seed in OTHER_SEEDS)
    other = next(record for record in others if record != here)
    places = [difference.where for difference in compare(here, other)]
    assert all(re.fullmatch(r"outputs\[[0-4]\]\.(target|message\[1\])", place) for place in places)
    assert places


def test_compare_on_records() -> None:
    """Equal records would differ, or a difference be missed or be reported without end."""
    encode = msgspec.msgpack.encode
    assert compare(encode({"a": float("nan")}), encode({"a": float("nan")})) == []
    assert compare(encode({"a": [1, {"b": b"x"}]}), encode({"a": [1, {"b": b"y"}]})) == [
        Difference("a[1].b", "b'x'", "b'y'")
    ]
    assert compare(encode({"a": 1}), encode({"a": True})) == [Difference("a", "1", "True")]
    assert compare(encode({"a": [1, 2]}), encode({"a": [1]})) == [Difference("a", "[1, 2]", "[1]")]
    assert compare(encode({"a": 1}), encode({"b": 1})) == [
        Difference("a", "1", "absent"),
        Difference("b", "absent", "1"),
    ]
    many = [encode([{"n": n, "seed": seed} for n in range(100)]) for seed in (1, 2)]
    assert len(compare(*many)) == DIFFERENCES_MAX
    assert str(Difference("a", "1", "2")) == "a: 1 and 2"


def test_a_case_that_is_none_is_refused() -> None:
    """A case would be run as another one."""
    (case, *_) = clean_history().cases
    wrong = msgspec.msgpack.decode(case)
    with pytest.raises(LoadError):
        run_case(msgspec.msgpack.encode(wrong | {"family": "planted_faults:NONE"}), (PLANTED,))
    for change in ({"env": b""}, {"message": b"\x01"}, {"params": msgspec.msgpack.encode({"words": "x"})}):
        with pytest.raises(msgspec.DecodeError):
            run_case(msgspec.msgpack.encode(wrong | change), (PLANTED,))
