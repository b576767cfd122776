"""The room on a disk: whether there is less than has to stay free."""

from __future__ import annotations

import os


class DiskRoom:
    """The disk that a folder is on. A folder that is not there has room."""

    def __init__(self, folder: str, reserve_bytes: int) -> None:
        self._folder = os.path.abspath(folder)
        self._reserve_bytes = reserve_bytes

    def shortage(self) -> str:
        """Where there is too little room, and how little, for people; "" while there is enough."""
        try:
            found = os.statvfs(self._folder)
        except OSError:
            return ""
        blocks = found.f_bavail if os.geteuid() else found.f_bfree
        left = blocks * found.f_frsize
        if left >= self._reserve_bytes:
            return ""
        return f"the disk of {self._folder} has {left >> 10:,} KiB left, and {self._reserve_bytes >> 10:,} have to stay"
