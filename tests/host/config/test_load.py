"""A good node file, and what it becomes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from deadline import DEADLINE_S

from host.config.load import load_node
from host.config.names import entry_name
from host.config.problems import ConfigErrors
from host.config.spec import EngineSpec, JournalSpec, MailboxSpec, NodeSpec, Placement, TransportSpec

FULL = """
node: clock
engines:
  server:
    family: "pack.age:SERVER"
    config: {requests: 100, window_ns: 1s, key: 0x1234}
    state: {times_ns: []}
    mailboxes: {0: {capacity: 5, policy: reject}, "2": {policy: drop-oldest, stored_max: 0}}
    placement: core 0
  alice: {family: "pack.age:CLIENT", acquaintances: [server, bob, worker, bob/child.2]}
  bob:   {family: "pack.age:CLIENT", placement: one}
  worker: {family: "pack.age:CLIENT", count: 3, acquaintances: [worker, alice]}
placement: {default: group crowd, spawned: process}
transport: {local: zmq, wait: block, lane_bytes: 64KiB}
journal: {retain_bytes: 2MiB, retain_ns: 400d, unacked_bytes: 64KiB}
roots: [src, .]
data: var/clock
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    return tmp_path


def load(folder: Path, text: str, name: str = "node.yaml") -> NodeSpec:
    (folder / name).write_text(text, encoding="utf-8")
    return load_node(folder / name)


def test_everything_said(folder: Path) -> None:
    """Every key arrives: units as numbers, folders absolute, counts expanded in place; family values stay builtins."""
    spec = load(folder, FULL)
    crowd = Placement("group", group="crowd")
    workers = ("worker.1", "worker.2", "worker.3")
    client = EngineSpec("", "pack.age:CLIENT", placement=crowd)
    change = msgspec.structs.replace
    assert spec.engines == (
        EngineSpec(
            "server",
            "pack.age:SERVER",
            params={"requests": 100, "window_ns": "1s", "key": "0x1234"},
            state={"times_ns": []},
            mailboxes={0: MailboxSpec(5, "reject"), 2: MailboxSpec(policy="drop-oldest", stored_max=0)},
            placement=Placement("core", core=0),
        ),
        change(client, name="alice", acquaintances=("server", "bob", *workers, "bob/child.2")),
        change(client, name="bob", placement=Placement("one")),
        *(
            change(client, name=name, acquaintances=(*(other for other in workers if other != name), "alice"))
            for name in workers
        ),
    )
    assert (spec.placement, spec.spawned) == (crowd, "process")
    assert spec.transport == TransportSpec("zmq", "block", 65_536)
    assert spec.journal == JournalSpec(2 << 20, 400 * 24 * 3600 * 10**9, 65_536)
    assert spec.roots == (str(folder / "src"), str(folder))
    assert spec.data == str(folder / "var" / "clock")
    assert spec.path == str(folder / "node.yaml")


def test_nothing_said(folder: Path) -> None:
    """Defaults are those of the data's own types, and data lies beside the file."""
    spec = load(folder, 'node: a\nengines: {b: {family: "p:B"}}\n')
    plain = NodeSpec("a", spec.path, spec.digest, (EngineSpec("b", "p:B"),), data=str(folder / ".enginehost" / "a"))
    assert spec == plain


def test_survives_the_wire(folder: Path) -> None:
    """The supervisor gets the very same node as MessagePack."""
    spec = load(folder, FULL)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=NodeSpec) == spec


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("node: clock", "node: clocks"),
        ("1s", "2s"),
        ("0x1234", "0x1235"),
        ("count: 3", "count: 4"),
        ("times_ns: []", "times_ns: [1]"),
        ("capacity: 5", "capacity: 6"),
        ("placement: one", "placement: process"),
        ("[worker, alice]", "[alice]"),
        ("block", "adaptive"),
        ("retain_ns: 400d", "retain_ns: 0"),
        ("[src, .]", "[src]"),
        ("var/clock", "var/clock2"),
    ],
)
def test_digest_changes(folder: Path, old: str, new: str) -> None:
    """Whatever decides what runs is in the digest."""
    assert load(folder, FULL).digest != load(folder, FULL.replace(old, new)).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("node: clock", "# a comment\nnode:   clock   # another"),
        ("lane_bytes: 64KiB", "lane_bytes: 65536"),
        ("requests: 100, window_ns: 1s", "window_ns: 1s, requests: 100"),
        ('"2": {policy: drop-oldest, stored_max: 0}', "2: {stored_max: 0, policy: drop-oldest}"),
        ("[src, .]", "[./src/, src/..]"),
    ],
)
def test_digest_stays(folder: Path, old: str, new: str) -> None:
    """How a thing is written is not in the digest."""
    assert load(folder, FULL).digest == load(folder, FULL.replace(old, new)).digest


