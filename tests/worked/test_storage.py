"""Files in the chunk store of a live node, by the commands a user types."""

from __future__ import annotations

import filecmp
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_S
from live_node import CONFIGS, CommandError, LiveNode, live_node

from host.cli.main import run as run_command_line

MIB = 1 << 20


@pytest.fixture
def node() -> Iterator[LiveNode]:
    """The node of `configs/storage.yaml`. Its data is in its folder."""
    with live_node(CONFIGS / "storage.yaml", "process") as started:
        yield started


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINEHOST_PASSPHRASE", "correct horse")
    monkeypatch.setenv("ENGINEHOST_KEYS", str(tmp_path / "keys"))


def write(path: Path, size: int, seed: int = 1) -> Path:
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def test_files_of_any_size_come_back(node: LiveNode, tmp_path: Path) -> None:
    """False if a file is changed on its way, or one of no size, of one chunk, or of several is not taken."""
    for size in (0, 1, MIB, MIB + 1, 3 * MIB + 17):
        file, out = write(tmp_path / "in", size), tmp_path / "out"
        [stored] = node.run("storage", "put", str(file))
        assert (stored["name"], stored["size_bytes"]) == ("in", size)
        node.run("storage", "get", stored["id"], "-o", str(out))
        assert out.read_bytes() == file.read_bytes()


def key(name: str) -> str:
    """A new key; its public part."""
    made = run_command("key", "new", name)
    public: str = made[0]["public"]
    return public


def run_command(*arguments: str) -> list[dict[str, Any]]:
    """The items of a command without a node."""
    with redirect_stdout(StringIO()) as printed:
        assert run_command_line([*arguments, "--json"]) == 0
    items: list[dict[str, Any]] = json.loads(printed.getvalue())["items"]
    return items


def test_only_readers_can_read(node: LiveNode, tmp_path: Path) -> None:
    """False if a reader is locked out, or another key opens the file."""
    _, ben, _ = key("ann"), key("ben"), key("eve")
    file, out = write(tmp_path / "in", 2 * MIB), tmp_path / "out"
    [stored] = node.run("storage", "put", str(file), "--reader", ben, "--key", "ann")
    node.run("storage", "get", stored["id"], "--key", "ben", "-o", str(out))
    assert out.read_bytes() == file.read_bytes()
    out.unlink()
    with pytest.raises(CommandError, match="not on the access list"):
        node.run("storage", "get", stored["id"], "--key", "eve", "-o", str(out))
    assert not list(tmp_path.glob("out*"))


def test_a_flipped_bit_on_the_disk_is_found_and_named(node: LiveNode, tmp_path: Path) -> None:
    """False if a user gets a damaged file, or is not told which chunk in which file it is."""
    file, out = write(tmp_path / "in", 3 * MIB), tmp_path / "out"
    [stored] = node.run("storage", "put", str(file))
    assert node.run("storage", "verify")[0]["count"] == 4
    victim = random.Random(1).choice(sorted(node.config.parent.glob(".enginehost/chunks/??/*")))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    for command in (["verify"], ["get", stored["id"], "-o", str(out)]):
        with pytest.raises(CommandError) as found:
            node.run("storage", *command)
        assert found.value.code == 8
        assert victim.name in str(found.value)
        assert str(victim.resolve()) in str(found.value)
    assert not out.exists()
    node.run("storage", "put", str(file))
    node.run("storage", "get", stored["id"], "-o", str(out))
    assert out.read_bytes() == file.read_bytes()


