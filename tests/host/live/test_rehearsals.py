"""Rehearsals and dry runs on live nodes: new code runs the last triggers of a journaled engine first."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_NS, DEADLINE_S
from live_nodes import LiveNode, World, counter, until

from host.config.spec import EngineSpec, Placement, ReloadSpec, SupervisionSpec, TransportSpec
from host.live.control.client import Client
from host.live.control.protocol import ControlError
from host.live.journal.recall import first_turns
from host.live.supervisor.reload import NO_TRIGGER
from transport.native import native_available, native_reason

NEEDS_LANES = pytest.mark.skipif(not native_available(), reason=f"no native lanes: {native_reason()}")
"""A process with ZeroMQ links cannot be forked, so it has no rehearsal: see the test of that."""

ADDS = "t.env.state.total + add.amount"
SAYS = "Total(t.env.state.total, VERSION)"
STATE = "    total: int = 0"
EMITS = "    emits=Total,"


def source(world: World) -> Path:
    return world.roots / "counting.py"


def edit(world: World, *changes: tuple[str, str]) -> None:
    text = source(world).read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    source(world).write_text(text)


def reload(node: LiveNode, engine: str = "a", **args: Any) -> Any:
    return node.ask("reload", engine=engine, timeout_ns=DEADLINE_NS, **{"rehearse": 10_000, **args})[0]


def refusal(node: LiveNode, **args: Any) -> str:
    """What a refused reload says; the old process is still there."""
    pid = node.ps()["a"]["pid"]
    with pytest.raises(ControlError) as caught:
        reload(node, **args)
    assert caught.value.error == "refused"
    assert node.ps()["a"]["pid"] == pid
    return str(caught.value)


def busy(node: LiveNode, count: int = 20) -> None:
    """Messages of both kinds in the log."""
    for amount in range(count):
        node.send("a", "Add", amount=amount)
    assert node.send("a", "Ask", wait="Total")["count"] == sum(range(count))


@NEEDS_LANES
def test_code_that_does_the_same_takes_over(world: World) -> None:
    """False if a refactoring were refused, or the rehearsal ran fewer turns than the log has."""
    with world.up(world.spec(counter("a", durability="crash"))) as node:
        busy(node)
        edit(world, (ADDS, "add.amount + t.env.state.total"))
        item = reload(node)
        assert item["rehearsal"] == [
            {"engine": "a", "turns": 21, "intended": 0, "added": [], "lost": "", "repaired": 0}
        ]
        assert node.total("a") == 190


@pytest.mark.storm
@NEEDS_LANES
def test_neighbours_of_the_same_code_are_rehearsed_too(world: World) -> None:
    """False if only the engine that is named were tried, or one without a turn had a past."""
    group = Placement("group", "g")
    names = ["a", "b", "c"]
    with world.up(world.spec(*(counter(name, durability="crash", placement=group) for name in names))) as node:
        busy(node)
        for _ in range(3):
            node.send("b", "Ask", wait="Total")
        edit(world, (ADDS, "add.amount + t.env.state.total"))
        assert {one["engine"]: one["turns"] for one in reload(node)["rehearsal"]} == {"a": 21, "b": 3}


def test_many_engines_share_what_is_recalled() -> None:
    """False if a process of thousands recalled the whole count of each, or a few got less than they asked for."""
    assert first_turns({"a": 500, "b": 0, "c": 30}, 100) == {"a": 400, "c": 0}
    many = first_turns({f"e{n}": 50 for n in range(40)}, 10)
    assert set(many.values()) == {48}
    assert len(first_turns(dict.fromkeys(map(str, range(1000)), 5), 10)) == 100


@NEEDS_LANES
def test_an_output_that_differs_is_refused_with_its_trigger_and_both_outputs(world: World) -> None:
    """False if undeclared behaviour went into force, or its author could not see where it differs."""
    with world.up(world.spec(counter("a", durability="crash"))) as node:
        busy(node)
        edit(world, (SAYS, "Total(t.env.state.total + 1000, VERSION)"))
        said = refusal(node)
        assert "turn 21, a message of" in said
        assert "'count': 190" in said
        assert "'count': 1190" in said
        assert node.total("a") == 190
        assert reload(node, rehearse=0)["state"] == "as it is"


@pytest.mark.storm
@NEEDS_LANES
def test_a_state_that_differs_is_refused_with_its_place(world: World) -> None:
    """False if code that counts otherwise took over, because it says nothing of it."""
    with world.up(world.spec(counter("a", durability="crash"))) as node:
        busy(node)
        edit(world, (ADDS, "t.env.state.total + 2 * add.amount"))
        said = refusal(node)
        assert "turn 2, a message of" in said
        assert "differs after it: state.total" in said


@pytest.mark.storm
@NEEDS_LANES
def test_a_declared_difference_takes_over(world: World) -> None:
    """False if an author could not say that a difference is intended."""
    with world.up(world.spec(counter("a", durability="crash"))) as node:
        busy(node)
        intended = f"{EMITS}\n    intended=lambda m: m.places == ('state.total',) or m.after.result == 'committed',"
        edit(world, (ADDS, "t.env.state.total + 2 * add.amount"), (EMITS, intended))
        (result,) = reload(node)["rehearsal"]
        assert (result["turns"], result["intended"]) == (21, 2)


@pytest.mark.storm
@NEEDS_LANES
def test_a_field_more_is_no_difference_and_is_named(world: World) -> None:
    """False if the new field of a state were refused, or nobody learnt that its past is not in it."""
    with world.up(world.spec(counter("a", durability="durable"))) as node:
        busy(node)
        edit(world, (STATE, f"{STATE}\n    more: int = 0"), (f"Count({ADDS})", f"Count({ADDS}, t.env.state.more + 1)"))
        item = reload(node)
        (result,) = item["rehearsal"]
        assert (result["turns"], result["added"]) == (21, ["state.more"])
        assert not item["followed"], "only a migration at the cut leaves the new field as the migration has it"
        assert item["not_followed"] == "migration and transitions do not commute"


def test_a_dry_run_replaces_nothing_and_reports(world: World) -> None:
    """False if a dry run changed the engine, or left out what a reload would find."""
    with world.up(world.spec(counter("a", durability="crash"))) as node:
        busy(node)
        before = node.ps()["a"]
        edit(world, (STATE, f"{STATE}\n    more: int = 0"))
        item = reload(node, is_trial=True)
        assert item["tried"]
        assert item["state"] == "converted"
        assert item["changes"] == ["the layout of the state differs"]
        assert item["pause_ns"] > 0
        assert node.ps()["a"]["pid"] == before["pid"]
        assert node.ps()["a"]["version"] == before["version"]
        assert node.total("a") == 190
        busy_again = node.send("a", "Add", amount=10)
        assert busy_again is not None
        assert node.total("a") == 200
        assert not reload(node)["tried"]
        assert node.total("a") == 200


@pytest.mark.storm
@NEEDS_LANES
def test_a_volatile_engine_is_rehearsed_on_the_triggers_that_its_process_keeps(world: World) -> None:
    """False if code took over a volatile engine untried, a refusal said less, or a neighbour's trigger was missing."""
    group = Placement("group", "g")
    with world.up(world.spec(counter("a", placement=group), counter("b", placement=group, durability="crash"))) as node:
        busy(node)
        edit(world, (SAYS, "Total(t.env.state.total + 1000, VERSION)"))
        said = refusal(node, is_trial=True)
        assert "turn 21, a message of" in said
        assert "'count': 190" in said
        assert "'count': 1190" in said
        node.send("b", "Ask", wait="Total")
        edit(world, (EMITS, f"{EMITS}\n    intended=lambda m: True,"))
        item = reload(node)
        found = {one["engine"]: (one["turns"], one["intended"]) for one in item["rehearsal"]}
        assert found == {"a": (21, 1), "b": (1, 1)}
        assert (item["followed"], item["not_followed"]) == (False, "migration and transitions do not commute")
        assert node.total("a") == 1190


