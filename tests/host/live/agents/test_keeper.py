"""The keeper and its launchers, with real processes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from keeping import Kept, new_keeper, python
from live_nodes import is_alive, until

from host.aism.keeper.isolation import LEVELS, missing

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def kept(own_place: Path) -> Iterator[Kept]:
    os.chmod(own_place.parent, 0o711)
    with new_keeper(own_place / "root") as made:
        yield made


def test_an_agent_reads_prompts_and_its_exit_status_is_known(kept: Kept) -> None:
    """False if the prompt does not arrive, or the status is another than that of the agent."""
    kept.start("ann", "sh", "-c", 'read line; echo "got $line as $AGENT_ID"; exit 7')
    kept.peer.put("give", agent="ann", session=1, prompt=1, text="hello\n")
    kept.peer.wait("given", prompt=1)
    ended = kept.exited("ann")
    assert (ended["status"], ended["signal"], ended["reason"]) == (7, 0, "exited")
    assert kept.output("ann") == "got hello as ann\n"


def test_the_token_is_in_the_workspace_and_only_its_digest_comes_back(kept: Kept) -> None:
    """False if digest and token differ, a repeat makes another token, or an old token stays after the exit."""
    plan = kept.plan("ann", "sh", "-c", "cat $AISM_TOKEN_FILE; read line")
    kept.peer.put("prepare", plan=plan)
    digest = kept.peer.wait("prepared")["digest"]
    kept.peer.put("prepare", plan=plan)
    assert kept.peer.wait("prepared")["digest"] == digest
    kept.peer.put("launch", agent="ann", session=1, plan=plan)
    kept.peer.wait("launched")
    token = until(lambda: kept.output("ann"), "the token")
    assert hashlib.sha256(token.encode()).hexdigest() == digest
    path = kept.root / "agents" / "ann" / ".aism" / "token"
    assert path.stat().st_mode & 0o777 == 0o400
    kept.peer.put("give", agent="ann", session=1, prompt=1, text="go\n")
    kept.exited("ann")
    assert not path.exists()


def test_a_program_that_is_not_there_is_refused_with_its_name(kept: Kept) -> None:
    """False if the exit of a launch that failed does not say why."""
    plan = kept.plan("ann", "/no/such/program")
    kept.peer.put("prepare", plan=plan)
    kept.peer.wait("prepared")
    kept.peer.put("launch", agent="ann", session=1, plan=plan)
    assert kept.exited("ann")["reason"] == "refused: cannot run /no/such/program: No such file or directory"


FAMILY = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        os.fork()
time.sleep(600)
"""


def test_l3_children_of_a_killed_agent_survive_nowhere(kept: Kept) -> None:
    """False if a descendant of a killed agent lives a second later."""
    pid = kept.start("ann", *python(FAMILY))["pid"]
    launcher = psutil.Process(pid).parent()
    assert launcher is not None
    until(lambda: len(launcher.children(recursive=True)) == 27, "the family")
    family = launcher.children(recursive=True)
    os.kill(pid, signal.SIGKILL)
    ended = kept.exited("ann", within_s=5)
    assert (ended["status"], ended["signal"], ended["reason"], ended["is_clear"]) == (None, 9, "signal", True)
    until(lambda: not any(is_alive(each.pid) for each in family), "the end of the family", within_s=1)


def test_agents_outlive_their_keeper_and_the_next_one_knows_how_they_exited(kept: Kept) -> None:
    """False if an agent dies with its keeper, reads an end of file, or its status is lost."""
    pid = kept.start(
        "ann", "sh", "-c", "while read line; do echo got $line; test $line = stop && exit 5; done; exit 9"
    )["pid"]
    gone = kept.start("bob", "sh", "-c", "read line; exit 3")["pid"]
    kept.peer.put("give", agent="ann", session=1, prompt=1, text="one\n")
    kept.peer.wait("given")
    os.kill(kept.pid, signal.SIGKILL)
    fifo = os.open(kept.folder("bob") / "stdin", os.O_WRONLY | os.O_NONBLOCK)
    os.write(fifo, b"go\n")
    os.close(fifo)
    until(lambda: not is_alive(gone), "bob's exit")
    known = kept.again()
    assert [(each["agent"], each["pid"]) for each in known["running"]] == [("ann", pid)]
    assert [(each["agent"], each["status"]) for each in known["exited"]] == [("bob", 3)]
    kept.peer.put("give", agent="ann", session=1, prompt=2, text="stop\n")
    assert kept.exited("ann")["status"] == 5
    assert kept.output("ann") == "got one\ngot stop\n"