def test_digest_follows_content_not_name(folder: Path) -> None:
    """A copy of the file in the same folder would run the same."""
    assert load(folder, FULL).digest == load(folder, FULL, "copy.yaml").digest


def test_unreadable(tmp_path: Path) -> None:
    """A file that is not there, or a folder, is a configuration error like any other."""
    for path, reason in ((tmp_path / "gone.yaml", "No such file"), (tmp_path, "directory")):
        with pytest.raises(ConfigErrors, match=reason) as caught:
            load_node(path)
        assert [(p.file, p.line, p.column) for p in caught.value.problems] == [(str(path), 1, 1)]


def test_a_tilde_is_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if `data: ~/kept` made a folder named `~`."""
    monkeypatch.setenv("HOME", str(folder))
    text = "node: n\nroots: [~/src, src]\ndata: ~/kept\nengines: {e: {family: 'a:B'}}\n"
    (folder / "below" / "src").mkdir(parents=True)
    found = load(folder / "below", text)
    assert (found.data, found.roots) == (f"{folder}/kept", (f"{folder}/src", f"{folder}/below/src"))
    with pytest.raises(ConfigErrors, match=r"no user has the home folder ~n-o-b-o-d-y"):
        load(folder, text.replace("~/kept", "~n-o-b-o-d-y/kept"))
    assert load(folder / "below", text.replace("~/kept", "./~x")).data == f"{folder}/below/~x"


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_refused_and_not_waited_for(folder: Path, kind: str) -> None:
    """False if a pipe as node file hung the command, or was read once and then taken for another node."""
    path = folder / "pipe" if kind == "pipe" else Path(os.devnull)
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(ConfigErrors, match="not a regular file"):
        load_node(path)


@pytest.mark.parametrize("family", ["ünits:SMALL", "größen.ünits:SMALL", "a:Ä1"])
def test_names_of_modules_are_those_of_python(folder: Path, family: str) -> None:
    """False if a module that Python imports could not be named."""
    assert load(folder, f"node: n\nengines: {{e: {{family: '{family}'}}}}\n").engines[0].family == family


@pytest.mark.parametrize("family", ["1a:B", "a-b:C", "a:B\n"])
def test_names_that_python_does_not_have_are_refused(folder: Path, family: str) -> None:
    """False if anything but a name reached the import system."""
    with pytest.raises(ConfigErrors, match="expected a family"):
        load(folder, f'node: n\nengines: {{e: {{family: "{family}"}}}}\n'.replace('\n"', '\\n"'))


def test_names_say_their_entry() -> None:
    """Counted engines, births and descendants all come from one key of the file."""
    names = ["worker", "worker.3", "worker~2/child", "worker.3/child.1"]
    assert [entry_name(name) for name in names] == ["worker"] * 4


def test_a_good_file_costs_no_import_of_what_explains_bad_ones(folder: Path) -> None:
    """The usual case loads neither what explains mistakes nor a family, and `spec` alone not even YAML."""
    load(folder, FULL)
    program = (
        "import sys, host.config.spec, host.config.convert; print('yaml' in sys.modules);"
        f"import host.config.load; host.config.load.load_node({str(folder / 'node.yaml')!r});"
        "print([m for m in ('host.config.explain', 'difflib', 'zmq', 'engines.examples', 'pack') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=DEADLINE_S
    )
    assert output.stdout.split("\n")[:2] == ["False", "[]"]
