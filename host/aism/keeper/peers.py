"""The peers of a keeper: connections to its socket, with a buffer in each direction."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any, Final

OUTWARD_MAX: Final = 8 << 20
"""Bytes that wait for a peer that does not read; it is cut off beyond them, and learns all by its next `hello`."""


class Connection:
    """A peer: a buffer in each direction."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.inward = b""
        self.outward = b""
        self.is_subscribed = False

    def put(self, event: str, **fields: Any) -> None:
        """Queue one object for the peer."""
        self.outward += json.dumps({"event": event, **fields}).encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Send what the peer takes now."""
        with contextlib.suppress(OSError):
            while self.outward:
                self.outward = self.outward[self.sock.send(self.outward) :]

    @property
    def is_deaf(self) -> bool:
        """Whether so much waits for the peer that it is cut off."""
        return len(self.outward) > OUTWARD_MAX
