"""Families are looked at in a child: its reports are complete, and nothing of it reaches the caller."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import psutil
import pytest
from deadline import DEADLINE_NS, DEADLINE_S, killed_at_last

from host.config.problems import ConfigErrors
from host.live.inspection.inspect import DEADLINE_NS as INSPECTION_NS
from host.live.inspection.inspect import Collector, frame, inspect_families, validate_node
from host.live.inspection.inspect_records import FamilyReport, Inquiry

SECOND_NS = 1_000_000_000
GOOD = """
    import sys
    from engines.model import Arrived, Box, Config, Effects, Family, Message, Value, rule

    print("noise on stdout")
    print("noise on stderr", file=sys.stderr)

    class Ping(Message):
        n: int

    class Limit(Config):
        window_ns: int
        key: bytes = b""

    class Count(Value):
        hits: int = 0

    @rule
    def take(ping: Ping, t: Arrived[Ping, Limit, Count]) -> Effects[Count, Ping]:
        '''Taken. State, messages, timers, engines: none.'''
        return []

    PLAIN = Family("plain", config=Limit, accepts=Ping, emits=Ping, state=Count()).rules(take)
"""
MODULES = {
    "good": GOOD,
    "hangs": "import signal\nwhile True:\n    signal.pause()\n",
    "leaves_a_child": dedent("""
        import pathlib, subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        pathlib.Path(__file__ + ".pid").write_text(str(child.pid))
    """)
    + dedent(GOOD),
    **{f"slow{number}": "import time\ntime.sleep(0.4)\n" + dedent(GOOD) for number in range(4)},
    "dies": "import os\nos._exit(3)\n",
    "exits": "raise SystemExit(0)\n",
    "raises": "x = 1\nx.missing\n",
    "broken": "x = (\n",
    "other": "PLAIN = 5\n",
}


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A code root with one package of modules, each going wrong in its own way."""
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, text in MODULES.items():
        (package / f"{name}.py").write_text(dedent(text), encoding="utf-8")
    return str(tmp_path)


def children() -> set[int]:
    """Process ids of this process's children, zombies included."""
    return {child.pid for child in psutil.Process().children()}


def reports_of(refs: list[str], root: str, deadline_ns: int = INSPECTION_NS) -> dict[str, FamilyReport]:
    return inspect_families(Inquiry(tuple(refs), (root,), deadline_ns=deadline_ns)).families


