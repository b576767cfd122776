"""Turns the output of a node's processes into lines of its log: reads the file they print to as it grows.

The file keeps everything; `logs` shows it in order with the notes of engines. A label that is the name of an engine
becomes the line's engine; any other stays part of the text. If a node prints faster than is read, reading skips to the
end and logs that. The file is bounded: at `OUTPUT_BYTES_MAX` it is copied to `<name>.1` and truncated, which its
appending writers do not notice; a line printed between the two is lost in the file, but not in `logs` if it was read.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Final

from host.live.output import split_label
from host.live.supervisor.records import Record

OUTPUT: Final = "supervisor.log"
"""Name of the file in the data folder."""

OUTPUT_BYTES_MAX: Final = 8 << 20
"""Size at which the file is set aside."""

READ_BYTES_MAX: Final = 256 << 10
"""Size of one read."""

BEHIND_BYTES_MAX: Final = 4 << 20
"""Unread output; beyond this it is skipped."""

LINE_BYTES_MAX: Final = 8 << 10
"""A longer line is split."""


class Printed:
    """Reads one file, from its present end on."""

    def __init__(self, path: str, record: Record, now_ns: Callable[[], int], is_engine: Callable[[str], bool]) -> None:
        """Lines are appended to `record`, which calls `read` before it is read itself."""
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._path = path
        self._record = record
        self._now_ns = now_ns
        self._is_engine = is_engine
        self._at = os.fstat(self._fd).st_size
        self._aside_bytes = OUTPUT_BYTES_MAX
        self._rest = b""
        record.source = self.read

    def read(self) -> None:
        """Take the output printed since the last call."""
        size = os.fstat(self._fd).st_size
        if size == self._at:
            return
        self._skip(size)
        while self._at < size and (data := os.pread(self._fd, READ_BYTES_MAX, self._at)):
            self._at += len(data)
            self._take(data)
        if size > self._aside_bytes:
            self._set_aside(size)

    def _skip(self, size: int) -> None:
        """If another program truncated the file, begin again; if too much was printed, go to the end."""
        if size < self._at:
            self._at, self._rest = 0, b""
        behind = size - self._at
        if behind > BEHIND_BYTES_MAX:
            self._at, self._rest = size - READ_BYTES_MAX, b""
            self._append([f"{behind - READ_BYTES_MAX} bytes of output are in {self._path} only".encode()])

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > LINE_BYTES_MAX:
            lines.append(self._rest[:LINE_BYTES_MAX])
            self._rest = self._rest[LINE_BYTES_MAX:]
        self._append(lines)

    def _append(self, lines: list[bytes]) -> None:
        now_ns = self._now_ns()
        self._record.append([self._item(line.decode(errors="backslashreplace"), now_ns) for line in lines if line])

    def _item(self, line: str, now_ns: int) -> dict[str, object]:
        label, text = split_label(line)
        engine, text = (label, text) if label and self._is_engine(label) else ("", line)
        return {"time": now_ns, "engine": engine, "text": text, "fields": {}, "printed": True}

    def _set_aside(self, size: int) -> None:
        """Copy and truncate the file, all of which was read up to `size`."""
        try:
            shutil.copyfile(self._path, self._path + ".1")
            os.ftruncate(self._fd, 0)
        except OSError:
            self._aside_bytes = size + OUTPUT_BYTES_MAX  # the disk has no room: not at every look
            return
        self._at, self._aside_bytes = 0, OUTPUT_BYTES_MAX
