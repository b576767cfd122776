"""Behaviour changes that a rehearsal finds, and refactorings that it lets pass."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from rehearsed import AnyFamily, Versions, past_of, rehearsed

from host.node.rehearsal import CutShort, Differs, rehearse

SELL = "    order, stock = t.message, t.env.state\n"
SOLD = "items=stock.items.set(order.item, left)"
LOG = "log=(*stock.log, order.item)[-5:]"

CHANGES = {
    "a price": [("PRICE = 3", "PRICE = 4")],
    "a bound of a discount": [("FREE_FROM = 10", "FREE_FROM = 11")],
    "an off by one in a guard": [("left if left >= 0", "left if left > 0")],
    "a guard that forgets a condition": [("left >= 0 and t.env.state.is_open", "left >= 0")],
    "a sum that is not added up": [("earned=stock.earned + price", "earned=price")],
    "a field that is not set": [(f"        {SOLD},\n", "")],
    "a list that is cut otherwise": [("[-5:]", "[-4:]")],
    "an order of a list": [("(*stock.log, order.item)", "(order.item, *stock.log)")],
    "an output less": [("return Send(order.buyer, Receipt(order.item, 0, 0))", "return []")],
    "an output more": [
        (
            "return Send(order.buyer, Receipt(order.item, 0, 0))",
            "return [Send(order.buyer, Receipt(order.item, 0, 0))] * 2",
        )
    ],
    "another receiver": [
        ("Send(order.buyer, Receipt(order.item, 0, 0))", "Send(Ref[Receipt](t.me.name), Receipt(order.item, 0, 0))")
    ],
    "a field of an output": [("Receipt(order.item, order.count, price)", "Receipt(order.item, order.count, -price)")],
    "a state of a mailbox": [("state.orders + 1", "state.orders + 2")],
    "a deadline": [("t.now_ns + 50", "t.now_ns + 60")],
    "a timer that is not set": [("        SetTimer(CLOSING, at_ns=t.now_ns + 50),\n", "")],
    "a timer that is not cancelled": [(", CancelTimer(CLOSING)]", "]")],
    "what a timer does": [("earned {t.env.state.earned}", "got {t.env.state.earned}")],
    "an error that is new": [
        ("    items = t.env.state.items\n", "    items = t.env.state.items\n    assert refill.count < 30\n")
    ],
    "a rule that takes what was stored": [
        ("return True if t.message.item in t.env.state.items else None", "return True")
    ],
    "a rule that is gone": [(".rules(sell, turn_down,", ".rules(sell,")],
    "a condition the other way round": [("and t.env.state.is_open", "and not t.env.state.is_open")],
}

REFACTORINGS = {
    "a comment": [(SELL, f"    # what is asked for\n{SELL}")],
    "names of variables": [
        ("price = price_of", "due = price_of"),
        ("+ price,", "+ due,"),
        ("count, price)", "count, due)"),
    ],
    "a function in place": [
        ("price_of(order.count)", "PRICE * (order.count if order.count < FREE_FROM else order.count - 1)")
    ],
    "a function taken out": [
        (LOG, "log=last(stock.log, order.item)"),
        (
            "def in_stock",
            "def last(log: tuple[str, ...], item: str) -> tuple[str, ...]:\n"
            "    return (*log, item)[-5:]\n\n\ndef in_stock",
        ),
    ],
    "an order of a sum": [("stock.earned + price", "price + stock.earned")],
    "an expression": [("count if count < FREE_FROM else count - 1", "count - (count >= FREE_FROM)")],
    "a loop for an expression": [(LOG, "log=tuple([*stock.log, order.item][-5:])")],
    "an order of rules that exclude each other": [
        ("sell, turn_down, refill, hold, close, closing", "closing, hold, close, refill, sell, turn_down")
    ],
    "a name of a rule": [("def turn_down", "def refuse"), ("sell, turn_down", "sell, refuse")],
    "a name of a guard": [("in_stock", "is_left")],
    "a constructor for a replace": [
        (
            "return replace(t.env.state, items=items.set",
            "old = t.env.state\n    return Stock(earned=old.earned, log=old.log, is_open=old.is_open, items=items.set",
        )
    ],
    "an effect for a bare state": [
        ("return replace(t.env.state, items=items", "return Become(replace(t.env.state, items=items"),
        ("0) + refill.count))", "0) + refill.count)))"),
    ],
    "a list for one effect": [
        ("return Send(order.buyer, Receipt(order.item, 0, 0))", "return [Send(order.buyer, Receipt(order.item, 0, 0))]")
    ],
    "an order of effects": [
        (
            "        Become(sold),\n        Put(INBOX, Seen(t.env[INBOX].state.orders + 1)),\n",
            "        Put(INBOX, Seen(t.env[INBOX].state.orders + 1)),\n        Become(sold),\n",
        )
    ],
    "a delay for an instant": [("at_ns=t.now_ns + 50", "after_ns=50")],
    "a timer set twice": [
        (
            "        SetTimer(CLOSING, at_ns=t.now_ns + 50),\n",
            "        SetTimer(CLOSING, after_ns=7),\n        SetTimer(CLOSING, after_ns=50),\n",
        )
    ],
    "a note": [
        ("    CancelTimer,\n", "    CancelTimer,\n    Note,\n"),
        (
            "return [Become(replace(t.env.state, is_open=False)),",
            'return [Note("closed"), Become(replace(t.env.state, is_open=False)),',
        ),
    ],
    "a text of an error": [('"less than nothing"', '"a refill has at least nothing"')],
    "a field more of the state": [("    is_open: bool = True\n", "    is_open: bool = True\n    refills: int = 0\n")],
    "a field more of a message": [("    price: int\n", "    price: int\n    currency: str = 'EUR'\n")],
    "a message more": [
        ("class Receipt", 'class Look(Message):\n    """New."""\n\n\nclass Receipt'),
        ("Order | Refill | Hold | Close", "Order | Refill | Hold | Close | Look"),
        (
            "@rule\ndef close",
            "@rule\ndef look(_l: Look, t: Arrived[Look, None, Stock]) -> Effects[Stock, Receipt]:\n"
            '    """None."""\n    return []\n\n\n@rule\ndef close',
        ),
        ("hold, close, closing)", "hold, look, close, closing)"),
    ],
    "a match for ifs": [
        (
            '    if refill.count < 0:\n        raise ValueError("less than nothing")\n',
            '    match refill.count:\n        case n if n < 0:\n            raise ValueError("less than nothing")\n',
        )
    ],
}


def script(family: AnyFamily) -> list[tuple[int, Any]]:
    """Messages that reach every rule and every outcome, by the version's own classes."""
    module = sys.modules[family.ref.partition(":")[0]]
    order = lambda item, count: module.Order(item, count, "buyer")  # noqa: E731
    told = [
        module.Refill("tea", 30),
        module.Refill("rice", 11),
        order("tea", 1),
        order("rice", 10),
        order("salt", 1),
        module.Refill("tea", -1),
        module.Hold("salt"),
        module.Hold("tea"),
        *[order("tea", n) for n in range(1, 6)],
        order("rice", 1),
    ]
    late = [(at * 10, message) for at, message in enumerate(told)]
    return [
        *late,
        (1000, order("tea", 2)),
        (1010, module.Close()),
        (1020, order("tea", 1)),
        (2000, module.Hold("rice")),
    ]


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_behaviour_is_found(versions: Versions, name: str) -> None:
    """False if code that does something else could take over without its author saying so."""
    old = versions.load()
    with pytest.raises(Differs) as caught:
        rehearsed(past_of(old, script(old)), versions.load(*CHANGES[name]))
    assert "turn " in str(caught.value)
    assert "before:" in str(caught.value) or "differs after it:" in str(caught.value)


