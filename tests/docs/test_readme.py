"""The README does what it prints: its set-up line, its tour, and its engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nacl.signing
import pytest
import yaml
from deadline import DEADLINE_S
from own_environment import own_environment

from engines.model import Committed, Configuration, Delivery, Family, Outgoing, birth, load_family, step

ROOT = Path(__file__).resolve().parents[2]
BLOCK_S = 10 * DEADLINE_S
"""Blocks measure, too, and hold several commands."""

README = (ROOT / "README.md").read_text(encoding="utf-8")


def fenced(language: str, section: str) -> list[str]:
    """The fenced blocks of a language below a heading of the second level."""
    text = README.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class Folder:
    """A new user's folder: the node files, nothing running, a runtime directory of its own."""

    def __init__(self, path: Path) -> None:
        shutil.copytree(ROOT / "configs", path / "configs")
        self.path = path
        self.environment = own_environment(path)

    def shell(self, block: str) -> str:
        """What a block prints on standard output. It must succeed, every command of it."""
        command = ["bash", "-euo", "pipefail", "-c", block]
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=BLOCK_S,
            check=False,
        )
        assert done.returncode == 0, f"{block}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def items(self, command: str) -> list[dict[str, object]]:
        """The items of a command with `--json`."""
        envelope = json.loads(self.shell(f"{command} --json"))
        assert envelope["v"] == 1
        return list(envelope["items"])


@pytest.fixture
def folder(own_place: Path) -> Iterator[Folder]:
    """The folder; whatever a failed tour leaves running is ended."""
    made = Folder(own_place)
    yield made
    subprocess.run(["enginehost", "down"], cwd=made.path, env=made.environment, capture_output=True, check=False)


@pytest.mark.storm
def test_the_tour_works_as_printed(folder: Folder) -> None:
    """If false, a new user's first ten minutes fail somewhere the README did not say."""
    start = fenced("", "Set up")[0].splitlines()[0].rsplit("&&", 1)[1]
    folder.shell(start)
    blocks = fenced("shell", "Ten minutes")
    outputs = [folder.shell(block) for block in blocks]
    printed = {block.splitlines()[0].split(" --")[0]: said for block, said in zip(blocks, outputs, strict=True)}
    assert "already" in printed["enginehost up configs/timestamping.yaml -d"]
    assert "0x1338" in printed["enginehost send server TimeStampRequest hash=0x1338"]
    assert "nobody" in printed["enginehost send server TimeStampRequest hash=0x1339 destination=nobody"]
    [kept] = [said for block, said in zip(blocks, outputs, strict=True) if "kept.yaml" in block]
    assert "recovered" in kept
    assert "0x1340" in kept
    assert not list((folder.path / "run").rglob("control")), "down leaves no socket"


@pytest.mark.storm
def test_the_node_that_runs_transactions_works_as_printed(folder: Folder) -> None:
    """If false, the second example fails, a signature or a file is not what it was, or a transaction is lost
    or doubled by the kill in it."""
    before, signed, after = (folder.shell(block) for block in fenced("shell", "A node that runs transactions"))
    assert "  b = 1" in signed.splitlines()
    assert before.splitlines()[-2:] == ["65", "1"]
    assert after.splitlines()[-2] == "66"


def test_the_attestation_verifies(folder: Folder) -> None:
    """If false, the signature in bob's state is not the server's over hash and time."""
    folder.shell("enginehost up configs/timestamping.yaml -d")
    folder.shell("enginehost send server TimeStampRequest hash=0x1337 destination=bob")
    [stamped] = _attestations(folder)
    key = yaml.safe_load((ROOT / "configs" / "timestamping.yaml").read_text())["engines"]["server"]["config"]["key"]
    seed = key.to_bytes(32, "big") if isinstance(key, int) else bytes.fromhex(str(key).removeprefix("0x"))
    assert stamped["hash"] == "0x1337"
    signed = bytes.fromhex("1337") + int(str(stamped["time_ns"])).to_bytes(8, "big")
    signature = bytes.fromhex(str(stamped["signature"]).removeprefix("0x"))
    nacl.signing.SigningKey(seed).verify_key.verify(signed, signature)


def test_a_killed_server_comes_back_and_says_so(folder: Folder) -> None:
    """If false, `events` is silent about a crash, or the engine does not answer any more."""
    folder.shell("enginehost up configs/timestamping.yaml -d")
    kill = next(block for block in fenced("shell", "Ten minutes") if block.startswith("enginehost kill"))
    folder.shell(kill)
    answer = folder.items("enginehost send server TimeStampRequest hash=0x01 --wait TimeStampedHash")
    assert answer[0]["hash"] == "0x01"
    kinds = [event["kind"] for event in folder.items("enginehost events")]
    assert "crashed" in kinds
    assert kinds.index("crashed") < kinds.index("restarted")


def test_the_engine_of_the_readme_counts(tmp_path: Path) -> None:
    """If false, the first engine a reader sees does not run."""
    (tmp_path / "readme_counter.py").write_text(fenced("python", "Write an engine")[0], encoding="utf-8")
    family = load_family("readme_counter:COUNTER", [str(tmp_path)])
    assert isinstance(family, Family)
    module = sys.modules["readme_counter"]
    name, env = Configuration("node", "counter"), birth(family, Configuration("node", "counter"), now_ns=0)
    for amount in (2, 3):
        outcome = step(family, name, env, Delivery("me", 0, module.Increment(amount)), 1)
        assert isinstance(outcome, Committed)
        env = outcome.env
    outcome = step(family, name, env, Delivery("me", 0, module.Count("me")), 1)
    assert isinstance(outcome, Committed)
    assert outcome.outputs == (Outgoing("me", 0, module.Total(5)),)


def _attestations(folder: Folder) -> list[dict[str, object]]:
    """What bob holds; every struct with a signature, wherever his state keeps it."""
    state = folder.items("enginehost state get bob")[0]["state"]
    found: list[dict[str, object]] = []

    def visit(value: object) -> None:
        if isinstance(value, dict):
            if "signature" in value:
                found.append(value)
            for part in value.values():
                visit(part)
        elif isinstance(value, list):
            for part in value:
                visit(part)

    visit(state)
    return found


@pytest.mark.storm
def test_agents_hand_a_task_over_as_printed(folder: Folder) -> None:
    """If false, the third example does not come to its end, or a message was lost on the way."""
    [block] = fenced("shell", "Agents that follow protocols")
    printed = folder.shell(block)
    assert 'wendy task_done {"task_id": "t2", "result": "t2.txt"}' in printed
    assert "is in ready" in printed
