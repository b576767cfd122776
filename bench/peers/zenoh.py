"""Eclipse Zenoh: peers linked by Unix sockets on this machine, one publication per record, blocking when congested.

Discovery is off, and so is shared memory, which Zenoh uses only for large messages. Every place listens at its own path
and connects to its targets.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from bench.peers.installed import require
from bench.rounds import Contestant, Round
from bench.topologies import End, Send, Weave

if TYPE_CHECKING:
    import zenoh

QUEUED_MAX: Final = 10_000
DRAIN_MAX: Final = 1024
MATCH_S: Final = 20.0
"""Bound of the wait until a publisher has its subscriber."""
LOOK_S: Final = 0.01


def contestant(run: Callable[[Weave], Round]) -> Contestant:
    """Zenoh in a topology."""

    def checked() -> Round:
        require("zenoh")
        return run(weave)

    return Contestant("Zenoh", checked)


@contextmanager
def weave(ways: Sequence[tuple[int, int]]) -> Iterator[Paths]:
    """A folder for the sockets of the places."""
    with tempfile.TemporaryDirectory(prefix="enginehost-bench-") as folder:
        yield Paths(folder, ways)


class Paths:
    """The paths of the places."""

    def __init__(self, folder: str, ways: Sequence[tuple[int, int]]) -> None:
        self._folder, self._ways = folder, ways

    def join(self, place: int) -> End:
        """A session that listens, linked with the targets of the place."""
        import zenoh

        config = zenoh.Config()
        options = {
            "mode": "peer",
            "scouting/multicast/enabled": False,
            "scouting/gossip/enabled": False,
            "transport/shared_memory/enabled": False,
            "listen/endpoints": [self._endpoint(place)],
            "connect/endpoints": [self._endpoint(there) for here, there in self._ways if here == place],
        }
        for key, value in options.items():
            config.insert_json5(key, json.dumps(value))
        return SessionEnd(zenoh.open(config), place)

    def _endpoint(self, place: int) -> str:
        return f"unixsock-stream/{self._folder}/{place}"


class SessionEnd:
    """A place's session: its subscriber, and publishers to others."""

    def __init__(self, session: zenoh.Session, place: int) -> None:
        import zenoh

        self._session: Any = session
        self._subscriber: Any = session.declare_subscriber(_key(place), zenoh.handlers.FifoChannel(QUEUED_MAX))

    def outlet(self, place: int) -> Send:
        """Publishes to a place, after its subscriber has appeared."""
        import zenoh

        publisher: Any = self._session.declare_publisher(_key(place), congestion_control=zenoh.CongestionControl.BLOCK)
        deadline_s = time.monotonic() + MATCH_S
        while not publisher.matching_status.matching:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"no subscriber within {MATCH_S:g} s")
            time.sleep(LOOK_S)
        send: Send = publisher.put
        return send

    def wait_for_room(self) -> None:
        """A put waits by itself."""

    def flush(self) -> None:
        """Nothing to do: Zenoh's own threads send at once."""

    def drain(self) -> Sequence[Sequence[bytes]]:
        """Waits for one message, then takes those that have arrived."""
        take = self._subscriber.try_recv
        taken = [self._subscriber.recv().payload.to_bytes()]
        while len(taken) < DRAIN_MAX and (sample := take()) is not None:
            taken.append(sample.payload.to_bytes())
        return [taken]

    def release(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Leave the session."""
        self._session.close()


def _key(place: int) -> str:
    return f"enginehost/bench/{place}"