@pytest.mark.storm
def test_what_is_unpinned_is_collected(tmp_path: Path) -> None:
    """False if a file that nobody pins takes room for ever, or another one loses chunks with it."""
    with live_node(changed(tmp_path, "grace_ns: 1h", "grace_ns: 0s"), "process") as node:
        one, two = write(tmp_path / "one", 2 * MIB), write(tmp_path / "two", 2 * MIB, seed=2)
        [first], [second] = node.run("storage", "put", str(one)), node.run("storage", "put", str(two))
        pins = node.run("storage", "ls")
        assert sorted((pin["name"], pin["address"]) for pin in pins) == [
            ("one", first["id"][:64]),
            ("two", second["id"][:64]),
        ]
        assert node.run("storage", "collect")[0]["dropped"] == 0
        node.run("storage", "unpin", first["id"], "one")
        assert node.run("storage", "collect")[0]["dropped"] == 3
        node.run("storage", "get", second["id"], "-o", str(tmp_path / "out"))
        with pytest.raises(CommandError) as missing:
            node.run("storage", "get", first["id"], "-o", str(tmp_path / "out"))
        assert missing.value.code == 4
        key("ann")
        node.run("storage", "unpin", second["id"], "two")
        node.run("storage", "commit", second["id"], "--key", "ann", "--for", "1h")
        assert node.run("storage", "collect")[0]["dropped"] == 0


@pytest.mark.storm
def test_a_large_file_takes_little_memory(node: LiveNode, tmp_path: Path) -> None:
    """False if client or node hold a file in memory: 64 MiB in and out in processes that stay below 128 MiB."""
    file, out = write(tmp_path / "in", 64 * MIB), tmp_path / "out"
    peak, [stored] = peak_of(node, "storage", "put", str(file))
    assert peak < 128 * MIB
    peak, _ = peak_of(node, "storage", "get", stored["id"], "-o", str(out))
    assert peak < 128 * MIB
    assert filecmp.cmp(file, out, shallow=False)
    assert all(engine["memory_bytes"] < 128 * MIB for engine in node.engines().values())


PEAK = """
import re, sys
from host.cli.main import run
code = run(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1], file=sys.stderr)
sys.exit(code)
"""


def peak_of(node: LiveNode, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The most memory that a command had, in bytes, and its items."""
    command = [sys.executable, "-c", PEAK, *arguments, "--json", "-f", str(node.config)]
    done = subprocess.run(
        command, env=node.environment, capture_output=True, text=True, timeout=2 * DEADLINE_S, check=True
    )
    return int(done.stderr.split()[-1]) * 1024, json.loads(done.stdout)["items"]


def changed(folder: Path, *pairs: str) -> Path:
    """`configs/storage.yaml` with other figures."""
    text = (CONFIGS / "storage.yaml").read_text(encoding="utf-8")
    for before, after in zip(pairs[::2], pairs[1::2], strict=True):
        assert before in text
        text = text.replace(before, after)
    (folder / "storage.yaml").write_text(text, encoding="utf-8")
    return folder / "storage.yaml"


@pytest.mark.storm
def test_a_put_survives_kills_of_every_process(tmp_path: Path) -> None:
    """False if a kill loses a chunk that was answered, or ends a put that could go on."""
    file, out, kills = write(tmp_path / "in", 96 * MIB), tmp_path / "out", 0
    with live_node(changed(tmp_path, "wait_ns: 5s", "wait_ns: 1s"), "process") as node:
        command = [sys.executable, "-m", "host", "storage", "put", str(file), "--json", "-f", str(node.config)]
        put = subprocess.Popen(command, env=node.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        node.until("a chunk is stored", lambda: list(node.config.parent.glob(".enginehost/chunks/??/*")))
        for victim in ("files", "index", "chunks"):
            kills += put.poll() is None
            before = node.engines()[victim]["restarts"]
            node.run("kill", victim)
            node.until(f"{victim} again", lambda name=victim, n=before: node.engines()[name]["restarts"] > n)
        printed, said = put.communicate(timeout=4 * DEADLINE_S)
        assert put.returncode == 0, said
        assert kills > 0
        [stored] = json.loads(printed)["items"]
        node.run("storage", "get", stored["id"], "-o", str(out))
        assert filecmp.cmp(file, out, shallow=False)
        assert node.run("storage", "verify")[0]["count"] == 97
