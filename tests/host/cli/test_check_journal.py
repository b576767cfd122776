"""`enginehost check --journal`: a counterexample as the logs of a node, for the commands that read a journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engines.model import view
from host.check.run import CheckRequest, check
from host.check.space import Space, State
from host.check.trace import trace_of
from host.live.control.protocol import EXIT_CODES

from .conftest import Cli

STORM = pytest.mark.storm

KINDS = '''
"""Engines that do each thing an engine can do, and properties that the end of each violates."""

from engines.model import *
from engines.model.system import Envelope, Member, System

LATE, SOON, TELL = Timer("late"), Timer("soon"), Timer("tell")

class Start(Message): "Begin."
class Quit(Message): "End."
class Half(Message):
    side: int
class Seen(Value):
    names: tuple[str, ...] = ()

def also(t, name): return Become(Seen((*t.env.state.names, name)))

@rule
def start(_start: Start, t: Arrived[Start, None, Seen]) -> Effects[Seen, Half]:
    return [SetTimer(LATE, after_ns=2_000), SetTimer(SOON, after_ns=1_000)]
@rule(timer=LATE)
def late(_late: Handle, t: Elapsed[None, Seen]) -> Effects[Seen, Half]:
    return also(t, "late")
@rule(timer=SOON)
def soon(_soon: Handle, t: Elapsed[None, Seen]) -> Effects[Seen, Half]:
    return also(t, "soon")
TIMED = Family("timed", state=Seen(), accepts=Start, emits=Half, timers=[LATE, SOON]).rules(start, late, soon)

@rule(timer=TELL)
def tell(_tell: Handle, t: Elapsed[None, Seen]) -> Effects[Seen, Half]:
    return also(t, f"at {t.now_ns}")
@rule
def wind(_start: Start, t: Arrived[Start, None, Seen]) -> Effects[Seen, Half]:
    return SetTimer(TELL, after_ns=7)
CLOCK = Family("clock", state=Seen(), accepts=Start, emits=Half, timers=[TELL]).rules(wind, tell)

@interactive_rule
def ask(_start: Start, t: Arrived[Start, None, Seen]) -> Interaction[Seen, Half]:
    first = yield from Roll(2)
    choice = yield from Choose(["left", "right"], timeout_ns=5)
    second = yield from Roll(3)
    return also(t, f"{first} {choice} {second}")
ASKING = Family("asking", state=Seen(), accepts=Start, emits=Half).rules(ask)

@rule
def keep(half: Half, t: Arrived[Half, None, Seen]) -> Effects[Seen, Half]:
    return also(t, f"{half.side}")
@rule
def leave(_quit: Quit, _t: Arrived[Quit, None, Seen]) -> Effects[Seen, Half]:
    return Stop()
CHILD = Family("child", state=Seen(), accepts=Half | Quit, emits=Half).rules(keep, leave)

@rule
def keep_anew(half: Half, t: Arrived[Half, None, Seen]) -> Effects[Seen, Half]:
    return also(t, f"new {half.side}")
LATER = Family("child", state=Seen(), accepts=Half | Quit, emits=Half).rules(keep_anew, leave)

class Number(Value):
    number: int = 0
@rule
def add(half: Half, t: Arrived[Half, None, Number]) -> Effects[Number, Half]:
    return Become(Number(t.env.state.number + half.side))
UNFIT = Family("child", state=Number(), accepts=Half, emits=Half).rules(add)

@rule
def make(_start: Start, t: Arrived[Start, None, Seen]) -> Effects[Seen, Half | Quit]:
    child = Ref(t.me.child("child"))
    return [Spawn(CHILD, "child"), Send(child, Half(1)), Send(child, Half(2)), also(t, "made")]
PARENT = Family("parent", state=Seen(), accepts=Start, emits=Half | Quit, spawns=[CHILD]).rules(make)

class Other(Config):
    other: Ref[Half]
@rule
def serve(_start: Start, t: Arrived[Start, Other, Seen]) -> Effects[Seen, Half]:
    return Send(t.config.other, Half(3))
@rule
def back(half: Half, t: Arrived[Half, Other, Seen]) -> Effects[Seen, Half]:
    return [also(t, f"{half.side}"), *([Send(t.config.other, Half(half.side - 1))] if half.side else [])]
PLAYER = Family("player", config=Other, state=Seen(), accepts=Start | Half, emits=Half).rules(serve, back)

@interactive_rule
def breed(_start: Start, t: Arrived[Start, None, Seen]) -> Interaction[Seen, Half]:
    side = yield from Roll(2)
    child = Ref(t.me.child("child"))
    return [Spawn(CHILD, "child"), Send(child, Half(side)), Stop()] if side == 2 else []
BREEDER = Family("breeder", state=Seen(), accepts=Start, emits=Half, spawns=[CHILD]).rules(breed)

@rule
def divide(half: Half, t: Arrived[Half, None, Seen]) -> Effects[Seen, Half]:
    return also(t, f"{6 // half.side}")
DIVIDER = Family("divider", state=Seen(), accepts=Half, emits=Half).rules(divide)

@rule
def spin(half: Half, t: Arrived[Half, Other, Seen]) -> Effects[Seen, Half]:
    return [Become(Seen((f"{half.side}",))), Send(t.config.other, Half(1 - half.side))]
SPINNER = Family("spinner", config=Other, state=Seen(), accepts=Half, emits=Half).rules(spin)

def zero(t: Arrived[Half, None, Seen]) -> Half | None: return t.message if t.message.side == 0 else None
@rule(when=zero)
def collect(_half: Half, t: Arrived[Half, None, Seen]) -> Effects[Seen, Half]:
    return also(t, "zero")
PAIRS = Family("pairs", state=Seen(), accepts=Half, emits=Half).rules(collect)

def waits(view): return len(view.engine("j").stored) < 2

def without(engine, *names):
    def missing(view): return engine not in view or view.state(engine).names != names
    return missing

UNTIMED = System(name="untimed", members=[Member("a", TIMED)], messages=[Envelope("a", Start())],
    always=[without("a", "late", "soon")])
BOUNDED = System(name="bounded", members=[Member("a", TIMED)], messages=[Envelope("a", Start())], timers="bounded",
    always=[without("a", "soon", "late")])
READS = System(name="reads", members=[Member("a", CLOCK)], messages=[Envelope("a", Start())],
    always=[without("a", "at 0")])
READS_BOUNDED = System(name="reads", members=[Member("a", CLOCK)], messages=[Envelope("a", Start())], timers="bounded",
    always=[without("a", "at 7")])
DICE = System(name="dice", members=[Member("a", ASKING)], messages=[Envelope("a", Start())],
    always=[without("a", "2 right 3")])
LATE_ANSWER = System(name="late", members=[Member("a", ASKING)], messages=[Envelope("a", Start())],
    always=[without("a", "1 None 3")])
ROLLING = System(name="rolling", members=[Member("a", ASKING)], messages=[Envelope("a", Start())],
    always=[lambda view: view.engine("a").status == "running"])
BIRTHS = System(name="births", members=[Member("p", PARENT)], network="ordered",
    messages=[Envelope("p", Start()), Envelope("p/child", Half(9))], always=[without("p/child", "1", "9", "2")])
BRED = System(name="bred", members=[Member("p", BREEDER), Member("c", CHILD)], network="ordered",
    messages=[Envelope("p", Start()), Envelope("c", Half(8))], always=[without("p/child", "2")])
OVERTAKEN = System(name="overtaken", members=[Member("p", PARENT)], messages=[Envelope("p", Start())],
    always=[without("p/child", "2")])
TWICE = System(name="twice", members=[Member("a", PLAYER, Other(Ref("b"))), Member("b", PLAYER, Other(Ref("a")))],
    messages=[Envelope("a", Start())], network="duplicating", always=[without("b", "3", "3")])
ENDS = System(name="ends", members=[Member("c", CHILD)], messages=[Envelope("c", Half(1)), Envelope("c", Quit())],
    always=[lambda view: not (view.engine("c").status == "stopped" and view.state("c").names == ("1",))])
FAULT = System(name="fault", members=[Member("p", PARENT)], messages=[Envelope("p", Start()), Envelope("p", Start())],
    always=[lambda view: not ("p/child" in view and view.engine("p/child").status == "stopped"
        and view.state("p").names == ("made",))])
RELOAD = System(name="reload", members=[Member("c", CHILD)], messages=[Envelope("c", Half(1), x) for x in ("x", "y")],
    reloads={CHILD: LATER}, always=[without("c", "1", "new 1")])
REFUSED = System(name="refused", members=[Member("c", CHILD)], messages=[Envelope("c", Half(1))],
    reloads={CHILD: UNFIT})
PLAY = System(name="play", members=[Member("a", PLAYER, Other(Ref("b"))), Member("b", PLAYER, Other(Ref("a")))],
    messages=[Envelope("a", Start())], always=[without("b", "3", "1")])
FIRST = System(name="first", members=[Member("a", PLAYER, Other(Ref("b"))), Member("b", PLAYER, Other(Ref("a")))],
    messages=[Envelope("b", Half(1), "a")], always=[without("a", "0")])
LOST = System(name="lost", members=[Member("p", PARENT)], messages=[Envelope("p", Start())], network="lossy",
    always=[lambda view: not ("p/child" in view and view.state("p/child").names == ("2",) and not view.in_transit)])
RAISES = System(name="raises", members=[Member("d", DIVIDER)],
    messages=[Envelope("d", Half(2)), Envelope("d", Half(0))])
ROUND = System(name="round", members=[Member("a", SPINNER, Other(Ref("a")))], messages=[Envelope("a", Half(0))],
    eventually=[lambda view: False])
FORGED = System(name="forged", members=[Member("c", CHILD)], standing=[Envelope("c", Half(1), "c")],
    always=[without("c", "1")])
def nameless(): return Family("child", state=Seen(), accepts=Half | Quit, emits=Half).rules(keep, leave)
NAMELESS = System(name="nameless", members=[Member("c", nameless())],
    messages=[Envelope("c", Half(1))], always=[without("c", "1")])
'''


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder with the module of systems."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "journal_kinds.py").write_text(KINDS, encoding="utf-8")
    return str(folder)


def replayed(cli: Cli, *arguments: str) -> dict[str, Any]:
    """The engines of a journal by name, as `replay` shows them."""
    result = cli("replay", *arguments, "--json")
    assert result.code == 0, result.err
    return {item["engine"]: item for item in result.envelope["items"]}


def states(space: Space, state: State) -> dict[str, Any]:
    """The states of the engines that live."""
    living = (one for one in space.view(state).engines() if one.status != "stopped")
    return {one.name: msgspec.to_builtins(view(one.state)) for one in living}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("UNTIMED", ""),
        pytest.param("BOUNDED", "", marks=STORM),
        pytest.param("READS_BOUNDED", "", marks=STORM),
        pytest.param("DICE", "", marks=STORM),
        pytest.param("LATE_ANSWER", "", marks=STORM),
        ("BIRTHS", ""),
        pytest.param("BRED", "", marks=STORM),
        ("ENDS", ""),
        ("FAULT", "--crashes 1"),
        ("RELOAD", ""),
        pytest.param("REFUSED", "", marks=STORM),
        ("PLAY", ""),
        ("FIRST", ""),
        ("LOST", ""),
        ("RAISES", ""),
    ],
)
def test_a_replay_ends_in_the_state_that_violates_the_property(kinds: str, cli: Cli, name: str, options: str) -> None:
    """False if what a replay shows differed from what the check found, or the log were not that of a live node."""
    subject = f"journal_kinds:{name}"
    result = cli("check", subject, "--root", kinds, *options.split(), "--journal", "run")
    assert result.code == EXIT_CODES["violated"]
    assert "run has it as the logs of a node: enginehost replay run" in result.err
    report = check(CheckRequest(subject=subject, roots=(kinds,), faults=int("crash" in options)))
    trace = trace_of(report.space, report.found.violations[0].path)
    found = replayed(cli, "run")
    assert {engine: item["state"] for engine, item in found.items()} == states(report.space, trace.steps[-1].state)
    assert not any(item.get("diverged") for item in found.values())
    assert {one["finding"] for one in cli("journal", "verify", "run", "--json").envelope["items"]} == {""}
    conforms = cli("conform", "run")
    assert conforms.code == 0, conforms.out
    assert cli("chart", "run").code == 0


def test_the_state_before_the_violation_is_there_too(kinds: str, cli: Cli) -> None:
    """False if the log held no more than the end."""
    assert cli("check", "journal_kinds:PLAY", "--root", kinds, "--journal", "run").code == EXIT_CODES["violated"]
    assert replayed(cli, "run", "--engine", "b", "--until", "1")["b"]["state"] == {"names": ["3"]}
    assert replayed(cli, "run", "--engine", "b")["b"]["state"] == {"names": ["3", "1"]}
    deviates = cli("conform", "run", "--spec", "journal_kinds:PLAY")
    assert deviates.code == EXIT_CODES["violated"]
    assert "turn 2 of b" in deviates.out


def test_a_die_that_rolls_at_the_end_leaves_its_message_waiting(kinds: str, cli: Cli) -> None:
    """False if a log had a turn whose die has not fallen."""
    assert cli("check", "journal_kinds:ROLLING", "--root", kinds, "--journal", "run").code == EXIT_CODES["violated"]
    found = replayed(cli, "run")["a"]
    assert (found["turn"], found["waiting"]) == (0, 1)
    assert cli("conform", "run").code == 0


def test_of_a_way_that_goes_round_for_ever_the_first_round_is_there(kinds: str, cli: Cli) -> None:
    """False if a lasso were refused, or passed for all of the run."""
    result = cli("check", "journal_kinds:ROUND", "--root", kinds, "--journal", "run")
    assert result.code == EXIT_CODES["violated"]
    assert "its last 2 steps repeat for ever, and are there once" in result.err
    assert replayed(cli, "run")["a"]["turn"] == result.out.count("a -> a: Half") // 2 + 1
    assert cli("conform", "run").code == 0


def test_a_node_file_with_bounds_of_its_own_has_a_journal(kinds: str, cli: Cli, project: Path) -> None:
    """False if engines of a node file, whose families differ in their bounds, passed for others."""
    (project / "node.yaml").write_text(
        f"node: own\nroots: ['{kinds}', .]\n"
        "engines:\n  j: {family: 'journal_kinds:PAIRS', mailboxes: {0: {stored_max: 2}}}\n",
        encoding="utf-8",
    )
    sends = [argument for side in (1, 2, 3) for argument in ("--send", f"j Half side={side}")]
    result = cli("check", "node.yaml", *sends, "--always", "journal_kinds:waits", "--journal", "run")
    assert result.code == EXIT_CODES["violated"], result.err
    found = replayed(cli, "run")["j"]
    assert len(found["mailboxes"]["0"]["stored"]) == 2
    assert cli("conform", "run").code == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("READS", "a does something else, and the clock in a log goes on while timers elapse: try --timers bounded"),
        ("OVERTAKEN", "it overtakes an earlier one of its sender, and a live node keeps their order: try --network"),
        ("TWICE", "it is taken a second time, and a live engine takes a message once: try --network ordered"),
        (
            "FORGED",
            "no journal: a log has of an engine only what its rules sent, and not Half(side=1) in the name of c",
        ),
        ("NAMELESS", "no journal: a replay finds families by module and name, and child is held by no module"),
    ],
)
def test_what_no_live_node_does_is_refused(kinds: str, cli: Cli, name: str, message: str) -> None:
    """False if a journal were written that no run of a node can leave, or half of one."""
    result = cli("check", f"journal_kinds:{name}", "--root", kinds, "--journal", "run")
    assert result.code == EXIT_CODES["violated"]
    assert message in result.err
    assert not Path("run").exists()
    assert not [*Path().glob(".new-*")]


def test_a_folder_that_is_there_is_left_alone(kinds: str, cli: Cli, project: Path) -> None:
    """False if a journal were written over something."""
    (project / "run").mkdir()
    result = cli("check", "journal_kinds:PLAY", "--root", kinds, "--journal", "run")
    assert result.code == EXIT_CODES["conflict"]
    assert "there is something at run already" in result.err
    assert [*(project / "run").iterdir()] == []
