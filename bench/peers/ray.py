"""Ray: one actor on the same machine, called without waiting for each result."""

from __future__ import annotations

from typing import Any

import ray

from bench.peers.actor import Counting, rate
from bench.peers.resident import timed
from bench.record import RECORD, encoder
from bench.rounds import Round


class Ray:
    """A local Ray, without dashboard."""

    _actor: Any

    def start(self) -> None:
        """Ray with two processors, and an actor."""
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
        self._actor = ray.remote(Counting).remote()
        ray.get(self._actor.tell.remote())

    def oneway(self, size: int) -> Round:
        """A call per record; the result of the final call comes after all of them."""
        take, encode = self._actor.take, encoder.encode
        for _ in range(size):
            take.remote(encode(RECORD))
        return rate(ray.get(self._actor.tell.remote()), size)

    def pingpong(self, size: int) -> Round:
        """A call and its result."""
        take = self._actor.take
        done = timed(lambda: ray.get(take.remote(encoder.encode(RECORD))), size)
        ray.get(self._actor.tell.remote())
        return done

    def stop(self) -> None:
        """End Ray and its processes."""
        ray.shutdown()


PEER = Ray()