@pytest.mark.parametrize("level", [each for each in ("none", "bwrap", "runc") if not missing(each)])
def test_a_launcher_that_is_killed_takes_its_agent_with_it(kept: Kept, level: str) -> None:
    """False if an agent without launcher goes on, or nobody hears of it."""
    program = ("sh", "-c", "sleep 600 & sleep 600 & echo ready; wait")
    pid = kept.start("ann", *program, level=level)["pid"]
    until(lambda: kept.output("ann"), "the start")
    launcher = psutil.Process(pid).parent()
    assert launcher is not None
    family = launcher.children(recursive=True)
    assert len(family) >= 3
    launcher.kill()
    assert kept.exited("ann")["reason"] == "lost"
    until(lambda: not any(is_alive(each.pid) for each in family), "the end of the family", within_s=5)
    assert not [path for path in Path("/run/runc").glob("*") if "-ann-" in path.name and level == "runc"]


def test_l8_prompts_wait_for_an_agent_that_does_not_read(kept: Kept) -> None:
    """False if a full pipe blocks the keeper, or a prompt is torn, lost or doubled where the keeper dies meanwhile."""
    kept.start("ann", *python("import sys,time\ntime.sleep(1)\nfor l in sys.stdin: print(len(l),flush=True)"))
    for is_first in (True, False):
        for number in range(1, 6):
            kept.peer.put("give", agent="ann", session=1, prompt=number, text="x" * 29_999 + "\n")
        if is_first:
            kept.peer.wait("given", prompt=1)
            os.kill(kept.pid, signal.SIGKILL)
            assert kept.again()["running"][0]["given"] >= 1
    kept.start("bob", "sh", "-c", "exit 0")
    assert kept.exited("bob")["status"] == 0
    kept.peer.wait("given", prompt=5)
    until(lambda: kept.output("ann") == "30000\n" * 5, "five whole prompts")


