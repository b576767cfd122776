"""A keeper for a test, and its peer."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deadline import DEADLINE_S

from host.aism.keeper.files import read_json
from host.aism.keeper.start import end_keeper, ensure_keeper


class Peer:
    """A connection to a keeper, with the events that came."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.rest = b""
        self.events: list[dict[str, Any]] = []

    def put(self, order: str, **fields: Any) -> None:
        self.sock.sendall(json.dumps({"order": order, **fields}).encode() + b"\n")

    def wait(self, event: str, within_s: float = DEADLINE_S, **fields: Any) -> dict[str, Any]:
        """The first event of this kind with these fields; it is taken."""
        until = time.monotonic() + within_s
        while True:
            for each in self.events:
                if each["event"] == event and all(each.get(name) == value for name, value in fields.items()):
                    self.events.remove(each)
                    return each
            if event == "launched":
                refused = [each for each in self.events if "refused" in (each["event"], str(each.get("reason"))[:7])]
                assert not refused, refused
            left = until - time.monotonic()
            assert left > 0, f"no {event} {fields} within {within_s:g} s; there came {self.events}"
            self.sock.settimeout(left)
            content = self.sock.recv(1 << 16)
            assert content, "the keeper hung up"
            *lines, self.rest = (self.rest + content).split(b"\n")
            self.events += [json.loads(line) for line in lines]

    def close(self) -> None:
        self.sock.close()


class Kept:
    """A root with a keeper."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("protocols", "agents", "engine"):
            (root / name).mkdir(parents=True, exist_ok=True)
        self.socket = ensure_keeper(str(root))
        self.peer = Peer(self.socket)
        self.peer.put("hello")
        self.peer.wait("hello")

    @property
    def pid(self) -> int:
        return int((read_json(str(self.root / "engine" / "keeper.json")) or {})["pid"])

    def again(self) -> dict[str, Any]:
        """Another keeper, after the first has been killed; what it knows."""
        self.socket = ensure_keeper(str(self.root))
        self.peer = Peer(self.socket)
        self.peer.put("hello")
        return self.peer.wait("hello")

    def plan(self, agent: str, *argv: str, session: int = 1, level: str = "none", **rest: Any) -> dict[str, Any]:
        """A plan for a session."""
        return {
            "agent": agent,
            "session": session,
            "argv": list(argv),
            "level": level,
            "uid": None if level == "none" else 61_001,
            "workspace": str(self.root / "agents" / agent),
            "protocols": str(self.root / "protocols"),
            "bus": "",
            "environment": {"PATH": os.environ["PATH"], "AGENT_ID": agent},
            "limits": {},
            "visible": [str(Path(__file__).parent / "programs")],
            "network": False,
            "grace_s": 5.0,
            **rest,
        }

    def start(self, agent: str, *argv: str, session: int = 1, **rest: Any) -> dict[str, Any]:
        """Prepare and launch a session; the keeper's answer."""
        plan = self.plan(agent, *argv, session=session, **rest)
        self.peer.put("prepare", plan=plan)
        self.peer.wait("prepared", agent=agent)
        self.peer.put("launch", agent=agent, session=session, plan=plan)
        return self.peer.wait("launched", agent=agent)

    def exited(self, agent: str, within_s: float = DEADLINE_S) -> dict[str, Any]:
        return self.peer.wait("exited", within_s, agent=agent)

    def folder(self, agent: str, session: int = 1) -> Path:
        return self.root / "engine" / "sessions" / agent / str(session)

    def output(self, agent: str, session: int = 1) -> str:
        return (self.folder(agent, session) / "stdout.log").read_text()


@contextmanager
def new_keeper(root: Path) -> Iterator[Kept]:
    """A keeper, which ends with all its agents."""
    kept = Kept(root)
    try:
        yield kept
    finally:
        kept.peer.close()
        assert end_keeper(str(root), stop_agents=True, grace_s=0.0) == 0


def python(code: str) -> tuple[str, ...]:
    """The command line of a few lines of Python."""
    return (sys.executable, "-c", code)
