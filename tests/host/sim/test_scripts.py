"""Scripts with their whole traces: what is done to a node, and everything that it brings about."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_world import FAULTS, paying

from host.cli.main import run as run_command_line
from host.sim import World
from host.sim.families import SimError
from host.sim.faults import FaultError, parse_faults
from host.sim.script import ScriptError, parse_script, play, rendered

SCRIPTS = Path(__file__).resolve().parent / "scripts"


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.txt")), ids=lambda script: script.stem)
def test_a_script_brings_about_what_it_says(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a simulated node did something else than it did when the script was written.

    If that is meant: the head of `scripts/node.yaml` says how to accept it.
    """
    code = run_command_line(["sim", str(SCRIPTS / "node.yaml"), "--script", str(script)])
    assert code == 0, capsys.readouterr().err


def test_a_script_reads_what_it_writes() -> None:
    """False if an output was taken for a command, or a comment was lost."""
    for script in SCRIPTS.glob("*.txt"):
        text = script.read_text(encoding="utf-8")
        assert rendered(parse_script(text)) == text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("sent till Pay", "line 1: `sent till Pay`: there is no command `sent`"),
        ("tick", "`tick` takes 1 arguments"),
        ("tick soon", "expected a duration"),
        ("deliver till", "write FROM>TO"),
        ("deliver till>nobody", "there is no engine nobody"),
        ("drop outside>till", "fewer than 1 messages"),
        ("crash till lunch", "`lunch` is no crash point; there are run,"),
        ("state nobody", "no engine 'nobody'"),
        ("answer till yes", "waits for no choice"),
    ],
)
def test_a_line_that_cannot_be_performed(line: str, says: str) -> None:
    """False if a wrong line was passed over, or reported without its place."""
    world = World(SCRIPTS / "node.yaml", faults="loss=0", trace=True)
    with pytest.raises(ScriptError, match=r"line 1"):
        play(world, parse_script(line))
    with pytest.raises(ScriptError) as raised:
        play(world, parse_script(line))
    assert says in str(raised.value)


def test_lanes_are_handed_over_by_time_alone() -> None:
    """False if a single message could be dropped from a lane, which loses none."""
    world = World(SCRIPTS / "node.yaml")
    world.send_text("till", "Pay", "amount=1")
    with pytest.raises(SimError, match="add `loss=0`"):
        world.drop("outside", "till")


def test_a_fault_that_is_left_out_leaves_the_others() -> None:
    """False if a shrunk run met other faults than the one it came from."""
    world = paying("crash", seed=5, faults=FAULTS)
    world.run()
    happened = world.faults.happened
    again = paying("crash", seed=5, faults=FAULTS, only=happened, trace=True)
    again.run()
    assert again.faults.happened == happened
    assert again.state("till") == world.state("till")
    fewer = paying("crash", seed=5, faults=FAULTS, only=happened[1:])
    fewer.run()
    assert set(fewer.faults.happened) <= set(happened[1:])
    assert len(fewer.faults.happened) >= len(happened) // 2


def test_faults_as_text() -> None:
    """False if a bound, an engine or a duration of a fault were read as something else."""
    plan = parse_faults("crash=till:0.5*3, slow=0.1:2ms,slow=0.1:2ms,partition=1, delay=0..5ms")
    crash, slow, partition = plan.rates["crash"], plan.rates["slow"], plan.rates["partition"]
    assert (crash.engine, crash.probability, crash.most) == ("till", 0.5, 3)
    assert (slow.engine, slow.lasts_ns) == ("", 2_000_000)
    assert partition.lasts_ns == 100_000_000
    assert plan.delay_ns == (0, 5_000_000)
    for wrong in ("crash=", "crash=x", "crash=-1", "crash=0.1*x", "delay=1", "loss=till:0.1", "crash=a:b:0.1"):
        with pytest.raises(FaultError):
            parse_faults(wrong)


def test_a_bound_of_faults_holds() -> None:
    """False if a fault happened more often than its text allows."""
    world = paying("crash", seed=1, faults="crash=0.9*3")
    world.run()
    assert len(world.faults.happened) == 3
