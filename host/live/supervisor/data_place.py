"""Claims the folder of a node's data, or explains what is wrong with it and what to do."""

from __future__ import annotations

import errno
import os
from typing import Final

from host.live.supervisor.runtime_dir import lock_data

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
IN_THE_WAY: Final = frozenset({errno.EISDIR, errno.ENOTDIR, errno.EEXIST})
"""A folder where a file of ours belongs, or the other way round."""

_ANOTHER: Final = "name another folder as `data`"


class NoPlace(Exception):
    """A folder that cannot keep the data: which one, why, and what to do."""

    def __init__(self, data: str, reason: str, advice: str) -> None:
        super().__init__(f"the node's data cannot be kept in {data}: {reason}; {advice}")
        self.data = data
        self.reason = reason
        self.advice = advice


def take_place(data: str) -> int:
    """Make and lock the folder; the descriptor of the lock. Raises `NoPlace`, `FolderTaken`."""
    try:
        os.makedirs(data, exist_ok=True)
        return lock_data(data)
    except OSError as error:
        raise no_place(data, error) from error


def no_place(data: str, error: OSError) -> NoPlace:
    """Explain an error in this folder to the author of the node file."""
    obstacle = _obstacle(data)
    if os.path.islink(obstacle):
        target = os.readlink(obstacle)
        return NoPlace(data, f"{obstacle} leads to {target}, which is not there", f"make {target}, or {_ANOTHER}")
    if obstacle:
        return NoPlace(data, f"{obstacle} is a file, not a folder", f"move it away, or {_ANOTHER}")
    found = error.strerror or str(error)
    if error.errno in NO_ROOM:
        return NoPlace(data, found, f"make room there, or {_ANOTHER}")
    if error.errno in IN_THE_WAY and isinstance(error.filename, str):
        return NoPlace(data, f"{error.filename}: {found}", f"move away what is in the way there, or {_ANOTHER}")
    return NoPlace(data, found, f"let this user write there, or {_ANOTHER}: one on a disk that can be written")


def _obstacle(path: str) -> str:
    """The first path at or above `path` that exists and is not a folder; "" if there is none."""
    above = os.path.dirname(path)
    if os.path.isdir(path) or above == path:
        return ""
    return path if os.path.lexists(path) else _obstacle(above)
