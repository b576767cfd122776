"""The program of the keeper: one thread that waits for orders, for launchers, and for room in standard inputs.

Orders and answers are JSON objects, one a line:

| order | answer |
|---|---|
| `hello` | `hello` with the sessions that run or are unnoted; then events `exited` and `report` too |
| `prepare`, with `plan` | `prepared` with the SHA-256 of the session's token, or `refused` |
| `launch` of a prepared session, with `plan` | `launched` with process id and mechanisms, or `refused` |
| `give` text to its standard input | event `given` once all of it is in the pipe, or `refused`; a number once only |
| `interrupt`, `end` with `grace_s`, `forget` | none; `end` leads to `exited`, at once if there is no such session |
| `write` a file into `.aism` of the workspace | none |
| `read` a file of the workspace | `content` or `refused` |
| `down`, with `stop_agents` | `down` with the number of sessions that run; the keeper ends if there are none |

A keeper whose root, or the folder `engine` in it, was deleted or moved away can neither be found nor restarted: it
stops its agents, and ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from host.live.lifeline import become_subreaper
from host.live.spawn.title import show_name

from . import files, isolation, limits, processes
from .isolation import LaunchPlan
from .launcher import begin
from .peers import Connection
from .sessions import KeptSession, KeptSessions
from .workspace import read_file

LINE_MAX: Final = 1 << 20
REPORT_S: Final = 5.0
GIVEN_MAX: Final = 16
"""Prompts that wait for room in one standard input; one more is refused."""

PIPE_FULL_S: Final = 0.05

ORDERS: Final = (
    "hello", "prepare", "launch", "give", "interrupt", "end", "forget", "write", "read", "ping", "down",
)  # fmt: skip

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)


class Keeper:
    """All sessions of one root."""

    def __init__(self, root: str, listener: socket.socket) -> None:
        self.root = root
        self.home = os.path.join(root, "engine")
        self.identity = files.identity(self.home)
        self.listener = listener
        self.peers: set[Connection] = set()
        self.selector = selectors.DefaultSelector()
        self.sessions = KeptSessions(root, self.selector, self._tell)
        self.group = "aism-" + sha256(root.encode()).hexdigest()[:10]
        self.is_ending = False
        self.wake, self._wake_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.orders: dict[str, Callable[[Connection, dict[str, Any]], None]] = {
            name: getattr(self, f"_{name}") for name in ORDERS
        }

    def run(self) -> None:
        """Serve until ordered down, or until the root is gone and all agents have ended."""
        show_name("aism:keeper")
        become_subreaper()
        signal.set_wakeup_fd(self._wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        self.selector.register(self.wake, selectors.EVENT_READ, lambda: os.read(self.wake, 512))
        self.sessions.find()
        limits.remove_groups(f"{self.group}-")
        report_at = time.monotonic() + REPORT_S
        while not self.is_ending:
            for key, _ in self.selector.select(self._wait_s(report_at)):
                key.data()
            self.sessions.look()
            self._look_for_root()
            for each in list(self.peers):
                each.flush()
                if each.is_deaf:
                    self._hang_up(each)
            if time.monotonic() >= report_at:
                report_at = time.monotonic() + REPORT_S
                self._report()

    def _wait_s(self, report_at: float) -> float:
        """How long to wait for something to happen: briefly, if something waits for room."""
        is_full = any(each.giving for each in self.sessions.running()) or any(each.outward for each in self.peers)
        return PIPE_FULL_S if is_full else max(0.0, report_at - time.monotonic())

    def _tell(self, event: str, **fields: Any) -> None:
        for each in self.peers:
            if each.is_subscribed:
                each.put(event, **fields)

    def _report(self) -> None:
        """What runs and what it uses, and exits that nobody has noted, again."""
        for session in self.sessions.by_key.values():
            if session.exit is not None:
                self._tell("exited", agent=session.agent, session=session.number, **session.exit)
        children = processes.children_of_all()
        found = [self.sessions.usage(each, children) for each in self.sessions.running()]
        self._tell("report", sessions=found)

    def _look_for_root(self) -> None:
        """Without the root no engine finds these sessions again; each launcher stops its agent, with the grace."""
        if files.identity(self.home) == self.identity:
            return
        running = self.sessions.running()
        for each in running:
            processes.kill(each.pid, signal.SIGTERM)
        self.is_ending = not running

    def _accept(self) -> None:
        sock, _ = self.listener.accept()
        sock.setblocking(False)
        peer = Connection(sock)
        self.peers.add(peer)
        self.selector.register(sock, selectors.EVENT_READ, lambda: self._hear(peer))

    def _hear(self, peer: Connection) -> None:
        try:
            content = peer.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        peer.inward += content
        if not content or len(peer.inward) > LINE_MAX:
            self._hang_up(peer)
            return
        *lines, peer.inward = peer.inward.split(b"\n")
        for line in lines:
            self._obey(peer, line)

    def _hang_up(self, peer: Connection) -> None:
        self.selector.unregister(peer.sock)
        peer.sock.close()
        self.peers.discard(peer)

    def _obey(self, peer: Connection, line: bytes) -> None:
        """One order. A failure of the machine is an answer."""
        order: Any = {}
        try:
            order = json.loads(line)
            agent = (order.get("plan") or order).get("agent", "none")
            if not NAME.fullmatch(agent):
                raise ValueError(f"{agent!r} is no name of an agent")
            self.orders[order["order"]](peer, order)
        except (OSError, ValueError, KeyError, TypeError) as error:
            named = order if isinstance(order, dict) else {}
            self._refuse(peer, named, f"{type(error).__name__}: {error}")

    def _refuse(self, peer: Connection, order: dict[str, Any], reason: str) -> None:
        plan = order.get("plan") or {}
        peer.put(
            "refused",
            order=order.get("order", ""),
            agent=order.get("agent", plan.get("agent", "")),
            session=order.get("session", plan.get("session", 0)),
            prompt=order.get("prompt", ""),
            path=order.get("path", ""),
            reason=reason,
            **{"for": order.get("for", "")},
        )

    def _hello(self, peer: Connection, _order: dict[str, Any]) -> None:
        peer.is_subscribed = True
        running, exited = [], []
        for each in self.sessions.by_key.values():
            own = {"agent": each.agent, "session": each.number}
            if each.exit is not None:
                exited.append({**own, **each.exit})
            elif each.pid:
                running.append({**own, "pid": each.info.get("agent_pid", 0), "given": each.given})
        peer.put("hello", pid=os.getpid(), running=running, exited=exited)

    def _prepare(self, peer: Connection, order: dict[str, Any]) -> None:
        plan = LaunchPlan.of(order["plan"])
        if reason := isolation.missing(plan.level):
            self._refuse(peer, order, reason)
            return
        folder = files.session_folder(self.root, plan.agent, plan.session)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        files.make_workspace(plan.workspace, _owner(plan))
        digest = files.mint_token(folder, plan.workspace, plan.session, _owner(plan))
        files.prune_sessions(self.root, plan.agent)
        peer.put("prepared", agent=plan.agent, session=plan.session, digest=digest)

    def _launch(self, peer: Connection, order: dict[str, Any]) -> None:
        agent, number = order["agent"], order["session"]
        if (known := self.sessions.by_key.get((agent, number))) is not None:
            self._launched(peer, known)
            return
        folder = files.session_folder(self.root, agent, number)
        if files.read_json(os.path.join(folder, "token.json")) is None:
            self._refuse(peer, order, "the session is not prepared")
            return
        plan = _with_token(LaunchPlan.of(order["plan"]), folder)
        with contextlib.suppress(FileExistsError):
            os.mkfifo(os.path.join(folder, "stdin"), 0o600)
        session = KeptSession(agent, number, folder)
        session.pid, report = begin(plan, folder, f"{self.group}-{agent}-{number}", self._close_all)
        session.pid_started = processes.started(session.pid)
        self.sessions.by_key[agent, number] = session
        self.sessions.watch(session)
        self.selector.register(report, selectors.EVENT_READ, lambda: self._began(session, report))

    def _began(self, session: KeptSession, report: int) -> None:
        """The launcher has started the agent, or failed to; a failure is in `exit.json` too."""
        text = os.read(report, 4096).decode(errors="replace")
        self.selector.unregister(report)
        os.close(report)
        if text == "started":
            session.info = files.read_json(os.path.join(session.folder, "launcher.json")) or {}
            for peer in self.peers:
                if peer.is_subscribed:
                    self._launched(peer, session)

    def _launched(self, peer: Connection, session: KeptSession) -> None:
        if session.exit is not None:
            peer.put("exited", agent=session.agent, session=session.number, **session.exit)
        elif session.info:
            info = session.info
            peer.put(
                "launched",
                agent=session.agent,
                session=session.number,
                pid=info["agent_pid"],
                level=info["level"],
                mechanisms=info["mechanisms"],
            )

    def _give(self, peer: Connection, order: dict[str, Any]) -> None:
        session = self.sessions.by_key.get((order["agent"], order["session"]))
        number = int(order["prompt"])
        if session is None or session.exit is not None or len(session.giving) >= GIVEN_MAX:
            self._refuse(peer, order, "the session does not run" if session is None else "too many prompts wait")
        elif number <= session.given:
            peer.put("given", agent=session.agent, session=session.number, prompt=number)
        elif not any(number == waiting for waiting, _ in session.giving):
            session.giving.append((number, order["text"].encode()))
            self.sessions.give_on(session)

    def _interrupt(self, _peer: Connection, order: dict[str, Any]) -> None:
        session = self._running(order)
        if session is not None:
            processes.kill(session.pid, signal.SIGUSR1)

    def _end(self, peer: Connection, order: dict[str, Any]) -> None:
        session = self._running(order)
        if (order["agent"], order["session"]) not in self.sessions.by_key:
            end = {"status": None, "signal": 0, "reason": "stopped", "is_clear": True}
            peer.put("exited", agent=order["agent"], session=order["session"], **end)
        if session is not None:
            grace = {"grace_s": order["grace_s"], "reason": order.get("reason", "stopped")}
            files.write_json(os.path.join(session.folder, "end.json"), grace)
            processes.kill(session.pid, signal.SIGTERM)

    def _running(self, order: dict[str, Any]) -> KeptSession | None:
        session = self.sessions.by_key.get((order["agent"], order["session"]))
        return session if session is not None and session.exit is None and session.pid else None

    def _forget(self, _peer: Connection, order: dict[str, Any]) -> None:
        key = order["agent"], order["session"]
        session = self.sessions.by_key.get(key)
        if session is not None and session.exit is not None:
            files.write_whole(os.path.join(session.folder, "noted"), b"")
            del self.sessions.by_key[key]

    def _write(self, _peer: Connection, order: dict[str, Any]) -> None:
        workspace = os.path.join(self.root, "agents", order["agent"])
        files.make_workspace(workspace, order.get("uid"))
        files.write_beneath(workspace, order["name"], order["text"].encode(), 0o644)

    def _read(self, peer: Connection, order: dict[str, Any]) -> None:
        workspace = os.path.join(self.root, "agents", order["agent"])
        text = read_file(workspace, order["path"], order["bytes_max"])
        peer.put("content", text=text, **{name: order.get(name) for name in ("agent", "session", "path", "for")})

    def _ping(self, peer: Connection, _order: dict[str, Any]) -> None:
        peer.put("pong", pid=os.getpid())

    def _down(self, peer: Connection, order: dict[str, Any]) -> None:
        running = self.sessions.running()
        if order.get("stop_agents"):
            for each in running:
                self._end(peer, {"agent": each.agent, "session": each.number, "grace_s": order["grace_s"]})
        peer.put("down", running=len(running))
        self.is_ending = not running

    def _close_all(self) -> None:
        """In a launcher: close what belongs to the keeper."""
        for key in list(self.selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        for each in self.sessions.by_key.values():
            if each.fifo >= 0:
                os.close(each.fifo)
        self.selector.close()


def _owner(plan: LaunchPlan) -> int | None:
    """The user whom workspace and token belong to, where that is another one."""
    return plan.uid if plan.level != "none" and os.geteuid() == 0 else None


def _with_token(plan: LaunchPlan, folder: str) -> LaunchPlan:
    """The plan with what the agent's environment says about its token."""
    variables = {"AISM_TOKEN_FILE": os.path.join(plan.workspace, ".aism", "token")}
    if plan.level == "none":
        variables["AISM_TOKEN"] = (files.read_json(os.path.join(folder, "token.json")) or {}).get("token", "")
    return plan._replace(environment={**plan.environment, **variables})


def main() -> None:
    """Keep the agents of the root in the first argument; the second is the folder of the socket."""
    root, folder = sys.argv[1:3]
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not inherited by launchers, as that of `flock` is
    except OSError:
        return  # another one was sooner
    path = os.path.join(folder, "keeper")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        mask = os.umask(0o177)
        listener.bind(path)
        os.umask(mask)
        listener.listen(16)
        listener.setblocking(False)
        files.write_json(os.path.join(root, "engine", "keeper.json"), {"socket": path, "pid": os.getpid()})
        Keeper(root, listener).run()
        os.unlink(path)
