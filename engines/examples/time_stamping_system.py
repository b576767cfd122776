"""The time-stamping server under check: within any window it answers no more requests than its limit says.

Requests may come at any time, and as many as there are. The clock goes in steps of half a window, so requests are met
at the beginning, in the middle, and just behind a window.
"""

from __future__ import annotations

from typing import Final

from engines.examples.timestamping import SERVER, Issued, Limit, Recent, TimeStampRequest
from engines.model import Ref
from engines.model.system import Envelope, Member, System
from engines.model.system_view import SystemView

WINDOW_NS: Final = 1_000_000_000
WINDOWS: Final = 3
"""Windows that the clock goes through."""


def within_limit(view: SystemView) -> bool:
    """No window that ends with an answered request has more answered requests than the limit."""
    server = view.engine("server")
    recent: Recent = server.mailbox_states[0]
    limit: Limit = server.config
    windows = ((last - limit.window_ns, last) for last in recent.times_ns)
    return all(sum(first < at <= last for at in recent.times_ns) <= limit.requests for first, last in windows)


def refuses(view: SystemView) -> bool:
    """As many requests are in the window as the limit allows: one more would be refused."""
    server = view.engine("server")
    recent: Recent = server.mailbox_states[0]
    limit: Limit = server.config
    return len(recent.times_ns) == limit.requests


def answers_again(view: SystemView) -> bool:
    """More requests were answered than one window allows: the limit is lifted when the window is over."""
    server = view.engine("server")
    issued: Issued = server.state
    limit: Limit = server.config
    return issued.count > limit.requests


def SYSTEM(requests: int = 2) -> System:
    """The server, with a limit of so many requests in a second."""
    request = TimeStampRequest(b"\x13\x37", Ref("outside"))
    return System(
        name="time-stamping",
        members=[Member("server", SERVER, Limit(requests, WINDOW_NS, bytes(32)))],
        standing=[Envelope("server", request)],
        timers="bounded",
        ticks_ns=[WINDOW_NS // 2],
        until_ns=WINDOWS * WINDOW_NS,
        always=[within_limit],
        sometimes=[refuses, answers_again],
    )
