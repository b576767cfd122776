"""What an agent writes: read from a pipe into a file that is rotated, at a bounded rate."""

from __future__ import annotations

import os
import time
from typing import Final

FILE_BYTES: Final = 4 << 20
FILES: Final = 4
CHUNK: Final = 1 << 16


class Output:
    """One stream. Over the rate it is not read, so that the agent's writes wait."""

    def __init__(self, path: str, fd: int, bytes_s: int) -> None:
        self.fd = fd
        self.total = 0
        self.is_open = True
        self._path = path
        self._bytes_s = bytes_s
        self._credit = float(2 * bytes_s)
        self._filled = time.monotonic()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size

    def may_read(self) -> bool:
        """Whether the rate allows to read on."""
        now = time.monotonic()
        self._credit = min(2.0 * self._bytes_s, self._credit + (now - self._filled) * self._bytes_s)
        self._filled = now
        return self.is_open and self._credit > 0

    def read(self) -> bool:
        """Move what is there into the file. Returns whether there was something."""
        try:
            content = os.read(self.fd, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            content = b""
        if not content:
            self.is_open = False
            return False
        self._credit -= len(content)
        self.total += len(content)
        self._keep(content)
        return True

    def drain(self, at_most: int = FILE_BYTES) -> None:
        """Read what is left, when nobody writes any more."""
        end = self.total + at_most
        while self.total < end and self.read():
            pass

    def _keep(self, content: bytes) -> None:
        if self._size + len(content) > FILE_BYTES:
            self._rotate()
        try:
            os.write(self._file, content)
            self._size += len(content)
        except OSError:
            pass  # a full disk: the agent goes on, its output is lost

    def _rotate(self) -> None:
        os.close(self._file)
        for number in range(FILES - 1, 0, -1):
            newer = f"{self._path}.{number - 1}" if number > 1 else self._path
            if os.path.exists(newer):
                os.rename(newer, f"{self._path}.{number}")
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._size = 0