def test_stop_asks_first_and_kills_after_the_grace(kept: Kept) -> None:
    """False if an agent that obeys is killed, or one that does not lives on."""
    kept.start("ann", "sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done")
    kept.start("bob", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    for name in ("ann", "bob"):
        until(lambda name=name: kept.output(name), "both ready")  # type: ignore[misc]
        kept.peer.put("end", agent=name, session=1, grace_s=0.5)
    assert (kept.exited("ann")["status"]) == 4
    ended = kept.exited("bob")
    assert (ended["signal"], ended["reason"]) == (9, "stopped")


HOGS = {
    "memory_bytes": ("x = []\nwhile True: x.append(bytearray(1 << 20))", 96 << 20),
    "wall_s": ("import time; time.sleep(600)", 1),
    "cpu_seconds": ("while True: pass", 1),
}


@pytest.mark.parametrize("limit", HOGS)
def test_l7_a_hog_is_ended_by_its_limit(kept: Kept, limit: str) -> None:
    """False if the limit does not hold, or the exit does not say which it was."""
    code, value = HOGS[limit]
    started = kept.start("hog", *python(code), limits={limit: value})
    assert started["mechanisms"][limit] != "not enforced"
    ended = kept.exited("hog")
    named = {"memory_bytes": "memory", "wall_s": "wall", "cpu_seconds": "signal"}[limit]
    assert ended["reason"] == named
    assert ended["signal"] in (signal.SIGKILL, signal.SIGXCPU)


def test_l7_a_fork_bomb_is_bounded_and_cleared(kept: Kept) -> None:
    """False if more processes than the limit live, or one is left."""
    code = "import os,time\nwhile True:\n  try:\n    os.fork()\n  except OSError: time.sleep(0.1)"
    started = kept.start("hog", *python(code), limits={"pids": 30})
    launcher = psutil.Process(started["pid"]).parent()
    assert launcher is not None
    if started["mechanisms"]["pids"].startswith("cgroup"):
        until(lambda: len(launcher.children(recursive=True)) == 30, "thirty processes")
        kept.peer.put("end", agent="hog", session=1, grace_s=0.2)
    assert kept.exited("hog")["is_clear"]


def test_l7_a_log_flood_is_slowed_and_its_files_stay_small(kept: Kept) -> None:
    """False if the files of an agent that floods its output grow beyond their bound."""
    rate = 64 << 20
    kept.start("hog", "sh", "-c", "yes", limits={"output_bytes_s": rate})
    folder = kept.folder("hog")
    until(lambda: (folder / "stdout.log.3").exists(), "rotation")
    kept.peer.put("end", agent="hog", session=1, grace_s=0.2)
    kept.exited("hog")
    assert sum(each.stat().st_size for each in folder.glob("stdout.log*")) <= 4 * (4 << 20)
    assert len(list(folder.glob("stdout.log*"))) == 4


PROBE = str(Path(__file__).parent / "programs" / "probe.py")


def seen(kept: Kept, level: str) -> dict[str, object]:
    """What an agent at this level sees."""
    program = "/usr/bin/python3" if level == "uid" else sys.executable  # ours may be in a private folder
    other = {"level": "uid", "uid": 61_002} if IS_ROOT else {"level": "none"}
    pid = kept.start("bob", "sh", "-c", "read line", **other)["pid"]
    (kept.root / ".enginehost").mkdir(mode=0o700)
    (kept.root / "agents" / "bob" / "secret").write_text("secret")
    (kept.root / "protocols" / "inbox.md").write_text("# Protocol: inbox\n")
    os.chmod(kept.root, 0o711)
    kept.start("ann", program, PROBE, str(kept.root), str(pid), level=level)
    ended = kept.exited("ann")
    assert ended["status"] == 0, (ended, (kept.folder("ann") / "stderr.log").read_text())
    found: dict[str, object] = json.loads(kept.output("ann"))
    return found


@pytest.mark.skipif(not IS_ROOT, reason="levels of isolation need root")
@pytest.mark.parametrize("level", [each for each in LEVELS if not missing(each)])
def test_l11_an_agent_sees_what_doctor_says(kept: Kept, level: str) -> None:
    """False if a level lets an agent see, write or signal more than `aism doctor` says, or less (X1 too)."""
    said, found = doctor_says(level), seen(kept, level)
    assert (found["uid"] != os.getuid()) is said["own_user"]
    assert found["sees_others"] is not said["own_processes"]
    assert found["has_network"] is not said["no_network"]
    assert found["reads_other"] is not said["own_user"]
    assert found["sees_root"] is not said["own_files"]
    assert found["writes_workspace"]
    assert found["reads_protocols"]
    assert found["has_token"]
    assert found["writes_protocols"] is not said["own_user"]
    assert found["writes_own_state"] is not said["own_user"]
    for deed in ("writes_journal", "reads_environment_of_other", "signals_other"):
        assert found[deed] is not said["own_user"], deed


def doctor_says(level: str) -> dict[str, bool]:
    """What `aism doctor` reports of a level."""
    command = [sys.executable, "-c", "import _enginehost; _enginehost.aism()", "doctor"]
    top = str(Path(__file__).resolve().parents[4])
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONPATH": top}, check=True)
    return dict(json.loads(done.stdout)["data"]["isolation"][level])


def test_l12_docker_without_a_daemon_is_one_clear_line(kept: Kept) -> None:
    """False if the level is taken, or replaced by another."""
    kept.peer.put("prepare", plan=kept.plan("ann", "true", level="docker"))
    reason = kept.peer.wait("refused")["reason"]
    assert reason.startswith("docker: no daemon listens at")
    assert "\n" not in reason


def test_the_end_of_a_session_that_does_not_run_is_answered(kept: Kept) -> None:
    """False if somebody who ends a session that was never launched waits for ever."""
    kept.peer.put("prepare", plan=kept.plan("ann", "true"))
    kept.peer.wait("prepared")
    kept.peer.put("end", agent="ann", session=1, grace_s=1.0)
    assert kept.exited("ann")["reason"] == "stopped"


def test_files_are_read_inside_the_workspace_only(kept: Kept) -> None:
    """False if a link, a FIFO or a path outside is read."""
    kept.start("ann", "sh", "-c", "read line")
    workspace = kept.root / "agents" / "ann"
    (workspace / "note.md").write_text("a note")
    (workspace / "link").symlink_to("/etc/passwd")
    (workspace / "sub").symlink_to("/etc")
    os.mkfifo(workspace / "pipe")
    for path in ("link", "sub/passwd", "pipe", "../bob", "/etc/passwd", "absent"):
        kept.peer.put("read", agent="ann", session=1, path=path, bytes_max=1000)
        assert kept.peer.wait("refused", path=path)["reason"]
    kept.peer.put("read", agent="ann", session=1, path="note.md", bytes_max=1000)
    assert kept.peer.wait("content")["text"] == "a note"


def test_a_keeper_whose_root_is_deleted_stops_its_agents_and_ends(own_place: Path) -> None:
    """False if keeper, launcher or agent run on without a folder, where no command finds them any more."""
    kept = Kept(own_place / "root")
    keeper, agent = kept.pid, kept.start("ann", "sh", "-c", "trap '' TERM; read line", grace_s=0.1)["pid"]
    shutil.rmtree(kept.root / "engine")  # a node that writes meanwhile keeps the rest from being deleted
    assert kept.exited("ann")["is_clear"]
    until(lambda: not is_alive(keeper) and not is_alive(agent), "an end of keeper and agent")
    kept.peer.close()
