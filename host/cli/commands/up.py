"""`enginehost up`: start a node from a file.

Detached (`-d`), the command ends when every engine is ready. In the foreground it then shows the notes of engines,
until Ctrl-C or the node's end; the supervisor drains the node when the command ends. A node that does not become ready
is stopped before the command returns, so a failed `up` leaves nothing running.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec

from host.cli.already import await_instance, show_running
from host.cli.astray import find_switched, given_path
from host.cli.node_file import check_node_file, load_node_file, node_file
from host.cli.output import Items, Unwritten, abandon_stdout, diagnose, emit
from host.cli.problem import CliError
from host.cli.settings import BEGUN, common, settings
from host.cli.table import Column, render_table
from host.cli.units import duration, show_duration
from host.live.control.instances import known_instances, listening_pid, running_instance
from host.live.control.protocol import ControlError
from host.program import command as program

if TYPE_CHECKING:
    from host.config.spec import NodeSpec
    from host.live.control.begin import Begun
    from host.live.control.launch import Launch
    from host.live.control.protocol import Response

READY_NS = 30_000_000_000
"""Default time for engines to become ready, imports included."""

LINES_MAX = 10_000
"""Notes from before the node was up that are shown: as many as the node keeps."""

COLUMNS = (Column("ENGINE"), Column("READY"), Column("PID", number=True))


@click.command("up")
@click.argument("config", required=False, type=click.Path())
@click.option("-d", "--detach", is_flag=True, help="Return when every engine is ready; the node keeps running.")
@click.option("--inline", is_flag=True, help="Run everything in this process, without deadlines, for a debugger.")
@click.option("--timeout", type=duration, default=READY_NS, metavar="DURATION", help="Time limit for the start (30s).")
@click.option("--watch", is_flag=True, help="Reload the engines whose sources are saved (as `reload --watch`).")
@click.option("--without-damaged", is_flag=True, help="Start even if logs cannot be used; their engines stay degraded.")
@common
def command(config: str | None, detach: bool, inline: bool, timeout: int, watch: bool, without_damaged: bool) -> None:
    """Start the node that CONFIG describes, unless it already runs.

    In the foreground the first Ctrl-C drains and ends the node, the second kills it.
    """
    if detach and inline:
        raise click.UsageError("--inline runs the node in this process, so it cannot be detached")
    if watch and (detach or inline):
        raise click.UsageError(
            "--watch stays in the foreground; a running node is watched by `enginehost reload --watch`"
        )
    path = node_file(config)
    if running := running_instance(path) or find_switched(path):
        show_running(running, load_node_file(path), timeout)
    elif inline:
        from host.live.inline import run

        run(load_node_file(path))
    else:
        _start(path, detach, timeout, without_damaged, watch)


def _start(path: str, detach: bool, timeout: int, without_damaged: bool, watch: bool) -> None:
    """The supervisor's process starts first: it imports its modules while the file is read."""
    from host.live.control.launch import Launch

    begun = time.monotonic_ns()
    signal.signal(signal.SIGTERM, _interrupt)
    with Launch(attached=not detach, begun=_begun(attached=not detach)) as launch:
        spec = msgspec.structs.replace(load_node_file(path), without_damaged=without_damaged)
        launch.give(msgspec.structs.replace(spec, given=given_path(path)))
        try:
            node = wait_ready(launch, spec, timeout)
        except CliError as e:
            launch.stop(signal.SIGTERM, signal.SIGKILL)
            if e.problem.error == "conflict" and (other := await_instance(path)) is not None:
                show_running(other, spec, timeout)
                return
            _explain(e, path)
            raise
        except Terminated:
            if launch.stop(signal.SIGTERM, signal.SIGKILL) != 0 or detach:
                raise
            return
        except BaseException:
            launch.stop(signal.SIGTERM, signal.SIGKILL)
            raise
        node["took_ns"] = time.monotonic_ns() - begun
        if detach:
            _remark(spec, node)
            emit("node", [node], render_node)
        else:
            with watching(path) if watch else nullcontext():
                _stay(launch, spec, node)


