"""Files of an agent's workspace, read without following a link out of it."""

from __future__ import annotations

import os
import stat

from .files import folder_fd


def read_file(workspace: str, path: str, bytes_max: int) -> str:
    """The text of a regular file in the workspace. Raises OSError or ValueError: not there, a link, too large."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise ValueError(f"{path!r} is not a relative path inside the workspace")
    with folder_fd(workspace) as top:
        fd = _opened(os.dup(top), parts)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{path!r} is not a regular file")
        if found.st_size > bytes_max:
            raise ValueError(f"{path!r} has {found.st_size} bytes; {bytes_max} are allowed")
        with os.fdopen(os.dup(fd), "rb") as file:
            return file.read(bytes_max).decode()
    finally:
        os.close(fd)


def _opened(folder: int, parts: list[str]) -> int:
    """Open component by component. Closes `folder`."""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        kind = os.O_NONBLOCK if last else os.O_DIRECTORY  # a FIFO would block
        try:
            inner = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder
