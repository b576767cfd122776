"""Labels the output of engines, line by line, with the process that printed it.

Standard output and error of all processes of a node are one file, opened for appending: no print ever waits for a
reader, and output printed before a kill survives it. A line of a worker begins with its label in brackets; output of C
code or another program has none. The supervisor reads the file back (`host.live.supervisor.printed`).
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
        """Write all of it in one system call: lines of several processes stay whole."""
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
    """From now on standard output and error of this process, and of its forks, are written by labelled lines."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        raw = io.BufferedWriter(LabelledLines(fd))
        setattr(sys, name, io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True))


def be_labelled(label: str) -> None:
    """Mark the output of this process with `label`; "" for no mark."""
    LabelledLines.label = LABEL_BEGIN + label.encode() + LABEL_END if label else b""


def split_label(line: str) -> tuple[str, str]:
    """The label of a line, "" if it has none, and its text."""
    begin, end = LABEL_BEGIN.decode(), LABEL_END.decode()
    label, found, text = line.partition(end)
    return (label.removeprefix(begin), text) if found and line.startswith(begin) else ("", line)
