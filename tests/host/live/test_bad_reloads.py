"""Bad reloads, one after the other, under load: each is refused with its reason, and the old engine loses nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from deadline import DEADLINE_NS, DEADLINE_S
from live_nodes import LiveNode, World, counter, until

from bench.spread import quantile
from host.live.control.client import Client
from host.live.control.protocol import ControlError
from host.live.process_stat import parent_of

SHORT_NS = 3_000_000_000
"""For code that would run for ever."""

EVERY_S = 0.002
"""Between two questions: neither the engine nor its client takes a core."""

LATENCY_RATIO_MAX = 1.2

IMPORTS = ("import signal\n", "import signal\nimport sys\nimport time\n")
TOP = "VERSION = 1\n"
STATE = "    total: int = 0\n"
EMITS = "    emits=Total,\n"
MORE = (STATE, f"{STATE}    more: int = 0\n")
ADDED = "Count(t.env.state.total + add.amount)"
SAID = "Send(ask.reply_to, Total(t.env.state.total, VERSION))"
RULES = ".rules(add, tell, die, fail, breed, end)"
HOG = "[bytes(1 << 28) for _ in range(100_000)]"
LOOP = "max(0 for _ in iter(int, 1))"


def at_import(code: str) -> list[tuple[str, str]]:
    return [IMPORTS, (TOP, f"{TOP}{code}\n")]


def migrating(how: str) -> list[tuple[str, str]]:
    """A field more, and a migration of the old state."""
    return [IMPORTS, MORE, (EMITS, f"{EMITS}    migrate=lambda old: {how},\n")]


def adding(what: str) -> list[tuple[str, str]]:
    return [IMPORTS, (ADDED, what)]


BAD: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "a syntax error": ("SyntaxError", at_import("def f(:")),
    "a module that is missing": ("ModuleNotFoundError", at_import("import no_such_module_here")),
    "a name that is missing": ("NameError", at_import("VERSION = VERSIONS")),
    "an exit": ("SystemExit", at_import("sys.exit(3)")),
    "an exit of the process": ("exited with code 3 while importing", at_import("os._exit(3)")),
    "a crash": ("killed by SIGSEGV while importing", at_import("os.kill(os.getpid(), signal.SIGSEGV)")),
    "a recursion": ("RecursionError", at_import("def f() -> int:\n    return f()\n\n\nf()")),
    "a memory hog": ("MemoryError", at_import(HOG)),
    "an import that hangs": ("not imported in time; --timeout", at_import("time.sleep(1000)")),
    "an import that loops": ("not imported in time", at_import(LOOP)),
    "an import that starts processes": (
        "not imported in time",
        at_import("for _ in range(40):\n    if os.fork() == 0:\n        time.sleep(1000)\ntime.sleep(1000)"),
    ),
    "a family that is gone": ("COUNTER", [("COUNTER = Family", "COUNTERS = Family")]),
    "a family that is none": ("COUNTER", [("COUNTER = Family", "COUNTER = 3\nOTHER = Family")]),
    "a rule that is never reached": ("definition", [(RULES, ".rules(add, tell, die, fail, breed, end, add)")]),
    "a type that no value may have": ("definition", [(STATE, "    total: list[int] = []\n")]),
    "a message that is gone": (
        "no longer accepts End; keep what may be queued",
        [("Breed | End,", "Breed,"), (RULES, RULES.replace(", end)", ")"))],
    ),
    "a field that is gone": (
        "Add.amount is gone",
        [("    amount: int = 1\n", '    """None."""\n'), ("add.amount", "1")],
    ),
    "a field of another type": ("Add field 0", [("amount: int = 1", "amount: float = 1.0"), ("add.amount", "1")]),
    "a field put in front": ("Add field 0", [("    amount: int", "    unit: str = ''\n    amount: int")]),
    "a field without a default": ("without a default", [("    amount: int = 1\n", "    amount: int\n    unit: str\n")]),
    "an output of another layout": ("Total field 0", [("    count: int\n", "    unit: str\n    count: int\n")]),
    "a mailbox that is gone": (
        "mailbox 0 is gone",
        [
            ("import Arrived,", "import Arrived, Box,"),
            (EMITS, f"{EMITS}    boxes=[Box(1, accepts=Add | Ask | Die | Raise | Breed | End)],\n"),
        ],
    ),
    "a parameter that is required": (
        "Limit",
        [
            ("import Arrived,", "import Arrived, Config,"),
            ("class Count(Value):", "class Limit(Config):\n    most: int\n\n\nclass Count(Value):"),
            ("[Add, None, Count]", "[Add, Limit, Count]"),
            (EMITS, f"{EMITS}    config=Limit,\n"),
        ],
    ),
    "a part of the state that is lost": (
        "state.total",
        [("    total: int = 0", "    sum: int = 0"), ("state.total", "state.sum")],
    ),
    "a migration that raises": ("ZeroDivisionError", migrating("Count(1 // 0)")),
    "a migration that exits": ("SystemExit", migrating("sys.exit(3)")),
    "a migration that kills its process": ("killed by SIGKILL", migrating("os.kill(os.getpid(), signal.SIGKILL)")),
    "a migration to another type": ("not the state's type", migrating("Total(3)")),
    "a migration to a wrong field": ("Count.total", migrating("Count(str(old['total']))")),
    "a migration to a number too large": ("beyond 64 bits", migrating("Count(2**70)")),
    "a migration by the clock": ("another state each time", migrating("Count(time.monotonic_ns())")),
    "a migration that loops": ("in time", migrating(LOOP)),
    "a migration that takes all memory": ("MemoryError", migrating(HOG)),
    "a rule that fails on a later trigger": ("now:    failed", adding(f"{ADDED} if t.env.state.total < 4 else None.x")),
    "a rule that kills its process": (
        "killed by SIGSEGV while rehearsing engine a",
        adding(f"{ADDED} if t.env.state.total < 4 else os.kill(os.getpid(), signal.SIGSEGV)"),
    ),
    "a rule that loops": ("in time", adding(f"{ADDED} if t.env.state.total < 4 else {LOOP}")),
    "a rule that takes all memory": ("MemoryError", adding(f"{ADDED} if t.env.state.total < 4 else {HOG}")),
    "a rule by the clock": ("not deterministic", adding("Count(t.env.state.total + time.monotonic_ns() % 1_000_003)")),
    "a rule that counts otherwise": ("state.total", adding(ADDED.replace("amount", "amount + 1"))),
    "an output that is gone": ("before: committed", [(f"[{SAID}, ", "[")]),
    "an output that is different": ("before: committed", [("Total(t.env.state.total, VERSION)", "Total(-1, VERSION)")]),
    "an output more": ("before: committed", [(f"[{SAID}", f"[{SAID}, {SAID}")]),
    "a predicate that raises": (
        "intended raised",
        [*adding(ADDED.replace("amount", "amount + 1")), (EMITS, f"{EMITS}    intended=lambda m: 1 // 0,\n")],
    ),
}


ASKED_EVERY = 100
"""Messages between two that are answered: outputs are among the triggers rehearsed, however many there are."""


@contextmanager
def loaded(node: LiveNode) -> Iterator[list[int]]:
    """Messages, one after the other, beside the block; how many were sent is in the list after it."""
    sent = [0]
    is_over = threading.Event()

    def work() -> None:
        with Client(node.client.path) as client:
            beside = LiveNode(node.launch, node.spec, client)
            while not is_over.is_set():
                beside.send("a", "Add", amount=1)
                sent[0] += 1
                if sent[0] % ASKED_EVERY == 0:
                    beside.total("a")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield sent
    finally:
        is_over.set()
        thread.join(DEADLINE_S)


def refusal(node: LiveNode, timeout_ns: int) -> str:
    """Why a reload is refused; "taken" if it is not."""
    try:
        node.ask("reload", engine="a", timeout_ns=timeout_ns, rehearse=10_000)
    except ControlError as error:
        return str(error) if error.error == "refused" else f"{error.error}: {error}"
    return "taken"


@pytest.mark.storm
def test_bad_reloads_under_load_hurt_nothing(world: World) -> None:
    """False if a bad reload were taken, gave no reason, left a process, or cost a message or the engine its process."""
    source = world.roots / "counting.py"
    text = source.read_text()
    with world.up(world.spec(counter("a", durability="crash"))) as node:
        for _ in range(10):
            node.send("a", "Add", amount=1)
        node.total("a")
        pid = node.ps()["a"]["pid"]
        family = {pid for pid in os.listdir("/proc") if pid.isdigit() and parent_of(pid) == node.launch.process.pid}
        wrong: dict[str, str] = {}
        with loaded(node) as sent:
            for name, (reason, edits) in BAD.items():
                source.write_text(edited(text, name, edits))
                said = refusal(node, SHORT_NS if "in time" in reason else DEADLINE_NS)
                if reason not in said or "the old one goes on untouched" not in said:
                    wrong[name] = said
        source.write_text(text)
        assert wrong == {}
        assert node.total("a") == 10 + sent[0]
        assert node.ps()["a"]["pid"] == pid
        until(lambda: len(world.processes()) <= len(family) + 2, "the end of all candidates, and of what they started")
        assert len(node.events("reload_refused", "a")) == len(BAD)


@contextmanager
def timed(node: LiveNode) -> Iterator[list[list[int]]]:
    """Messages at a rate, beside the block; how long each answer took goes to the list that is the first one then."""
    into: list[list[int]] = [[]]
    is_over = threading.Event()

    def work() -> None:
        with Client(node.client.path) as client:
            beside = LiveNode(node.launch, node.spec, client)
            while not is_over.wait(EVERY_S):
                beside.send("a", "Add", amount=1)
                before_ns = time.monotonic_ns()
                beside.total("a")
                into[0].append(time.monotonic_ns() - before_ns)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield into
    finally:
        is_over.set()
        thread.join(DEADLINE_S)


@pytest.mark.long
def test_bad_reloads_leave_the_old_engine_its_latency(world: World) -> None:
    """False if answers took longer while bad reloads were tried, on a machine with nothing else to do: the 99th
    percentile, beside that of as much time without one after each."""
    source = world.roots / "counting.py"
    text = source.read_text()
    busy, quiet = list[int](), list[int]()
    with world.up(world.spec(counter("a", durability="crash"))) as node:
        for _ in range(10):
            node.send("a", "Add", amount=1)
        with timed(node) as into:
            for name, (reason, edits) in BAD.items():
                source.write_text(edited(text, name, edits))
                into[0], before_s = busy, time.monotonic()
                said = refusal(node, SHORT_NS if "in time" in reason else DEADLINE_NS)
                assert "the old one goes on untouched" in said, name
                into[0], took_s = quiet, time.monotonic() - before_s
                source.write_text(text)
                time.sleep(took_s)
    (p99, beside), longest = (quantile(sorted(one), 0.99) for one in (busy, quiet)), max(busy)
    print(
        f"p99 {p99 / 1e6:.2f} ms of {len(busy)}, beside {beside / 1e6:.2f} of {len(quiet)}; {longest / 1e6:.0f} longest"
    )
    assert p99 < beside * LATENCY_RATIO_MAX


def edited(text: str, name: str, edits: list[tuple[str, str]]) -> str:
    for old, new in edits:
        assert old in text, f"{name}: {old}"
        text = text.replace(old, new)
    return text


def test_there_are_forty_kinds_of_bad_reloads() -> None:
    """False if the list became shorter than what the guide claims."""
    assert len(BAD) >= 40
