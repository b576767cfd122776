"""What commands ask for, and what they print."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from host.cli.commands.lines import render_events, render_lines
from host.cli.commands.one_engine import render_mailboxes
from host.cli.commands.ps import render_engines
from host.cli.commands.reload import render_reloads
from host.cli.commands.state import render_differences
from host.cli.main import COMMANDS, root
from host.cli.table import Column, render_table
from host.cli.units import show_time
from host.live.control.instances import Instance, instance_folders
from host.live.control.protocol import Request, Response

from .conftest import Answers, Cli, StartNode, answer_ps, engine_item

NOON_NS = 1_700_000_000_123_000_000


def always(kind: str, *items: Any, **fields: Any) -> Answers:
    def answer(_: Request) -> list[Response]:
        return [Response(kind, list(items), **fields)]

    return answer


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_agrees_with_the_list(cli: Cli, name: str) -> None:
    """If false, a command would be listed that is not there, or have no help."""
    result = cli(name, "--help")
    assert result.code == 0
    assert result.out.startswith(f"Usage: enginehost {name} ")
    with root.make_context("enginehost", [name, "--help"], resilient_parsing=True) as context:
        command = root.get_command(context, name)
    assert command is not None
    assert command.name == name


@pytest.mark.parametrize("name", ["bench", "doctor", "version"])
def test_a_command_about_no_node_takes_no_file(cli: Cli, name: str) -> None:
    """If false, help would offer an option that does nothing."""
    assert "--file" not in cli(name, "--help").out
    assert "--json" in cli(name, "--help").out
    assert "--file" in cli("ps", "--help").out


def test_ps_is_an_aligned_table(start_node: StartNode, cli: Cli) -> None:
    """If false, the first thing a user looks at would be hard to read."""
    start_node("a.yaml", answer_ps)
    assert cli("ps").out == (
        "ENGINE  FAMILY                          STATE     PID  PLACEMENT    MAIL    IN/S  OUT/S  HANDLED  RESTARTS"
        "    MEMORY  VERSION\n"
        "server  engines.examples.server:SERVER  running  4711  process    12.3 k  1.23 M    7.2   98.8 M         2"
        "  9.00 MiB  01234567\n"
        "bob     engines.examples.bob:BOB        running     5  core 1          0       0      0        0         0"
        "  9.00 MiB  01234567\n"
    )


def test_a_table_fits_a_terminal_by_cutting_what_may_be_cut() -> None:
    """If false, lines of `ps` would wrap in a terminal of usual width, and columns could not be read."""
    columns = (Column("A"), Column("FAMILY", shrinks=True), Column("N", number=True))
    rows = [["a", "engines.examples.timestamping:SERVER", "7"]]
    assert render_table(columns, rows, 30) == "\n".join(
        ["A  FAMILY                    N", "a  …les.timestamping:SERVER  7"]
    )
    assert render_table(columns, rows, 5).splitlines()[1] == "a  …timestamping:SERVER  7"
    assert render_table(columns, rows, 80) == render_table(columns, rows)


@contextlib.contextmanager
def terminal(columns: int) -> Iterator[None]:
    """Standard output is a terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with open(theirs, "w") as stdout, contextlib.redirect_stdout(stdout):
        yield
    os.close(ours)


def test_ps_fits_80_columns_and_says_what_it_leaves_out() -> None:
    """False if the first thing a user looks at wrapped in a terminal of usual width, or cut families beyond use."""
    busy = {"mailbox_depth": 12_345, "in_rate": 1_234_567.0, "handled": 98_765_432}
    server = engine_item("server", family="engines.examples.timestamping:SERVER", pid=17411, **busy)
    bob = engine_item("bob", family="engines.examples.timestamping:CLIENT")
    with terminal(80):
        lines = render_engines([server, bob]).splitlines()
    assert max(map(len, lines)) <= 80
    assert "timestamping:SERVER" in lines[1]
    assert lines[0].split()[:4] == ["ENGINE", "FAMILY", "STATE", "PID"]
    assert lines[3].startswith("left out in 80 columns: ")
    assert "VERSION" in lines[3]


