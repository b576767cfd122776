"""Births of processes: the zygote forks them, or a template that has imported the families already."""

from typing import Final

SOCKET_FD: Final = 3
"""Where a zygote, and later each of its children, finds its socket: right after the standard streams."""
