"""The process of the determinism check: another seed, a deadline, and every way it can fail said in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from live_nodes import is_alive, until

from engines.model import Configuration, Delivery, Ref, birth, load_family, step
from engines.model.check.determinism import record_case, record_outcome
from host.live.inspection.determinism import ElsewhereError, run_elsewhere

SEED = 7
SECOND = 1_000_000_000
FAMILY = """
import os
{line}
from engines.model import Arrived, Effects, Family, Message, Value, rule

class Ask(Message):
    pass

class Seed(Value):
    seed: str = ""

@rule
def tell(ask: Ask, t: Arrived[Ask, None, Seed]) -> Effects[Seed, None]:
    return Seed(os.environ.get("PYTHONHASHSEED", ""))

TELLER = Family("teller", accepts=Ask, state=Seed()).rules(tell)
"""


def case_of(folder: Path, name: str) -> bytes:
    """A case of a family in a module that loads here; `spoil` then changes what the child finds."""
    (folder / f"{name}.py").write_text(FAMILY.format(line=""))
    family: Any = load_family(f"{name}:TELLER", (str(folder),))
    me = Configuration("node", "e", None, None)
    ask = next(iter(family.accepts_types))()
    return record_case(family, me, birth(family, me, now_ns=0), Delivery("x", 0, ask), 1)


def spoil(folder: Path, name: str, line: str) -> None:
    (folder / f"{name}.py").write_text(FAMILY.format(line=line))


def test_cases_run_under_the_seed_in_their_order() -> None:
    """False if the second run had the first one's seed, or records came back in another order."""
    from engines.examples.ticker import TICKER, Count, Counted, Increment

    me = Configuration("node", "t", None, None)
    env = birth(TICKER, me, now_ns=0)
    inputs = [Delivery("a", 0, Increment()), Delivery("b", 0, Count(Ref[Counted]("b")))]
    cases = [record_case(TICKER, me, env, cause, 1) for cause in inputs]
    records = [record_outcome(step(TICKER, me, env, cause, 1)) for cause in inputs]
    assert run_elsewhere(cases, seed=SEED) == records
    assert run_elsewhere(cases[::-1], seed=SEED) == records[::-1]
    assert run_elsewhere([], seed=SEED) == []


def test_the_seed_is_the_one_asked_for_and_prints_do_not_disturb(tmp_path: Path) -> None:
    """False if a family that prints at import broke the exchange, or the seed were left to chance."""
    case = case_of(tmp_path, "chatty")
    spoil(tmp_path, "chatty", "print('hello'); os.write(1, b'raw')")
    (record,) = run_elsewhere([case], (str(tmp_path),), seed=SEED)
    assert msgspec.msgpack.decode(record)["env"]["state"] == {"seed": str(SEED)}


@pytest.mark.parametrize(
    ("line", "said"),
    [("import no_such_module", "no_such_module"), ("os._exit(3)", "code 3 and no records"), ("1 / 0", "ZeroDivision")],
)
def test_what_goes_wrong_there_is_said_here(tmp_path: Path, line: str, said: str) -> None:
    """False if a child that failed looked like a family without differences."""
    name = f"broken_{abs(hash(line))}"
    case = case_of(tmp_path, name)
    spoil(tmp_path, name, line)
    with pytest.raises(ElsewhereError, match=said):
        run_elsewhere([case], (str(tmp_path),), seed=SEED)


@pytest.mark.storm
def test_a_module_that_hangs_ends_at_the_deadline_with_all_it_started(tmp_path: Path) -> None:
    """False if a check could wait for ever, or leave a process behind that holds its streams."""
    case = case_of(tmp_path, "hanging")
    note = tmp_path / "pid"
    spoil(
        tmp_path,
        "hanging",
        f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE); "
        f"open({str(note)!r}, 'w').write(str(c.pid)); import signal; signal.pause()",
    )
    with pytest.raises(ElsewhereError, match="within 2 s"):
        run_elsewhere([case], (str(tmp_path),), seed=SEED, deadline_ns=2 * SECOND)
    until(lambda: not is_alive(int(note.read_text())), "the end of what it started")
