"""A log: appends lines to a file, each with its time and sender, and reads the last ones back.

The driver writes within its own task; a line is short, and the operating system buffers it, so nothing waits for the
disk. A line is in the file once `Written` is sent; it survives a crash of the node, but not a loss of power.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final, TextIO

import msgspec

from engines.model import (
    Arrived,
    Become,
    Config,
    Device,
    DeviceHost,
    Effects,
    Family,
    Message,
    Ref,
    Send,
    Value,
    rule,
)

LINES_MAX: Final = 1000
"""Lines a `ReadLines` gets at most, and lines the twin keeps."""


class LogFile(Config):
    """The file; a relative path begins at the folder in which the node was started. Missing folders are made."""

    path: str


class WriteLine(Message):
    """Append `text`; then send `Written` to `destination`, if there is one."""

    text: str
    destination: Ref[Written] | None = None


class Written(Message):
    """The line is in the log."""

    text: str


class ReadLines(Message):
    """Send the last `count` lines to `destination`."""

    destination: Ref[Lines]
    count: int = 10


class Line(Value):
    """A line of the log: when it was written, its sender, its text."""

    time_ns: int
    sender: str
    text: str


class Lines(Message):
    """Lines of the log, the oldest first."""

    lines: tuple[Line, ...]


class Log:
    """The driver: one JSON object a line, flushed. While an answer finds no room, mail waits and senders stop."""

    async def run(self, host: DeviceHost) -> None:
        """Run until cancelled, which closes the file. Raises OSError when the file cannot be written or read."""
        path = Path(host.config.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            while True:
                mail = await host.receive()
                match mail.message:
                    case WriteLine(text, destination):
                        self._write(file, Line(host.now_ns(), mail.sender, text))
                        if destination is not None:
                            await host.send_when_writable(destination, Written(text))
                    case ReadLines(destination, count):
                        await host.send_when_writable(destination, Lines(last_lines(path, count)))

    def _write(self, file: TextIO, line: Line) -> None:
        file.write(msgspec.json.encode(line).decode() + "\n")
        file.flush()


def last_lines(path: Path, count: int) -> tuple[Line, ...]:
    """The last lines of a log file. Raises OSError, and msgspec.DecodeError for a line of another form."""
    with path.open(encoding="utf-8") as file:
        return tuple(msgspec.json.decode(line, type=Line) for line in deque(file, _bounded(count)))


def _bounded(count: int) -> int:
    return max(0, min(count, LINES_MAX))


class Kept(Value):
    """State of the twin: the lines, the latest `LINES_MAX`."""

    lines: tuple[Line, ...] = ()


@rule
def write(order: WriteLine, t: Arrived[WriteLine, LogFile, Kept]) -> Effects[Kept, Written | Lines]:
    """Twin. State: one line more. Messages: `Written`, if asked for. Timers, engines: none."""
    kept = Kept((*t.env.state.lines, Line(t.now_ns, t.sender, order.text))[-LINES_MAX:])
    return [Become(kept), *([Send(order.destination, Written(order.text))] if order.destination else [])]


@rule
def read(request: ReadLines, t: Arrived[ReadLines, LogFile, Kept]) -> Effects[Kept, Written | Lines]:
    """Twin. State: none. Messages: the last lines, to the destination. Timers, engines: none."""
    lines = t.env.state.lines
    return Send(request.destination, Lines(lines[len(lines) - min(_bounded(request.count), len(lines)) :]))


TWIN = Family("log-twin", config=LogFile, state=Kept(), accepts=WriteLine | ReadLines, emits=Written | Lines).rules(
    write, read
)
LOG = Device("log", config=LogFile, accepts=WriteLine | ReadLines, emits=Written | Lines, driver=Log, twin=TWIN)