@contextmanager
def watching(path: str) -> Iterator[None]:
    """Beside the block, another command watches the sources: it forks, and this process has to follow the logs."""
    import subprocess

    asked = ["reload", "--watch", "-f", path, *(["--json"] if settings().json else [])]
    process = subprocess.Popen(program("host.entry", *asked), stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _remark(spec: NodeSpec, node: dict[str, Any]) -> None:
    """What a user should know of a node that is up."""
    _tell_of_namesakes(spec)
    if spec.transport.local == "auto" and not node.get("native", True):
        diagnose("links are ZeroMQ, not shared memory, which is faster (enginehost doctor shows why)")


def _tell_of_namesakes(spec: NodeSpec) -> None:
    """Nodes are identified by their files; of two nodes with one name, one was probably left running by mistake."""
    for other in known_instances():
        if other.node == spec.node and other.config != spec.path and listening_pid(other.control) is not None:
            where = f"{other.config}, pid {other.pid}"
            diagnose(f"another node named {other.node} is running ({where}): choose with -f, or stop it")


def _begun(*, attached: bool) -> Begun | None:
    """The supervisor started before the command line was parsed, if it is of the right kind."""
    begun: Begun | None = click.get_current_context().meta.pop(BEGUN, None)
    if begun is not None and begun.attached != attached:
        begun.close()
        return None
    return begun


def _explain(error: CliError, path: str) -> None:
    """If engines failed because of the node file, raise the mistake with its place in the file (exit 3).

    Only after a failure, because the supervisor has inspected the families already, and this inspects them again.
    """
    if any(item.get("failed") for item in error.problem.items if item["reason"] != "journal"):
        check_node_file(path)


def wait_ready(launch: Launch, spec: NodeSpec, timeout: int) -> dict[str, Any]:
    """The item of the node. Raises `CliError` with an item for each engine that is not ready."""
    pids: dict[str, Any] = {}
    failures: dict[str, dict[str, Any]] = {}
    try:
        for response in launch.progress(timeout):
            if response.kind == "ready":
                pids |= {i["engine"]: i.get("pid") for i in response.items}
            elif response.kind == "failed" and not response.last:
                failures |= {i["engine"]: i for i in response.items}
            elif response.error:
                if response.items and "data" in response.items[0]:
                    raise _no_place(response, spec.path)
                failures |= {i["engine"]: i for i in response.items if "engine" in i}
                _fail(response.error, response.message, spec, pids, failures)
            else:
                first: dict[str, Any] = response.items[0] if response.items else {}
                engines = [{"engine": e.name, "pid": pids[e.name]} for e in spec.engines if e.name in pids]
                return {"node": spec.node, "config": spec.path, **first, "already": False, "ready": engines}
    except ControlError as e:
        _fail("not_ready", e.message, spec, pids, failures)
    raise AssertionError("progress ends with a last packet or an error")


def _no_place(response: Response, path: str) -> CliError:
    """The data folder is not writable; with its place in the file, if the file names it."""
    from host.config.finding import Finding
    from host.config.load import read_node_file

    item = response.items[0]
    file = read_node_file(path)
    if file.document.place(("data",)) == file.document.place(()):
        return CliError(response.error, response.message, (item,))
    text = f"the node's data cannot be kept in {item['data']}: {item['reason']}"
    problem = file.document.problem(Finding(("data",), text, item["advice"]))
    where = {"file": path, "line": problem.line, "column": problem.column}
    return CliError(response.error, f"{path}: no place for the node's data", ({**item, **where},), str(problem))


def _fail(
    error: str, message: str, spec: NodeSpec, pids: dict[str, Any], failures: dict[str, dict[str, Any]]
) -> NoReturn:
    if error != "not_ready":
        raise CliError(error, message)
    waiting = {e.name: "no report from its process" for e in spec.engines if e.name not in pids}
    reasons = {**waiting, **{name: str(f.get("reason", "")) for name, f in failures.items()}}
    items = tuple(
        {"engine": name, "message": f"{name}: {why}", "reason": why, "failed": name in failures}
        | {"detail": failures.get(name, {}).get("detail", "")}
        for name, why in reasons.items()
    )
    raise CliError(error, message, items, render_readiness([e.name for e in spec.engines], pids, reasons, failures))


def render_readiness(
    names: list[str], pids: dict[str, Any], reasons: dict[str, str], failures: dict[str, dict[str, Any]]
) -> str:
    """One line per engine of the file: ready, or why not; below them, the output of failed ones."""
    width = max(map(len, names), default=0)
    lines = [
        f"{n.ljust(width)}  {f'not ready: {reasons[n]}' if n in reasons else f'ready, pid {pids[n]}'}" for n in names
    ]
    details = [f"\n{n}:\n{str(f['detail']).rstrip()}" for n, f in failures.items() if f.get("detail")]
    return "\n".join([*lines, *details])


def render_node(items: Items) -> str:
    """The engines with their processes, and a last line for the node."""
    (node,) = items
    engines, degraded = node["ready"], node.get("degraded", [])
    rows = [[e["engine"], "yes", str(e.get("pid") or "-")] for e in engines]
    rows += [[e["engine"], "degraded", "-"] for e in degraded]
    count = f"{len(engines)} engine{'' if len(engines) == 1 else 's'}"
    why = "".join(f"\n{e['engine']}: {e['fault']}" for e in degraded)
    return f"{render_table(COLUMNS, rows)}{why}\nnode {node['node']} is up: {count} in {show_duration(node['took_ns'])}"


def _stay(launch: Launch, spec: NodeSpec, node: dict[str, Any]) -> None:
    """Show the notes of engines until the node ends. Raises `CliError` if it fails, `KeyboardInterrupt` if killed.

    If the reader of stdout is gone, the node ends: BrokenPipeError.
    """
    try:
        _remark(spec, node)
        _show("node", [node], render_node)
        _show_logs(spec)
        code = launch.stop()
    except KeyboardInterrupt:
        code = _drain(launch)
    except Unwritten as error:
        launch.close()
        launch.stop()
        raise BrokenPipeError from error
    if code != 0:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        raise CliError("failed", f"the supervisor {how}")


def _show_logs(spec: NodeSpec) -> None:
    from host.cli.commands.lines import render_lines
    from host.live.control.client import Client

    instance = running_instance(spec.path)
    if instance is None:
        return
    with Client(instance.control) as client:
        for response in client.follow("logs", {"engine": None, "follow": True, "limit": LINES_MAX}):
            if response.items:
                _show("log", response.items, render_lines)


def _show(kind: str, items: Items, render: Callable[[Items], str]) -> None:
    """A full disk behind stdout ends the output, not the node. Raises `Unwritten` if the reader is gone."""
    try:
        emit(kind, items, render)
    except Unwritten as error:
        if error.is_closed_pipe:
            raise
        abandon_stdout()
        diagnose(f"enginehost: {error}; the node keeps running, without further output")


def _drain(launch: Launch) -> int:
    """Let the node handle its waiting messages. Closing the launch starts the drain, unless Ctrl-C already did."""
    diagnose("draining; Ctrl-C again kills")
    launch.close()
    try:
        return launch.stop()
    except KeyboardInterrupt:
        launch.stop(signal.SIGINT, signal.SIGKILL)
        raise


class Terminated(KeyboardInterrupt):
    """SIGTERM: a polite Ctrl-C. A node that ends in order ends the command with exit code 0, ready by then or not."""


def _interrupt(_number: int, _frame: object) -> None:
    """SIGTERM acts like Ctrl-C."""
    raise Terminated