@pytest.mark.storm
@NEEDS_LANES
def test_one_line_turns_the_triggers_of_volatile_engines_off(world: World) -> None:
    """False if the node file could not leave the ring out, or the engine could then not be reloaded."""
    with world.up(world.spec(counter("a"), reload=ReloadSpec(volatile_triggers=0))) as node:
        busy(node)
        edit(world, (SAYS, "Total(t.env.state.total + 1000, VERSION)"))
        item = reload(node, is_trial=True)
        assert "rehearsal" not in item
        assert node.total("a") == 190


@pytest.mark.storm
@NEEDS_LANES
def test_a_volatile_engine_without_a_trigger_says_so(world: World) -> None:
    """False if an engine was reloaded untried and nobody was told."""
    with world.up(world.spec(counter("a"))) as node:
        edit(world, (SAYS, "Total(t.env.state.total + 1000, VERSION)"))
        assert [(one["engine"], one["lost"]) for one in reload(node, is_trial=True)["rehearsal"]] == [("a", NO_TRIGGER)]


READ_AGAIN = """
import os, time

seen = set()

def stand_when_read_again(amount):
    if amount in seen:
        with open(os.path.join(os.path.dirname(__file__), "reader.pid"), "w") as file:
            file.write(str(os.getpid()))
        time.sleep(3600)
    seen.add(amount)

"""