def test_report_of_a_good_family(root: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Everything a command needs is there; the caller has not imported it, printed nothing, and has no child left."""
    before = children()
    report = reports_of(["pack.good:PLAIN"], root)["pack.good:PLAIN"]
    assert (report.ok, report.name, report.device) == (True, "plain", False)
    assert report.version
    assert report.interface["boxes"][0]["accepts"] == {"Ping": [["n", "int", False]]}
    assert "pack" not in sys.modules
    assert capfd.readouterr() == ("", "")
    assert children() <= before


@pytest.mark.parametrize(
    ("module", "says", "line"),
    [
        ("raises", "no attribute 'missing'", 2),
        ("broken", "never closed", 1),
        ("gone", "no module", 0),
        ("other", "PLAIN", 0),
        ("exits", "SystemExit", 1),
        ("dies", "ended the process", 0),
    ],
)
def test_report_of_a_bad_family(root: str, module: str, says: str, line: int) -> None:
    """A module that cannot be used says why, and where as far as that is known; the caller goes on."""
    report = reports_of([f"pack.{module}:PLAIN"], root)[f"pack.{module}:PLAIN"]
    assert not report.ok
    assert says in report.problems[0].text
    assert report.problems[0].line == line
    if line:
        assert report.problems[0].file == f"{root}/pack/{module}.py"


@pytest.mark.storm
def test_one_that_hangs_is_named_and_killed(root: str) -> None:
    """The deadline holds; the family that hung gets the blame, others are reported as not looked at."""
    begun = time.monotonic_ns()
    refs = ["pack.good:PLAIN", "pack.hangs:PLAIN", "pack.raises:PLAIN"]
    reports = reports_of(refs, root, deadline_ns=3 * SECOND_NS)
    assert time.monotonic_ns() - begun < 20 * SECOND_NS
    assert reports[refs[0]].ok
    assert reports[refs[1]].problems[0].text == "took longer than 3 s to import"
    assert reports[refs[2]].problems[0].text.startswith("not looked at, because `pack.hangs:PLAIN`")


def test_the_time_is_for_one_family(root: str) -> None:
    """False if families that each are imported in time were refused because together they take longer: where others
    keep the processors busy, all imports do."""
    refs = [f"pack.slow{number}:PLAIN" for number in range(4)]
    assert all(report.ok for report in reports_of(refs, root, deadline_ns=SECOND_NS).values())


def test_those_beside_one_that_dies_are_looked_at(root: str) -> None:
    """One mistake in one family would be shown as a mistake in every family of the file."""
    refs = ["pack.good:PLAIN", "pack.dies:PLAIN", "pack.raises:PLAIN", "pack.good:PLAIN2"]
    reports = reports_of(refs, root)
    assert [reports[ref].ok for ref in refs] == [True, False, False, False]
    assert reports[refs[1]].problems[0].text == "ended the process that imported it"
    assert "no attribute 'missing'" in reports[refs[2]].problems[0].text


def test_what_a_module_starts_dies_with_the_child(root: str) -> None:
    """A process started while importing does not stay behind."""
    report = reports_of(["pack.leaves_a_child:PLAIN"], root)["pack.leaves_a_child:PLAIN"]
    assert report.ok
    try:
        process = os.pidfd_open(int(Path(root, "pack", "leaves_a_child.py.pid").read_text()))
    except ProcessLookupError:
        return
    assert select.select([process], [], [], 5)[0]
    os.close(process)


def test_answers_over_a_packet_socket(root: str) -> None:
    """The same inquiry through a socket, as a child of the zygote answers it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    inquiry = Inquiry(("pack.good:PLAIN", "pack.raises:PLAIN"), (root,), deadline_ns=DEADLINE_NS)
    program = f"from host.live.inspection.inspect_child import main; main({theirs.fileno()})"
    with (
        ours,
        subprocess.Popen([sys.executable, "-c", program], pass_fds=[theirs.fileno()]) as child,
        killed_at_last(child),
    ):
        theirs.close()
        ours.settimeout(DEADLINE_S)
        ours.send(frame(inquiry))
        collector = Collector(inquiry)
        while not collector.feed(ours.recv(1 << 16)):
            pass
        assert child.wait(DEADLINE_S) == 0
    assert [report.ok for report in collector.families.values()] == [True, False]


NODE = """\
node: n
roots: [.]
engines:
  good: {family: "pack.good:PLAIN", config: {window_ns: 1s, key: 0x12}, state: {hits: 3}}
  bad:
    family: "pack.good:PLAIN"
    config: {window_n: 1s, key: 0x123}
    state: {hits: no}
    mailboxes: {0: {policy: drop-oldest}, 3: {}}
  many: {family: "pack.good:PLAIN", count: 2, config: {window_ns: 1.5}}
  raises: {family: "pack.raises:PLAIN"}
  none: {famly: "pack.good:PLAIN"}
"""
MISTAKES = """\
node.yaml:7:14: unknown key `window_n` in `Limit`
  7 |     config: {window_n: 1s, key: 0x123}
    |              ^^^^^^^^ did you mean `window_ns`?
node.yaml:7:33: expected pairs of hex digits after `0x`, found the text `0x123`
  7 |     config: {window_n: 1s, key: 0x123}
    |                                 ^^^^^
node.yaml:8:19: expected a whole number, found the text `no`
  8 |     state: {hits: no}
    |                   ^^
node.yaml:9:29: mailbox 0 is not declared lossy, so nothing may be dropped from it
  9 |     mailboxes: {0: {policy: drop-oldest}, 3: {}}
    |                             ^^^^^^^^^^^ write `wait` or `reject`
node.yaml:9:43: the family has no mailbox 3
  9 |     mailboxes: {0: {policy: drop-oldest}, 3: {}}
    |                                           ^ there are 0
node.yaml:10:67: expected a whole number, found `1.5`
  10 |   many: {family: "pack.good:PLAIN", count: 2, config: {window_ns: 1.5}}
     |                                                                   ^^^
node.yaml:11:20: `pack.raises:PLAIN` cannot be used: <root>/pack/raises.py:2: AttributeError: 'int' object has no attribute 'missing'
  11 |   raises: {family: "pack.raises:PLAIN"}
     |                    ^^^^^^^^^^^^^^^^^^^
node.yaml:12:10: unknown key `famly` in engine `none`
  12 |   none: {famly: "pack.good:PLAIN"}
     |          ^^^^^ did you mean `family`?
"""  # noqa: E501


def test_mistakes_of_file_and_families_come_together(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file gets wrong and what its families refuse is one list, in the order of the file."""
    monkeypatch.chdir(root)
    Path("node.yaml").write_text(NODE, encoding="utf-8")
    with pytest.raises(ConfigErrors) as caught:
        validate_node("node.yaml")
    assert str(caught.value).replace(root, "<root>") + "\n" == MISTAKES


@pytest.mark.parametrize(
    ("roots", "advice"), [("", "add `roots: [.]`"), ("roots: [pack]\n", "add `.` to `roots`"), ("roots: [.]\n", "")]
)
def test_a_family_beside_the_node_file_needs_a_root(
    root: str, monkeypatch: pytest.MonkeyPatch, roots: str, advice: str
) -> None:
    """False if the author of a first family, whose file lies right there, were told only that there is no module."""
    monkeypatch.chdir(root)
    family = "pack.missing:PLAIN" if not advice else "pack.good:PLAIN"
    Path("node.yaml").write_text(f"node: n\n{roots}engines:\n  e: {{family: '{family}'}}\n")
    with pytest.raises(ConfigErrors) as caught:
        validate_node("node.yaml")
    assert "there is no module pack" in str(caught.value)
    assert ("roots" in str(caught.value).splitlines()[2]) == bool(advice)
    assert advice in str(caught.value)


def test_a_good_node(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node and a report for each family it names."""
    monkeypatch.chdir(root)
    Path("node.yaml").write_text("".join(NODE.splitlines(keepends=True)[:4]), encoding="utf-8")
    spec, families = validate_node("node.yaml")
    assert [engine.name for engine in spec.engines] == ["good"]
    assert families["pack.good:PLAIN"].ok
