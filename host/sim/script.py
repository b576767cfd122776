"""Scripts as text: what is done to a world, a command a line, and below each what it brought about, indented.

    send ENGINE[#MAILBOX] MESSAGE FIELD=VALUE…    from outside; it is on its way, and time stands still
    deliver FROM>TO [N]                           hand over the next N messages (1), and let the receiver run
    drop FROM>TO [N]                              lose them
    stabilize                                     let time pass until only timers of engines are left to wait for
    tick DURATION                                 let so much time pass
    crash ENGINE [PLACE]                          kill its process, at a place of a cycle (commit) that takes the mail
                                                  on its way to it
    reload ENGINE [FAMILY]                        begin to replace its code
    partition ENGINE,… DURATION                   cut processes off from the others
    node                                          kill all processes; the node starts again with its logs
    power                                         the same, without what no log had synced
    answer ENGINE CHOICE                          answer a question
    state ENGINE, timers ENGINE, transit          show

FROM and TO are engines, the first of those that share a process, or `outside`. A line that begins with `#`, and an
empty one, stays where it is. Messages pass a network as with the fault `loss`, so that one of them can be dropped.

The form is that of etcd's raft (`testdata/*.txt`): the whole trace is the expectation, and is written anew on request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from engines.model import view
from host.config.units import UnitError
from host.sim.families import SimError

if TYPE_CHECKING:
    from host.sim.world import World

INDENT: Final = "  "


class ScriptLine(msgspec.Struct, frozen=True):
    """A line of a script, and the output that is written below it. `words` is empty for a comment."""

    number: int
    text: str
    words: tuple[str, ...]
    output: tuple[str, ...] = ()


class ScriptError(SimError):
    """A line that is no command, or cannot be done; says which, and why."""

    def __init__(self, line: ScriptLine, reason: str) -> None:
        super().__init__(f"line {line.number}: `{line.text}`: {reason}")


def parse_script(text: str) -> list[ScriptLine]:
    """The lines of a script with their outputs."""
    lines: list[ScriptLine] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(INDENT) and lines:
            last = lines[-1]
            lines[-1] = msgspec.structs.replace(last, output=(*last.output, line[len(INDENT) :]))
        else:
            words = () if line.lstrip().startswith("#") else tuple(line.split())
            lines.append(ScriptLine(number, line, words))
    return lines


def play(world: World, lines: Iterable[ScriptLine]) -> list[ScriptLine]:
    """Perform a script; returns its lines with what they brought about. Raises `ScriptError`.

    The world must keep a trace.
    """
    played: list[ScriptLine] = []
    for line in lines:
        before = len(world.record.trace or ())
        shown = perform(world, line) if line.words else []
        trace = (world.record.trace or [])[before:]
        played.append(msgspec.structs.replace(line, output=(*trace, *shown)))
    return played


def rendered(lines: Sequence[ScriptLine]) -> str:
    """A script as text, with its outputs."""
    return "".join(f"{line.text}\n" + "".join(f"{INDENT}{out}\n" for out in line.output) for line in lines)


def perform(world: World, line: ScriptLine) -> list[str]:
    """Perform a line; what it shows beside the trace. Raises `ScriptError`."""
    command, *arguments = line.words
    known = _COMMANDS.get(command)
    if known is None:
        raise ScriptError(line, f"there is no command `{command}`; there are {', '.join(_COMMANDS)}")
    least, most, act = known
    if not least <= len(arguments) <= most:
        raise ScriptError(line, f"`{command}` takes {least if least == most else f'{least} to {most}'} arguments")
    try:
        return act(world, arguments) or []
    except KeyError as error:
        raise ScriptError(line, str(error.args[0])) from None
    except (SimError, UnitError) as error:
        raise ScriptError(line, str(error)) from None


def _send(world: World, arguments: list[str]) -> None:
    target, tag, *fields = arguments
    world.send_text(target, tag, *fields)


def _deliver(world: World, arguments: list[str]) -> None:
    world.deliver(*_way(arguments))


def _drop(world: World, arguments: list[str]) -> None:
    world.drop(*_way(arguments))


def _way(arguments: list[str]) -> tuple[str, str, int]:
    source, arrow, target = arguments[0].partition(">")
    count = arguments[1] if len(arguments) > 1 else "1"
    if not (arrow and source and target) or not count.isdecimal():
        raise SimError("write FROM>TO and a number")
    return source, target, int(count)


def _crash(world: World, arguments: list[str]) -> None:
    world.crash(*arguments)  # type: ignore[arg-type]


def _partition(world: World, arguments: list[str]) -> None:
    world.partition(arguments[0].split(","), arguments[1])


def _transit(world: World, _arguments: list[str]) -> list[str]:
    return [f"{one.sender} > {one.target}: {one.message!r}" for one in world.view().in_transit] or ["nothing"]


def _state(world: World, arguments: list[str]) -> list[str]:
    return [msgspec.json.encode(view(world.state(arguments[0]))).decode()]


def _timers(world: World, arguments: list[str]) -> list[str]:
    pending = sorted((one.deadline_ns, name) for name, one in world.env(arguments[0]).timers.items())
    return [f"{name} in {(deadline_ns - world.now_ns) / 1e6:g} ms" for deadline_ns, name in pending] or ["none"]


Act = Callable[["World", list[str]], "list[str] | None"]
_COMMANDS: Final[dict[str, tuple[int, int, Act]]] = {
    "send": (2, 1_000, _send),
    "deliver": (1, 2, _deliver),
    "drop": (1, 2, _drop),
    "stabilize": (0, 0, lambda world, _: world.stabilize()),
    "tick": (1, 1, lambda world, arguments: world.run(arguments[0])),
    "crash": (1, 2, _crash),
    "reload": (1, 2, lambda world, arguments: world.reload(*arguments)),
    "partition": (2, 2, _partition),
    "node": (0, 0, lambda world, _: world.kill_node()),
    "power": (0, 0, lambda world, _: world.lose_power()),
    "answer": (2, 2, lambda world, arguments: world.answer(*arguments)),
    "state": (1, 1, _state),
    "timers": (1, 1, _timers),
    "transit": (0, 0, _transit),
}
"""By word: the least and the most arguments, and what it does."""
