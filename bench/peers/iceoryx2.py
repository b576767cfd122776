"""iceoryx2: shared memory between processes, a service for each way, samples that are slices of bytes.

The data path has no blocking wait, so an idle receiver yields and uses its core fully. Names that the library leaves in
shared memory after a death have a prefix of the round, and are removed with it.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.peers.installed import require
from bench.rounds import Contestant, Round
from bench.topologies import End, Send, Weave

BUFFERED_MAX: Final = 4096
"""Samples in a receiver's buffer; if it is full, a sender retries until there is room."""
RECORD_BYTES: Final = 256
DRAIN_MAX: Final = 1024
SHARED_MEMORY: Final = Path("/dev/shm")


def contestant(run: Callable[[Weave], Round]) -> Contestant:
    """iceoryx2 in a topology."""

    def checked() -> Round:
        require("iceoryx2")
        return run(weave)

    return Contestant("iceoryx2", checked)


@contextmanager
def weave(ways: Sequence[tuple[int, int]]) -> Iterator[Services]:
    """A prefix for all names of one round, and a folder for its files."""
    prefix = f"enginehost-bench-{os.getpid()}-{secrets.token_hex(4)}-"
    with tempfile.TemporaryDirectory(prefix="enginehost-bench-") as folder:
        try:
            yield Services(ways, prefix, folder)
        finally:
            for left in SHARED_MEMORY.glob(prefix + "*"):
                left.unlink(missing_ok=True)


class Services:
    """The services of one round, one for each way."""

    def __init__(self, ways: Sequence[tuple[int, int]], prefix: str, folder: str) -> None:
        self._ways, self._prefix, self._folder = ways, prefix, folder

    def join(self, place: int) -> End:
        """A node, a subscriber for each way to the place, publishers to others."""
        return PortsEnd(self._ways, place, self._prefix, self._folder)


class PortsEnd:
    """A place's ports."""

    def __init__(self, ways: Sequence[tuple[int, int]], place: int, prefix: str, folder: str) -> None:
        import iceoryx2

        iceoryx2.set_log_level(iceoryx2.LogLevel.Fatal)
        config = iceoryx2.config.default()
        config.global_cfg.prefix = iceoryx2.FileName.new(prefix)
        config.global_cfg.root_path = iceoryx2.Path.new(folder)
        disabled = iceoryx2.SignalHandlingMode.Disabled
        builder = iceoryx2.NodeBuilder.new().config(config).signal_handling_mode(disabled)
        self._node = builder.create(iceoryx2.ServiceType.Ipc)
        self._place = place
        self._publishers: dict[int, Any] = {there: self._publisher(there) for here, there in ways if here == place}
        self._subscribers = [
            self._service(here, place).subscriber_builder().create() for here, there in ways if there == place
        ]

    def _service(self, here: int, there: int) -> Any:
        import iceoryx2

        builder = self._node.service_builder(iceoryx2.ServiceName.new(f"{here}-{there}"))
        service = builder.publish_subscribe(iceoryx2.Slice[ctypes.c_uint8])
        return service.enable_safe_overflow(False).subscriber_max_buffer_size(BUFFERED_MAX).open_or_create()

    def _publisher(self, there: int) -> Any:
        import iceoryx2

        builder = self._service(self._place, there).publisher_builder().initial_max_slice_len(RECORD_BYTES)
        return builder.backpressure_strategy(iceoryx2.BackpressureStrategy.RetryUntilDelivered).create()

    def outlet(self, place: int) -> Send:
        """Copies a record into a loaned sample and sends it; tries again by itself while the receiver is full."""
        publisher = self._publishers[place]
        loan, memmove = publisher.loan_slice_uninit, ctypes.memmove

        def send(payload: bytes) -> None:
            sample = loan(len(payload))
            memmove(sample.payload_ptr, payload, len(payload))
            sample.assume_init().send()

        return send

    def wait_for_room(self) -> None:
        """A send waits by itself."""

    def flush(self) -> None:
        """Nothing to do: a sample arrives at once."""

    def drain(self) -> Sequence[Sequence[bytes]]:
        """The samples that have arrived, copied; yields the core until there is one."""
        taken: list[bytes] = []
        while True:
            for subscriber in self._subscribers:
                receive = subscriber.receive
                while len(taken) < DRAIN_MAX and (sample := receive()) is not None:
                    taken.append(ctypes.string_at(sample.payload_ptr, sample.payload().len()))
            if taken:
                return [taken]
            os.sched_yield()

    def release(self) -> None:
        """Nothing to do: a sample is released as soon as it is copied."""

    def close(self) -> None:
        """Release ports and node."""
        self._publishers.clear()
        self._subscribers.clear()
        del self._node
