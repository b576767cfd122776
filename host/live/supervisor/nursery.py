"""Forks processes: from the zygote, held by its socket, or, for workers, from the template while it is up to date.

The zygote is started before the supervisor imports anything heavy, and warms up meanwhile; requests wait in its socket.
A zygote that died is replaced at the next request. Workers are not its children and survive it.

The template (`spawn.template`) is a child of the zygote that has imported the node's families. The first workers of a
node come from it unconditionally; each later one only if no source it imported was edited, and none added beside. The
template is released permanently by such an edit; by the first reload, since every later process has to run what the
reload brought into force; and by a birth that it leaves unanswered.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from host.live.inspection.inspect_records import digest_of
from host.live.packets import Channel
from host.live.spawn.zygote import Ahead, Fork, OutputFile
from host.live.spawn.zygote_start import exec_zygote
from host.node.news import Packet
from transport.port import Closed

ROOM_S: Final = 1.0
"""How long a request waits for room in the zygote's socket, which holds hundreds; a full one means that it hangs."""


class Nursery:
    """The zygote, and births through it. For the supervisor's main thread.

    Args:
        zygote: our end of its socket. log_fd: becomes the output of every process. ahead: what workers will ask for.
    """

    def __init__(self, zygote: socket.socket, log_fd: int, ahead: Ahead) -> None:
        self._log_fd = log_fd
        self._ahead = ahead
        self._channel: Channel[Packet] | None = None
        self._template: Channel[Packet] | None = None
        self._sources: Mapping[str, bytes] = {}
        self._looks_at_sources = False
        self._adopt(zygote)

    def bear(self, request: Fork, socket_fd: int) -> Channel[Packet]:
        """Request a child that owns `socket_fd`; the caller closes its own copy. A dead zygote is replaced first.

        Returns the channel it asked. Raises `Closed` if the new zygote is dead too.
        """
        if request.entry == "candidate" or (self._looks_at_sources and not self._is_up_to_date()):
            self.release_template()
        if self._template is not None and request.entry == "worker":
            with contextlib.suppress(Closed):
                return _ask(self._template, request, socket_fd)
            self.release_template()
        for _ in range(2):
            try:
                return _ask(self._channel or self._adopt(exec_zygote()), request, socket_fd)
            except Closed:
                self.close()
        raise Closed("zygote: dies as soon as it is started")

    def has_lost(self, asked: Channel[Packet]) -> bool:
        """Whether the process asked is gone. It never sends anything: a readable channel is at end of file."""
        return asked not in (self._channel, self._template) or _is_ready(asked, select.POLLIN, 0)

    def distrust(self, asked: Channel[Packet]) -> None:
        """A birth asked of it is unanswered: a template is released. A dead zygote shows by its end of file."""
        if asked is self._template:
            self.release_template()

    def use_template(self, sock: socket.socket, sources: Mapping[str, bytes]) -> None:
        """From now on workers come from the process at the other end, which runs `sources` (`inspect_records`)."""
        self._template = Channel(sock, msgspec.msgpack.Decoder(Packet))
        self._sources = sources

    def look_at_sources(self) -> None:
        """From now on the next worker runs sources as edited."""
        self._looks_at_sources = True

    def release_template(self) -> None:
        """Workers come from the zygote again. Idempotent."""
        if self._template is not None:
            self._template.close()
            self._template = None

    def _is_up_to_date(self) -> bool:
        return self._template is None or all(digest_of(path) == text for path, text in self._sources.items())

    def close(self) -> None:
        """Release the zygote and the template: they exit at the end of file. Idempotent."""
        self.release_template()
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _adopt(self, zygote: socket.socket) -> Channel[Packet]:
        self._channel = Channel(zygote, msgspec.msgpack.Decoder(Packet))
        self._channel.send(OutputFile(), (self._log_fd,))
        self._channel.send(self._ahead)
        return self._channel


def _ask(channel: Channel[Packet], request: Fork, socket_fd: int) -> Channel[Packet]:
    """Send, and wait up to `ROOM_S` for room. Raises `Closed`."""
    channel.send(request, (socket_fd,))
    until_s = time.monotonic() + ROOM_S
    while channel.waiting and (left_s := until_s - time.monotonic()) > 0 and _is_ready(channel, select.POLLOUT, left_s):
        channel.flush()
    return channel


def _is_ready(channel: Channel[Packet], event: int, within_s: float) -> bool:
    """Uses poll, since `select` takes no descriptors above 1,023."""
    poll = select.poll()
    poll.register(channel, event)
    return bool(poll.poll(within_s * 1e3))