@pytest.mark.parametrize("name", REFACTORINGS)
def test_a_refactoring_passes(versions: Versions, name: str) -> None:
    """False if code that does the same were refused."""
    old = versions.load()
    past = past_of(old, script(old))
    result = rehearsed(past, versions.load(*REFACTORINGS[name]))
    assert (result.turns, result.intended) == (len(past) - 2, 0)


MORE = ("    is_open: bool = True\n", "    is_open: bool = True\n    sold: int = 0\n")
SELLS = ("return [\n        Become(sold)", "return [\n        Become(replace(sold, sold=stock.sold + 1))")
END = "emits=Receipt, boxes"


def test_a_new_field_that_the_triggers_change_is_named(versions: Versions) -> None:
    """False if a field that only the new version counts were taken for a change, or its gap were not reported."""
    old = versions.load()
    result = rehearsed(past_of(old, script(old)), versions.load(MORE, SELLS))
    assert result.added == ("state.sold",)


def test_a_field_that_the_migration_derives_is_compared(versions: Versions) -> None:
    """False if a migrated field that the new rules forget could go into force."""
    old = versions.load()
    migrate = (
        "def migrate(old: dict[str, Any]) -> Stock:\n    items, log = Map(old['items']), tuple(old['log'])\n"
        "    return Stock(items, old['earned'], log, old['is_open'], old['earned'] // 3)\n\n\nSTALL ="
    )
    edits = (
        MORE,
        ("from __future__ import annotations\n", "from __future__ import annotations\n\nfrom typing import Any\n"),
        ("STALL =", migrate),
        (END, f"migrate=migrate, {END}"),
    )
    with pytest.raises(Differs, match=r"state\.sold"):
        rehearsed(past_of(old, script(old)), versions.load(*edits))


