"""The launcher of one session: a fork of the keeper, which starts the agent, and stays its parent until it has exited.

It holds the FIFO that is the agent's standard input open in both directions, so the agent never reads an end of file,
whoever writes prompts dies. It is the subreaper of all that the agent starts: when the agent has exited, or has to,
the whole tree goes. What happened is written to `exit.json` last.

SIGTERM has it stop the agent, with the grace in the plan; SIGUSR1 interrupts the agent.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from typing import Any, Final, NoReturn

from host.live.lifeline import PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, become_subreaper, prctl
from host.live.spawn.title import show_name

from . import files, limits, processes
from .isolation import LaunchPlan, command_line, delete_container
from .output import Output

OUTPUT_BYTES_S: Final = 1 << 20
TICK_S: Final = 1.0
RUNC: Final = "runc"


class Launcher:
    """The process of one session."""

    def __init__(self, plan: LaunchPlan, folder: str, group: str) -> None:
        self.plan = plan
        self.folder = folder
        self.group = group
        self.agent = 0
        self.statuses: dict[int, int] = {}
        self.reason = ""
        self.kill_at: float | None = None
        self.began = time.monotonic()
        self.wake, self._wake_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self, report: int) -> None:
        """Start the agent, write a line to `report`, and live until the agent has exited."""
        os.setsid()
        show_name(f"aism:{self.plan.agent}")
        become_subreaper()
        self._listen()
        self.groups = limits.Groups(self.group, {} if self.plan.level == RUNC else self.plan.limits)
        mechanisms = dict.fromkeys(
            (n for n in self.plan.limits if n in ("memory_bytes", "cpu_percent", "pids")), "control group of runc"
        )
        self.mechanisms = limits.mechanisms(
            self.plan.limits, mechanisms if self.plan.level == RUNC else self.groups.mechanisms
        )
        path = os.path.join(self.folder, "stdin")
        self._held = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        problem = self._start(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        if not problem:
            self._record()
        os.write(report, (problem or "started").encode())
        os.close(report)
        if problem:
            self.reason = f"refused: {problem}"
        else:
            self._follow()
        self._finish()

    def _listen(self) -> None:
        signal.set_wakeup_fd(self._wake_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, lambda _number, _frame: None)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    def _start(self, fifo: int) -> str:
        """Start the agent. Returns why that was not possible, or ""."""
        argv, uid = command_line(self.plan, self.folder, self.group)
        ends = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
        (out, out_end), (err, err_end), (status, status_end) = ends
        self.agent = os.fork()
        if self.agent == 0:
            self._become_agent(argv, uid, (fifo, out_end, err_end), status_end)
        for end in (fifo, out_end, err_end, status_end):
            os.close(end)
        rate = self.plan.limits.get("output_bytes_s", OUTPUT_BYTES_S)
        self.outputs = [
            Output(os.path.join(self.folder, name), fd, rate) for name, fd in (("stdout.log", out), ("stderr.log", err))
        ]
        for fd in (out, err):
            os.set_blocking(fd, False)
        with os.fdopen(status, "rb") as told:
            return told.read().decode(errors="replace")

    def _become_agent(self, argv: list[str], uid: int | None, streams: tuple[int, int, int], told: int) -> NoReturn:
        """In the child: bind limits, become the user, and run the program; on failure, report and exit."""
        try:
            os.setsid()
            self.groups.join()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            for stream, fd in enumerate(streams):
                os.dup2(fd, stream)
            limits.set_rlimits(self.plan.limits)
            os.chdir(self.plan.workspace)
            if uid is not None:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            if self.plan.level == "uid":
                prctl(PR_SET_NO_NEW_PRIVS, 1)
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.execvpe(argv[0], argv, self.plan.environment)
        except BaseException as error:
            os.write(told, _failure(error, argv[0], uid).encode())
        os._exit(127)

    def _record(self) -> None:
        files.write_json(
            os.path.join(self.folder, "launcher.json"),
            {
                "pid": os.getpid(),
                "started": processes.started(os.getpid()),
                "agent_pid": self.agent,
                "agent_started": processes.started(self.agent),
                "level": self.plan.level,
                "mechanisms": self.mechanisms,
                "group": self.group,
            },
        )

    def _follow(self) -> None:
        """Read output, watch limits and obey signals, until the agent has exited."""
        poll_at = time.monotonic() + TICK_S
        while self.agent not in self.statuses:
            now = time.monotonic()
            readable = [each.fd for each in self.outputs if each.may_read()]
            until = min([poll_at, *([self.kill_at] if self.kill_at else [])])
            is_held = len(readable) < sum(each.is_open for each in self.outputs)
            found, _, _ = select.select([self.wake, *readable], [], [], 0.05 if is_held else max(0.0, until - now))
            if self.wake in found:
                self._obey(os.read(self.wake, 512))
            for each in self.outputs:
                if each.fd in found:
                    each.read()
            now = time.monotonic()
            if self.kill_at is not None and now >= self.kill_at:
                self._end_tree()
            if now >= poll_at:
                poll_at = now + TICK_S
                self._watch(now)

    def _obey(self, numbers: bytes) -> None:
        processes.reap(os.getpid(), self.statuses)
        if signal.SIGTERM in numbers and self.kill_at is None:
            told = files.read_json(os.path.join(self.folder, "end.json")) or {}
            self.reason = str(told.get("reason", "stopped"))
            self.kill_at = time.monotonic() + float(told.get("grace_s", self.plan.grace_s))
            self._signal(signal.SIGTERM)
        if signal.SIGUSR1 in numbers:
            self._signal(signal.SIGINT)

    def _signal(self, number: int) -> None:
        """Signal the agent. What confines it passes no signals on, so its processes get them one by one."""
        if self.plan.level != "bwrap":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.agent, number)
            return
        for pid in processes.descendants(os.getpid()):
            if processes.command_name(pid) != "bwrap":
                processes.kill(pid, number)

    def _watch(self, now: float) -> None:
        """Look at the limits that nobody else enforces."""
        bounds = self.plan.limits
        if "wall_s" in bounds and now - self.began > bounds["wall_s"]:
            self._kill("wall")
        for name, used in (("memory_bytes", processes.memory_bytes), ("pids", len)):
            if name in bounds and limits.is_polled(self.mechanisms.get(name)):
                tree = processes.descendants(os.getpid())
                if used(tree) > bounds[name]:
                    self._kill(name.removesuffix("_bytes"))

    def _kill(self, reason: str) -> None:
        self.reason = self.reason or reason
        self._end_tree()

    def _end_tree(self) -> None:
        self.kill_at = None
        if self.plan.level == RUNC:
            delete_container(self.group)
        self.groups.kill()
        self.is_clear = processes.end_tree(os.getpid(), self.statuses)

    def _finish(self) -> None:
        """End what the agent left, and write what happened."""
        kills = self.groups.memory_kills()
        self._end_tree()
        for each in self.outputs:
            each.drain()
        code, number = _exit_of(self.statuses.get(self.agent), self.plan.level)
        if kills and not self.reason:
            self.reason = "memory"
        self.groups.remove()
        files.remove_beneath(self.plan.workspace, "token")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.folder, "token.json"))
        files.write_json(
            os.path.join(self.folder, "exit.json"),
            {
                "status": code,
                "signal": number,
                "reason": self.reason or ("signal" if number else "exited"),
                "is_clear": self.is_clear,
                "output_bytes": sum(each.total for each in self.outputs),
                "lived_s": round(time.monotonic() - self.began, 3),
            },
        )


def _exit_of(status: int | None, level: str) -> tuple[int | None, int]:
    """The exit status and the signal of an agent. A container's status tells a signal as 128 and its number."""
    if status is None:
        return None, 0
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return None, -code
    if level in ("bwrap", RUNC) and 128 < code < 128 + signal.NSIG:
        return None, code - 128
    return code, 0


def _failure(error: BaseException, program: str, uid: int | None) -> str:
    reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else repr(error)
    if uid is not None and isinstance(error, OSError) and error.errno == errno.EACCES:
        return f"user {uid} may not run {program}, or cannot reach its folder: {reason}"
    return f"cannot run {program}: {reason}"


def begin(plan: LaunchPlan, folder: str, group: str, closing: Any) -> tuple[int, int]:
    """Fork a launcher. Returns its process id, and a descriptor that becomes readable once the agent runs, or cannot.

    `closing` is called in the launcher, and closes what belongs to the keeper.
    """
    report, report_end = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid:
        os.close(report_end)
        return pid, report
    try:
        os.close(report)
        closing()
        Launcher(plan, folder, group).run(report_end)
    except BaseException as error:
        files.write_json(os.path.join(folder, "exit.json"), _broken(error))
    finally:
        os._exit(0)


def _broken(error: BaseException) -> dict[str, Any]:
    return {"status": None, "signal": 0, "reason": f"refused: {error!r}", "is_clear": False, "output_bytes": 0}
