"""What engines print, line by line, with the name of the process that printed it.

Standard output and error of all processes of a node are one file, opened for appending, so that no print ever waits
for anybody and what was printed before a kill is there after it. A line of a worker begins with its label in brackets;
what C code or another program writes has none. The supervisor reads the file back (`host.live.supervisor.printed`).
"""

from __future__ import annotations

import io
import os
import sys
from typing import Final

LABEL_BEGIN: Final = b"["
LABEL_END: Final = b"] "


class LabelledLines(io.RawIOBase):
    """A raw stream to a descriptor that puts this process's label before each line. A child of a fork has its own."""

    label = b""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._is_begin = True

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: object) -> int:
        """All of it, in one call of the system, so that lines of several processes stay whole."""
        body = bytes(data)  # type: ignore[call-overload]
        if body:
            os.write(self._fd, self._labelled(body))
        return len(body)

    def _labelled(self, body: bytes) -> bytes:
        if not self.label:
            return body
        is_begin, self._is_begin = self._is_begin, body.endswith(b"\n")
        lines = body.splitlines(keepends=True) if b"\n" in body else [body]
        first = lines[0] if not is_begin else self.label + lines[0]
        return first + b"".join(self.label + line for line in lines[1:])


def label_output() -> None:
    """From now on standard output and error of this process, and of those it forks, come line by line."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        raw = io.BufferedWriter(LabelledLines(fd))
        setattr(sys, name, io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True))


def be_labelled(label: str) -> None:
    """What this process prints is marked with `label`; "" for not at all."""
    LabelledLines.label = LABEL_BEGIN + label.encode() + LABEL_END if label else b""


def split_label(line: str) -> tuple[str, str]:
    """The label of a line and its text; "" where it has none."""
    begin, end = LABEL_BEGIN.decode(), LABEL_END.decode()
    label, found, text = line.partition(end)
    return (label.removeprefix(begin), text) if found and line.startswith(begin) else ("", line)