SHORT_LIVED = """
import sys, msgspec, zmq
from host.live.control.protocol import Response
with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
    router.bind("ipc://" + sys.argv[1])
    print("bound", flush=True)
    for pid in (17, 18):
        peer, empty, _ = router.recv_multipart()
        item = {"engine": "a", "state": "running", "pid": pid}
        router.send_multipart([peer, empty, msgspec.msgpack.encode(Response("engine", [item]))])
"""
"""A node that ends once it was looked at twice."""


def test_ps_watches_until_the_node_ends(project: Path, cli: Cli) -> None:
    """False if `ps --watch` looked once, or did not notice that the node went."""
    (project / "a.yaml").touch()
    folder = Path(instance_folders("a.yaml")[0])
    folder.mkdir(parents=True)
    (folder / "node.json").write_bytes(msgspec.json.encode(Instance("a", str(project / "a.yaml"), "d", 1, 1)))
    command = [sys.executable, "-c", SHORT_LIVED, str(folder / "control")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as node:
        assert node.stdout is not None
        assert node.stdout.readline() == b"bound\n"
        result = cli("ps", "--watch")
        assert node.wait(10) == 0
    assert result.code == 0
    assert [line.split()[2] for line in result.out.splitlines() if line.startswith("a ")] == ["17", "18"]


@pytest.mark.parametrize(
    ("argv", "guess"),
    [
        (("stop",), "no command `stop`: did you mean `down`?"),
        (("status",), "no command `status`: did you mean `ps`?"),
        (("state", "bob"), "no command `state bob`: did you mean `state get bob`?"),
        (("state", "gte", "bob"), "no command `state gte`: did you mean `state get`?"),
        (("quarantine", "3"), "no command `quarantine 3`: did you mean `quarantine show 3`?"),
    ],
)
def test_what_others_call_a_command_is_understood(cli: Cli, argv: tuple[str, ...], guess: str) -> None:
    """False if a user who knows other tools had to read the list."""
    result = cli(*argv)
    assert (result.code, guess in result.err) == (2, True)


@pytest.mark.parametrize("argv", [("--version",), ("--version", "--json"), ("--json", "--version")])
def test_version_is_an_option_too(cli: Cli, argv: tuple[str, ...]) -> None:
    """False if the first thing that is tried on a new program failed."""
    assert cli(*argv).out == cli(*("version" if a == "--version" else a for a in argv)).out


def test_several_answers_may_be_waited_for(start_node: StartNode, cli: Cli) -> None:
    """False if only one type could be waited for, or the answer that came instead were not shown."""
    other = {"answer": {"type": "Wrong", "why": "late"}}
    node = start_node("a.yaml", always("error", other, error="failed", message="s answered Wrong, not A or B or C"))
    result = cli("send", "s", "T", "--wait", "A", "--wait", "B|C")
    assert node.seen[0].args["wait"] == "A|B|C"
    assert (result.code, result.out) == (1, "")
    assert result.err == "Wrong\n  why: late\nenginehost: s answered Wrong, not A or B or C\n"
    assert cli("send", "s", "T", "--wait", "A", "--json").envelope["items"][0]["answer"] == other["answer"]


def test_a_difference_over_a_reload_says_whose_code_made_it() -> None:
    """False if turns that old code made passed for the work of the code that shows them."""
    item = {"where": "state.n", "from": "1", "to": "2", "other_code": ["abc"]}
    note = "the present code ran turns of other code, which is not kept: abc"
    assert render_differences([item]) == f"state.n: 1 -> 2\n{note}"
    assert render_differences([item | {"other_code": []}]) == "state.n: 1 -> 2"
    assert render_differences([]) == "nothing is different"


def test_a_mailbox_counts_all_that_is_stored() -> None:
    """If false, a long store would look as short as the part of it that is shown."""
    item = {"engine": "a", "mailbox": 0, "waiting": 1, "stored": [{"number": 1}], "stored_count": 5000}
    assert render_mailboxes([item]).splitlines()[1].split()[:4] == ["a", "0", "1", "5,000"]


def test_ps_says_who_waits_and_where_links_are_slow() -> None:
    """If false, a user would not see why an engine does not go on, or why messages are slow."""
    waiting = engine_item("voter", state="suspended", waits_for=["yes", "no"], native=False)
    failed = engine_item("bob", state="failed", fault="no module x\nTraceback …", native=False, pid=None)
    assert render_engines([waiting, failed]).splitlines()[3:] == [
        "bob: no module x",
        "voter waits for a choice: yes, no  (enginehost answer voter CHOICE)",
        "links are ZeroMQ, not shared memory (enginehost doctor shows why)",
    ]


def test_ps_says_how_receivers_wait_where_that_was_chosen() -> None:
    """If false, a user who wonders about latency would not see that the node file gave it away."""
    assert len(render_engines([engine_item("a")]).splitlines()) == 2
    assert render_engines([engine_item("a", wait="block")]).splitlines()[2:] == [
        "idle receivers sleep at once (transport: {wait: block})"
    ]


def test_a_mistyped_command_is_guessed(cli: Cli) -> None:
    """If false, a user would have to read the list for a typing mistake."""
    result = cli("realod", "server")
    assert result.code == 2
    assert result.err == "enginehost: no command `realod`: did you mean `reload`? (see: enginehost --help)\n"


def test_validate_prints_the_schema_that_editors_read(cli: Cli) -> None:
    """If false, an editor would have to be given a schema by hand, or one in an envelope it does not know."""
    printed = msgspec.json.decode(cli("validate", "--schema").out)
    assert printed["title"] == "enginehost node file"
    assert cli("validate", "--schema", "--json").envelope == {"v": 1, "kind": "schema", "items": [printed]}
    assert cli("validate", "--schema", "a.yaml").code == 2


def test_json_is_the_items_in_the_envelope(start_node: StartNode, cli: Cli) -> None:
    """If false, programs would have to parse tables."""
    start_node("a.yaml", answer_ps)
    envelope = cli("ps", "--json").envelope
    assert (envelope["v"], envelope["kind"]) == (1, "engine")
    assert envelope["items"][0]["in_rate"] == 1_234_567.0
    assert cli("--json", "ps").envelope == envelope


def test_bytes_are_hex_in_json(start_node: StartNode, cli: Cli) -> None:
    """If false, `state get --json` would print bytes in another way than `send` takes them."""
    state = {"engine": "bob", "family": "a:B", "state": {"hash": b"\x13\x37"}, "now_ns": NOON_NS}
    start_node("a.yaml", always("state", state))
    assert cli("state", "get", "bob", "--json").envelope["items"][0]["state"] == {"hash": "0x1337"}
    assert cli("state", "get", "bob").out == f"bob  a:B  at {show_time(NOON_NS)}\n  state:\n    hash: 0x1337\n"


def test_send_says_how_each_field_was_written(start_node: StartNode, cli: Cli) -> None:
    """If false, the node could not tell text from bytes."""
    node = start_node("a.yaml", always("sent", {"engine": "server", "tag": "Stamp"}))
    result = cli("send", "server#1", "Stamp", "hash=0x1337", "to=bob", 'at={"x":[1]}', "raw=b64:AAE=", "--id", "7")
    assert (result.code, result.out) == (0, "")
    fields = {"hash": ["hex", "0x1337"], "to": ["text", "bob"], "at": ["json", {"x": [1]}], "raw": ["bytes", b"\0\1"]}
    assert node.seen == [
        Request(
            "send",
            {"engine": "server", "mailbox": 1, "tag": "Stamp", "fields": fields, "id": "7"}
            | {"wait": None, "timeout_ns": 10**10},
        )
    ]


def test_send_prints_the_answer_it_waited_for(start_node: StartNode, cli: Cli) -> None:
    """If false, the attestation would not come back to the user."""
    answer = {"type": "TimeStampedHash", "hash": "0x1338", "time_ns": 5}
    node = start_node("a.yaml", always("message", answer))
    result = cli("send", "server", "Stamp", "hash=0x1338", "--wait", "TimeStampedHash", "--timeout", "2s")
    assert result.out == "TimeStampedHash\n  hash: 0x1338\n  time_ns: 5\n"
    assert (node.seen[0].args["wait"], node.seen[0].args["timeout_ns"]) == ("TimeStampedHash", 2 * 10**9)


@pytest.mark.parametrize("argv", [("server", "Stamp"), ("server",)])
def test_send_reads_a_message_from_standard_input(
    start_node: StartNode, cli: Cli, argv: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If false, programs could not send what `state get --json` or another program printed."""
    text = msgspec.json.encode({"type": "Stamp", "hash": "0x1337", "n": 1})
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    node = start_node("a.yaml", always("sent", {"engine": "server", "tag": "Stamp"}))
    result = cli("send", *argv, "--json", "-")
    assert result.envelope == {"v": 1, "kind": "sent", "items": [{"engine": "server", "tag": "Stamp"}]}
    assert node.seen[0].args["tag"] == "Stamp"
    assert node.seen[0].args["fields"] == {"hash": ["json", "0x1337"], "n": ["json", 1]}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("server", "hash=1"), "the message type is missing before 'hash=1'"),
        (("server",), "the message type is missing: ENGINE TAG field=value"),
        (("server", "Stamp", "hash"), "'hash' is not field=value"),
        (("server#x", "Stamp"), "'server#x': a mailbox is a number, as in server#1"),
        (("server", "Stamp", "--timeout", "5"), "'5' is not a duration"),
    ],
)
def test_mistakes_of_send_are_usage_errors(
    start_node: StartNode, cli: Cli, argv: tuple[str, ...], message: str
) -> None:
    """If false, a typing mistake would reach an engine."""
    node = start_node("a.yaml")
    result = cli("send", *argv)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert node.seen == []


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("x", "y"), "one ENGINE at a time, or several at one boundary with --group"),
        (("x", "y", "--group", "--to", "a.b:C"), "--group reloads edited sources"),
        (("--watch", "--group"), "--watch reloads what was saved"),
        (("--group",), "name an ENGINE"),
    ],
)
def test_mistakes_of_reload_are_usage_errors(
    start_node: StartNode, cli: Cli, argv: tuple[str, ...], message: str
) -> None:
    """If false, a group would be taken for something else than it says."""
    node = start_node("a.yaml")
    result = cli("reload", *argv)
    assert (result.code, node.seen) == (2, [])
    assert message in result.err


def test_a_group_of_one_has_no_others() -> None:
    """False if a group named once, or one engine named twice, ended in the middle of a sentence."""
    item = {"engine": "a", "from": "x:X@1", "to": "x:X@2", "together": ["a"]}
    assert "at one boundary" not in render_reloads([item])
    assert "at one boundary with b" in render_reloads([{**item, "together": ["a", "b"]}])


def test_a_probation_is_as_long_as_a_time_or_a_count(start_node: StartNode, cli: Cli) -> None:
    """If false, a mistyped count would be taken for a mistyped time only."""
    node = start_node("a.yaml")
    result = cli("reload", "x", "--probation", "abc")
    assert (result.code, node.seen) == (2, [])
    assert "'abc' is neither a duration such as 30s nor a count of messages such as 1000" in result.err


RELOAD = {
    "timeout_ns": 30 * 10**9,
    "rehearse": 10_000,
    "pause_ns": 5 * 10**9,
    "is_trial": False,
    "transition_max_ns": None,
}


@pytest.mark.parametrize(
    ("argv", "op", "args"),
    [
        (("timers",), "timers", {"engine": None}),
        (("timers", "x"), "timers", {"engine": "x"}),
        (("mailbox", "x"), "mailbox", {"engine": "x", "mailbox": None}),
        (("mailbox", "x#0"), "mailbox", {"engine": "x", "mailbox": 0}),
        (("dead-letters",), "dead_letters", {"engine": None, "limit": 20, "counts": False}),
        (("dead-letters", "x", "--counts"), "dead_letters", {"engine": "x", "limit": 20, "counts": True}),
        (("logs", "x"), "logs", {"engine": "x", "follow": False, "limit": 100}),
        (("events", "--limit", "3"), "events", {"engine": None, "follow": False, "limit": 3}),
        (("reload", "x"), "reload", {**RELOAD, "engine": "x", "to": None}),
        (("reload", "x", "--to", "a.b:C"), "reload", {**RELOAD, "engine": "x", "to": "a.b:C"}),
        (("reload", "x", "--dry-run"), "reload", {**RELOAD, "engine": "x", "to": None, "is_trial": True}),
        (("reload", "x", "--rehearse", "0"), "reload", {**RELOAD, "engine": "x", "to": None, "rehearse": 0}),
        (("reload", "x", "y", "--group"), "reload", {**RELOAD, "to": None, "together": ["x", "y"]}),
        (("answer", "x", "yes"), "answer", {"engine": "x", "choice": "yes"}),
    ],
)
def test_commands_ask_for_their_operation(
    start_node: StartNode, cli: Cli, argv: tuple[str, ...], op: str, args: dict[str, Any]
) -> None:
    """If false, a command would do something else than its name says."""
    node = start_node("a.yaml", always("anything"))
    assert cli(*argv, "--json").envelope == {"v": 1, "kind": envelope_kind(op), "items": []}
    assert node.seen == [Request(op, args)]


def envelope_kind(op: str) -> str:
    """Streams name their kind themselves, since every batch has the same."""
    return {"logs": "log", "events": "event"}.get(op, "anything")


def test_a_followed_log_prints_batches_as_they_come(start_node: StartNode, cli: Cli) -> None:
    """If false, `logs -f --json` could not be read line by line, or would print empty envelopes."""
    lines = [{"time": NOON_NS, "engine": "a", "text": str(n), "fields": {}} for n in range(2)]
    batches = [Response("log", lines[:1], last=False), Response("log", [], last=False), Response("log", lines[1:])]
    node = start_node("a.yaml", lambda _: batches)
    out = cli("logs", "-f", "--json").out
    assert [msgspec.json.decode(line)["items"] for line in out.splitlines()] == [lines[:1], lines[1:]]
    assert node.seen == [Request("logs", {"engine": None, "follow": True, "limit": 100})]


def test_a_refusal_is_a_line_and_a_code(start_node: StartNode, cli: Cli) -> None:
    """If false, a script could not tell that the old engine is untouched."""
    start_node("a.yaml", always("error", error="refused", message="field `b` stands before field `a`"))
    result = cli("reload", "x", "--json")
    assert result.code == 10
    assert result.err == "enginehost: field `b` stands before field `a`\n"
    items = [{"error": "refused", "message": "field `b` stands before field `a`", "exit_code": 10}]
    assert result.envelope == {"v": 1, "kind": "error", "items": items}


def test_an_unexpected_error_shows_its_place_only_with_debug(start_node: StartNode, cli: Cli) -> None:
    """If false, users would see tracebacks, or developers none."""
    start_node("a.yaml", always("reload", {"no": "engine"}))
    plain, debug = cli("reload", "x"), cli("reload", "x", "--debug")
    assert (plain.code, debug.code) == (1, 1)
    assert plain.err == "enginehost: internal error: KeyError: 'engine' (--debug shows where)\n"
    assert "Traceback" in debug.err
    assert debug.err.endswith(plain.err)


Render = Callable[[list[dict[str, Any]]], str]


@pytest.mark.parametrize(
    ("argv", "items", "text"),
    [
        (("timers",), [], "no timer is pending\n"),
        (
            ("timers",),
            [
                {"engine": "b", "name": "tick", "number": 2, "deadline_ns": NOON_NS + 1, "in_ns": 1_500_000},
                {"engine": "a", "name": "slow", "number": 1, "deadline_ns": NOON_NS, "in_ns": 12},
            ],
            "ENGINE  TIMER  NUMBER  DEADLINE                      IN\n"
            f"a       slow        1  {show_time(NOON_NS)}    12 ns\n"
            f"b       tick        2  {show_time(NOON_NS)}  1.50 ms\n",
        ),
        (
            ("mailbox", "a"),
            [
                {"engine": "a", "mailbox": 0, "waiting": 3, "capacity": 10_000, "policy": "wait", "state": None}
                | {"stored": [{"type": "Vote", "n": 1}], "stored_count": 1}
            ],
            "ENGINE  BOX  WAITING  STORED  CAPACITY  POLICY  STATE\n"
            "a         0        3       1    10.0 k  wait    null\n"
            "a#0 stores {type: Vote, n: 1}\n",
        ),
        (("dead-letters",), [], "no dead letters\n"),
        (
            ("dead-letters",),
            [
                {"reason": "failed", "sender": "a", "target": "b", "mailbox": 1, "time": NOON_NS}
                | {"message": {"type": "M"}, "detail": "Traceback\n  boom\n"},
                {"reason": "unknown", "sender": "", "target": "c", "mailbox": 0, "time": NOON_NS, "message": [1]}
                | {"detail": "no such engine"},
            ],
            "TIME                     REASON   SENDER  TARGET  MESSAGE\n"
            f"{show_time(NOON_NS)}  failed   a       b#1     {{type: M}}\n"
            f"{show_time(NOON_NS)}  unknown  -       c       [1]  (no such engine)\n"
            "\nfailed at b:\nTraceback\n  boom\n",
        ),
        (
            ("dead-letters", "--counts"),
            [{"reason": "failed", "count": 12}, {"reason": "unknown", "count": 3}],
            "REASON   COUNT\nfailed      12\nunknown      3\n",
        ),
        (
            ("reload", "a"),
            [
                {
                    "engine": "a",
                    "from": "v1",
                    "to": "v2",
                    "pause_ns": 1_200_000,
                    "queued": 17,
                    "shared_with": ["b"],
                    "shared": 1,
                }
            ],
            "a: v1 -> v2, pause 1.20 ms, 17 queued and kept, paused with it: b\n",
        ),
        (
            ("reload", "b"),
            [{"engine": "b", "from": "v1", "to": "v2", "shared_with": ["a", "c"], "shared": 50_000}],
            "b: v1 -> v2, paused with it: a, c and 50.0 k more\n",
        ),
        (("answer", "a", "yes"), [{"engine": "a", "choice": "yes"}], "a continues with yes\n"),
    ],
)
def test_results_for_people(
    start_node: StartNode, cli: Cli, argv: tuple[str, ...], items: list[dict[str, Any]], text: str
) -> None:
    """If false, output would be misaligned, or say something else than the items."""
    start_node("a.yaml", always("x", *items))
    assert cli(*argv).out == text


def test_lines_of_logs_and_events() -> None:
    """If false, a log would be hard to read."""
    time = show_time(NOON_NS)
    note = {"time": NOON_NS, "engine": "a", "text": "stamped", "fields": {"n": 1}}
    assert render_lines([note]) == f"{time}  a:  stamped  n=1"
    event = {"time": NOON_NS, "kind": "restarted", "engine": "", "reason": "signal 9", "pause_ns": 1500, "gone": None}
    assert render_events([event]) == f"{time}  node:  restarted  reason=signal 9  pause=1.50 us"