@pytest.mark.storm
@NEEDS_LANES
@pytest.mark.parametrize("durability", ["volatile", "crash"])
def test_a_killed_reader_of_the_past_is_a_refusal(world: World, durability: Any) -> None:
    """False if the few triggers that were read before its end passed for a rehearsal, or the reload never ended."""
    reader, found = world.roots / "reader.pid", []
    plain = source(world).read_text()
    edit(world, ("import os\n", f"{READ_AGAIN}import os\n"))
    edit(world, (f"Count({ADDS})", f"(stand_when_read_again(add.amount), Count({ADDS}))[1]"))
    with world.up(world.spec(counter("a", durability=durability))) as node:
        node.send("a", "Add", amount=5)
        source(world).write_text(plain)
        thread = threading.Thread(target=lambda: found.append(refusal(node)))
        thread.start()
        until(lambda: reader.exists() and reader.read_text(), "the reader")
        os.kill(int(reader.read_text()), signal.SIGKILL)
        thread.join(DEADLINE_S)
        assert "the process that read the last triggers ended before their end; try again" in found[0]
        assert node.total("a") == 5


ROLLING = '''from __future__ import annotations

from typing import Never

from engines.model import Arrived, Become, Elapsed, Effects, Family, Handle, Interaction, Message, Roll, SetTimer, Timer
from engines.model import Value, interactive_rule, rule

DUE = Timer("due")


class Throw(Message):
    """Roll, and look at it a little later."""


class Thrown(Value):
    sides: tuple[int, ...] = ()
    looked: int = 0


@interactive_rule
def throw(_throw: Throw, t: Arrived[Throw, None, Thrown]) -> Interaction[Thrown, Never]:
    first = yield Roll(6)
    second = yield Roll(1000)
    return [Become(Thrown((*t.env.state.sides, first + second), t.env.state.looked)), SetTimer(DUE, after_ns=1)]


@rule(timer=DUE)
def look(_due: Handle, t: Elapsed[None, Thrown]) -> Effects[Thrown, Never]:
    return Thrown(t.env.state.sides, t.env.state.looked + 1)


DICE = Family("dice", accepts=Throw, state=Thrown(), timers=[DUE]).rules(throw, look)
'''


@pytest.mark.storm
@NEEDS_LANES
def test_rolls_and_timers_of_the_past_are_rehearsed_with_their_answers(world: World) -> None:
    """False if a rehearsal rolled again, or handled a timer at another time than the engine did."""
    rolling = world.roots / "rolling.py"
    rolling.write_text(ROLLING)
    with world.up(world.spec(EngineSpec("a", "rolling:DICE", durability="crash"))) as node:
        for count in range(1, 6):
            node.send("a", "Throw")
            until(lambda: node.ask("state", engine="a")[0]["state"]["looked"] == count, "the timer")  # noqa: B023
        text = rolling.read_text()
        rolling.write_text(f"{text}\n# the same\n")
        assert reload(node)["rehearsal"][0]["turns"] == 10
        rolling.write_text(text.replace("first + second", "first - second"))
        assert "state.sides" in refusal(node)
        rolling.write_text(text.replace("yield Roll(1000)", "yield Roll(1000)\n    yield Roll(7)"))
        assert "now:    asks" in refusal(node)
        rolling.write_text(text.replace("looked + 1", "looked + 2"))
        assert "timers due" in refusal(node)


