"""Reloads that are refused: each says where the new code failed and how, and the old engine goes on untouched."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from live_nodes import LiveNode, World, counter, until

from host.config.spec import EngineSpec, Placement, SupervisionSpec
from host.live.control.protocol import ControlError
from host.live.supervisor.reload_request import NAMES_SHOWN

STATE = "    total: int = 0"
EMITS = "    emits=Total,"


def reload(node: LiveNode, engine: str = "a") -> Any:
    return node.ask("reload", engine=engine, to=None, timeout_ns=10**10)[0]


def refusal(node: LiveNode, engine: str = "a") -> str:
    """What a reload says that is refused; the old process is still there."""
    pid = node.ps()[engine]["pid"]
    with pytest.raises(ControlError) as caught:
        reload(node, engine)
    assert caught.value.error == "refused"
    assert node.ps()[engine]["pid"] == pid
    return str(caught.value)


def changed(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


ENDS = {
    "sys.exit(3)": "SystemExit: 3",
    "os._exit(3)": "the new process exited with code 3 while {what}",
    "os.kill(os.getpid(), signal.SIGSEGV)": "the new process was killed by SIGSEGV while {what}",
    "exec('raise KeyboardInterrupt')": "KeyboardInterrupt",
}


def test_an_end_while_importing_or_migrating_is_named(world: World) -> None:
    """False if a module or a migration that ends its process leaves its user without stage, exit code or signal."""
    source = world.roots / "counting.py"
    text = source.read_text()
    with world.up(world.spec(counter("a"))) as node:
        node.send("a", "Add", amount=5)
        for code, expected in ENDS.items():
            source.write_text(f"{text}\nimport sys\n{code}\n")
            assert expected.format(what="importing counting:COUNTER") in refusal(node), code
            migrate = f"{EMITS}\n    migrate=lambda old: ({code}, Count(old['total']))[1],"
            more = (STATE, f"{STATE}\n    more: int = 0")
            source.write_text(changed(text, ("import os\n", "import os\nimport sys\n"), more, (EMITS, migrate)))
            assert expected.format(what="migrating engine a") in refusal(node), code
        assert node.total("a") == 5


ASKED = 'said = yield Choose(("yes", "no"))'
QUESTIONS = {
    'said = yield Choose(("yes", "never"))': "the new code waits for the choice yes, never there, in ask",
    "said = yield Roll(6)": "the new code waits for a roll of 6 sides there, in ask",
    'said = "no" if VERSION else (yield Choose(("yes", "no")))': "the new code asks nothing there",
}


@pytest.mark.parametrize("mode", [pytest.param("volatile", marks=pytest.mark.storm), "durable"])
def test_a_version_that_asks_something_else_is_refused(world: World, mode: Any) -> None:
    """False if a user answers a question that the code which gets the answer never put."""
    source = world.roots / "asking.py"
    text = changed(
        source.read_text(),
        ("Choose, Effects", "Choose, Roll, Effects"),
        ("class Words", "VERSION = 1\n\n\nclass Words"),
    )
    with world.up(world.spec(EngineSpec("q", "asking:ASKER", durability=mode))) as node:
        node.send("q", "Question")
        until(lambda: node.ps()["q"]["waits_for"] == ["yes", "no"], "the question")
        for asked, expected in QUESTIONS.items():
            source.write_text(changed(text, (ASKED, asked)))
            said = refusal(node, "q")
            assert "it waits for the choice yes, no" in said
            assert expected in said
        source.write_text(changed(text, ("(*t.env.state.words, said)", "(*t.env.state.words, said.upper())")))
        reload(node, "q")
        node.ask("answer", engine="q", choice="yes")
        until(lambda: node.ask("state", engine="q")[0]["state"] == {"words": ["YES"]}, "the answer")


@pytest.mark.storm
@pytest.mark.parametrize("mode", ["volatile", "crash"])
def test_a_migration_to_another_type_is_refused(world: World, mode: Any) -> None:
    """False if a state of a wrong type goes into force, or into a log that nobody can read after it."""
    source = world.roots / "counting.py"
    text = source.read_text()
    spec = world.spec(counter("a", durability=mode))
    with world.up(spec) as node:
        node.send("a", "Add", amount=5)
        migrate = f"{EMITS}\n    migrate=lambda old: Count(old['total'] * 100.5),"
        source.write_text(changed(text, (STATE, f"{STATE}\n    more: int = 0"), (EMITS, migrate)))
        said = refusal(node)
        assert "total" in said
        assert "float" in said
        assert node.total("a") == 5
    source.write_text(text)
    with world.up(spec) as node:
        assert node.total("a") == (0 if mode == "volatile" else 5)


@pytest.mark.storm
def test_of_many_engines_there_is_a_number(world: World) -> None:
    """False if the answer, the event or the refusal of a reload names every engine of a process."""
    source = world.roots / "counting.py"
    text = source.read_text()
    engines = [counter(f"a{number}", placement=Placement("one")) for number in range(3 * NAMES_SHOWN)]
    with world.up(world.spec(*engines)) as node:
        item = reload(node, "a1")
        assert item["shared_with"] == [f"a{number}" for number in range(NAMES_SHOWN + 1) if number != 1]
        assert item["shared"] == 3 * NAMES_SHOWN - 1
        assert node.events("reloaded")[0]["shared_with"] == item["shared_with"]
        source.write_text(changed(text, (" | End,", ","), ("breed, end)", "breed)")))
        said = refusal(node, "a1")
        assert f"a0 (and {3 * NAMES_SHOWN - 1} more): mailbox 0 no longer accepts End" in said
        assert "a2" not in said


@pytest.mark.storm
def test_an_engine_without_a_process_is_refused_with_what_brings_its_new_code(world: World) -> None:
    """False if somebody whose engine waits for its restart, or gets none, were not told how to begin it."""
    source = world.roots / "counting.py"
    slow = SupervisionSpec(backoff_ns=60_000_000_000, backoff_max_ns=60_000_000_000)
    with world.up(world.spec(counter("a"), supervision=slow)) as node:
        for pids in range(1, 3):  # the first restart has no pause
            os.kill(until(lambda: node.ps()["a"]["pid"], "a process"), signal.SIGKILL)
            until(lambda pids=pids: len(node.events("crashed", "a")) == pids, "its end")
        source.write_text(source.read_text().replace("VERSION = 1", "VERSION = 2"))
        with pytest.raises(ControlError, match=r"a is not running: restarting; `enginehost restart a` begins it"):
            reload(node)
        node.ask("restart", engine="a")
        until(lambda: node.states()["a"] == "running", "it runs")
        assert node.send("a", "Ask", wait="Total")["version"] == 2
