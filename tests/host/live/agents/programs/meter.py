"""An agent that calls all the time, and notes how long each call took, in nanoseconds."""

from __future__ import annotations

import time

from host.aism.client import AgentClient

with AgentClient() as client, open("times", "a", buffering=1) as times:
    while True:
        begun = time.perf_counter_ns()
        client.ask("state.current")
        times.write(f"{time.perf_counter_ns() - begun}\n")
        time.sleep(0.005)