@pytest.mark.storm
@NEEDS_LANES
def test_answers_of_users_are_rehearsed(world: World) -> None:
    """False if a question of the past were put again, or its answer did not count."""
    asking = world.roots / "asking.py"
    text = asking.read_text()
    with world.up(world.spec(EngineSpec("a", "asking:ASKER", durability="crash"))) as node:
        for n in range(3):
            node.send("a", "Question")
            until(lambda: node.ps()["a"]["waits_for"] == ["yes", "no"], "the question")
            node.ask("answer", engine="a", choice="yes")
            until(lambda: len(node.ask("state", engine="a")[0]["state"]["words"]) == n + 1, "the answer")  # noqa: B023
        asking.write_text(f"{text}\n# the same\n")
        assert reload(node)["rehearsal"][0]["turns"] == 3
        asking.write_text(text.replace("words, said)", "words, said.upper())"))
        assert "state.words" in refusal(node)
        asking.write_text(text.replace('("yes", "no")', '("no", "never")'))
        assert "now:    asks" in refusal(node)


@pytest.mark.storm
def test_over_zeromq_there_is_no_rehearsal_and_the_answer_says_so(world: World) -> None:
    """False if an engine whose process cannot be forked could not be reloaded, or seemed to be rehearsed."""
    spec = world.spec(counter("a", durability="crash"), transport=TransportSpec(local="zmq"))
    with world.up(spec) as node:
        busy(node, 3)
        edit(world, (ADDS, "add.amount + t.env.state.total"))
        (result,) = reload(node)["rehearsal"]
        assert "cannot be forked" in result["lost"]
        assert node.total("a") == 3


GATE = """
import os, time

def gate():
    here = os.path.dirname(__file__)
    with open(os.path.join(here, "gate.pid"), "w") as file:
        file.write(str(os.getpid()))
    while not os.path.exists(os.path.join(here, "gate.open")):
        time.sleep(0.005)

"""


@pytest.mark.storm
@pytest.mark.parametrize("killed", ["old", "new", "all"])
def test_a_death_while_rehearsing_costs_nothing(world: World, killed: str) -> None:
    """False if a process that dies while the other rehearses took a message, or the engine, with it."""
    spec = world.spec(counter("a", durability="crash"), supervision=SupervisionSpec(intensity=None, backoff_ns=0))
    gate, found = world.roots / "gate.pid", []
    with world.up(spec) as node:
        busy(node)
        old = node.ps()["a"]["pid"]
        edit(world, ("import os\n", f"{GATE}import os\n"), (f"Count({ADDS})", f"(gate(), Count({ADDS}))[1]"))

        def work() -> None:
            with Client(node.client.path) as client:
                try:
                    args = {"engine": "a", "timeout_ns": DEADLINE_NS, "rehearse": 10_000}
                    found.append(client.request("reload", args).items)
                except (ControlError, OSError) as error:
                    found.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: gate.exists() and gate.read_text(), "the candidate at the gate")
        node.send("a", "Add", amount=1)  # the old process goes on meanwhile
        victims = {"old": [old], "new": [int(gate.read_text())], "all": world.processes()}[killed]
        (world.roots / "gate.open").touch()
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        thread.join(DEADLINE_S)
        assert isinstance(found[0], ControlError | OSError), found
        if killed != "all":
            assert node.total("a") == 191
            assert (node.ps()["a"]["pid"] == old) == (killed == "new")
    if killed == "all":
        until(lambda: not world.processes(), "the end of all processes")
        with world.up(spec) as node:
            assert node.total("a") == 191


@pytest.mark.storm
@NEEDS_LANES
def test_new_code_follows_the_log_and_a_recovery_runs_it_too(world: World) -> None:
    """False if a process that made the engine from its log had another state than a migration, or than a recovery."""
    changes = [(ADDS, "add.amount + t.env.state.total"), (STATE, f"{STATE}\n    more: int = 0")]
    spec = world.spec(counter("a", durability="crash"), supervision=SupervisionSpec(intensity=None, backoff_ns=0))
    with world.up(spec) as node:
        busy(node)
        for total, change in enumerate(changes, 191):
            edit(world, change)
            assert reload(node, is_trial=True)["followed"]
            node.send("a", "Add", amount=1)
            assert reload(node)["followed"]
            assert node.total("a") == total
            os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
            until(lambda: node.ps()["a"]["restarts"], "the restart")
            until(lambda: node.ps()["a"]["state"] == "running", "the engine")
            assert node.total("a") == total
        assert node.events("diverged") == []