@pytest.mark.parametrize("keeps_states", [True, False])
def test_code_that_is_not_deterministic_is_found(versions: Versions, keeps_states: bool) -> None:
    """False if a version that counts its own runs in a global could take over."""
    old = versions.load()
    count = 'RUNS: list[int] = []\n\n\ndef price_of(count: int) -> int:\n    """Counts."""\n    RUNS.append(1)\n'
    edits = [("def price_of(count: int) -> int:\n", count), ("PRICE * (", "len(RUNS) + PRICE * (")]
    with pytest.raises(Differs, match="not deterministic"):
        rehearsed(past_of(old, script(old), keeps_states=keeps_states), versions.load(*edits))


def test_a_migration_that_is_not_deterministic_is_found(versions: Versions) -> None:
    """False if two migrations of one state could give two states."""
    old = versions.load()
    migrate = (
        "STATES: list[Stock] = []\n\n\ndef migrate(old: object) -> Stock:\n"
        "    STATES.append(Stock())\n    return Stock(sold=len(STATES))\n\n\nSTALL ="
    )
    edits = (MORE, ("STALL =", migrate), (END, f"migrate=migrate, {END}"))
    with pytest.raises(Differs, match="another state each time"):
        rehearsed(past_of(old, script(old)), versions.load(*edits))


JUDGES = {
    "lambda m: bool(m.after.messages('Receipt'))": "differs after it: state.log",
    "lambda m: m.places == ('state.earned',)": "before: ",
    "lambda m: 1 // 0": "intended raised",
}


@pytest.mark.parametrize("judge", JUDGES)
def test_a_predicate_has_to_cover_every_difference(versions: Versions, judge: str) -> None:
    """False if a declared difference hid another one, or an error of the predicate passed for a yes."""
    old = versions.load()
    edits = (("PRICE = 3", "PRICE = 4"), (END, f"intended={judge}, {END}"))
    with pytest.raises(Differs, match=JUDGES[judge]):
        rehearsed(past_of(old, script(old)), versions.load(*edits))


def test_places_that_differ_are_reported_once(versions: Versions) -> None:
    """False if one difference of the state were reported again with each later message."""
    old = versions.load()
    edits = (("earned + price,", "earned + price + 1,"), (END, f"intended=lambda m: True, {END}"))
    result = rehearsed(past_of(old, script(old)), versions.load(*edits))
    assert result.intended == 2, "the field, then the line that the timer writes of it"


def test_outputs_are_compared_without_states(versions: Versions) -> None:
    """False if an engine whose states are too large to keep could change its outputs unseen."""
    old = versions.load()
    past = past_of(old, script(old), keeps_states=False)
    assert rehearsed(past, versions.load(("earned=stock.earned + price", "earned=price"))).intended == 0
    with pytest.raises(Differs, match="before:"):
        rehearsed(past, versions.load(("PRICE = 3", "PRICE = 4")))


def test_a_trigger_that_failed_may_be_handled_now(versions: Versions) -> None:
    """False if the repair of an error were refused, or its effects were compared with what never happened."""
    old = versions.load()
    repair = ('raise ValueError("less than nothing")', "return replace(t.env.state, earned=-1)")
    result = rehearsed(past_of(old, script(old)), versions.load(repair))
    assert (result.repaired, result.intended) == (1, 0)


def test_a_past_in_two_parts_is_one_result(versions: Versions) -> None:
    """False if turns before a reload in the middle of a log did not count, or began from the state after it."""
    old = versions.load()
    past = past_of(old, script(old))
    assert rehearsed([*past[:-1], *past], versions.load(MORE, SELLS)).turns == 2 * (len(past) - 2)


def test_a_past_that_is_cut_is_reported(versions: Versions) -> None:
    """False if the death of the process that reads the log passed for a rehearsal."""
    old = versions.load()
    with pytest.raises(CutShort):
        rehearse(past_of(old, script(old))[:-2], lambda engine, before: old)
