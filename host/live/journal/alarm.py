"""A timer as a descriptor, which becomes readable at its time: for a loop that sleeps on descriptors.

Python has `os.timerfd_create` since 3.13; before that, the C library's is called.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

CLOCK_BOOTTIME: Final = 7
TFD_CLOEXEC: Final = os.O_CLOEXEC
TFD_NONBLOCK: Final = os.O_NONBLOCK
_SECOND_NS: Final = 1_000_000_000


class _Time(ctypes.Structure):
    _fields_ = (("s", ctypes.c_long), ("ns", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("again", _Time), ("first", _Time))


_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class LookAlarm:
    """Mutable; `fd` is readable from the set time on, until another time is set."""

    def __init__(self) -> None:
        """Raises OSError."""
        self.fd = _checked(_LIBC.timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK))

    def set(self, pause_ns: int) -> None:
        """Ring once, after this pause of at least 1 ns. Cancels an earlier setting, and clears `fd`."""
        timer = _Timer(_Time(0, 0), _Time(*divmod(max(1, pause_ns), _SECOND_NS)))
        _checked(_LIBC.timerfd_settime(self.fd, 0, ctypes.byref(timer), None))

    def close(self) -> None:
        """Idempotent."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
