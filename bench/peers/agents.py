"""enginehost: an engine for agents as `aism init` makes it, with its store, and agents that ask by way of the bus.

The node has the families of `configs/agents.yaml`, with the buckets raised. Agents are threads of a few processes
(`bench.crowd`), so there is nothing to launch; validator and bridge are told of them as the orchestrator would.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from bench.crowd import PROTOCOL, Pace, Share, Told, merged
from bench.live_node import exchange, live_node
from bench.rounds import Round
from bench.spread import quantile
from host.aism.bus_client import find_bus
from host.aism.client import AgentClient
from host.aism.node import templates
from host.live.control.client import Client

PROCESSES: Final = 2
"""Of all agents together: one for each core of the smallest machine, as the crowd is on the cores that it measures."""

SETTLE_NS: Final = 10**9
IDLE_SHARE: Final = 0.05
CALL: Final = "import _enginehost; _enginehost.aism()"
PLACE: Final = Path(__file__).resolve().parents[2]


class Town(NamedTuple):
    """A node that is up, and the environments of its agents."""

    client: Client
    environments: list[dict[str, str]]


@contextmanager
def town(agents: int) -> Iterator[Town]:
    """A node with agents that can put requests."""
    with tempfile.TemporaryDirectory(prefix="enginehost-bench-") as folder, live_node(_text(folder)) as client:
        with AgentClient(find_bus({"AISM_ROOT": _pointer_of(folder)}, folder)) as operator:
            answer = operator.ask("protocol.load", source=PROTOCOL, current=True)
        assert answer["success"], answer
        yield Town(client, [_admitted(client, f"a{number}") for number in range(agents)])


def _pointer_of(folder: str) -> str:
    deadline_s = time.monotonic() + 20
    while not Path(folder, "engine", "bus.json").exists():
        assert time.monotonic() < deadline_s, "the store has not started"
        time.sleep(0.02)
    return folder


def _text(folder: str) -> str:
    """The node file, with its places in `folder`."""
    bridge = f"fsync: everysec\n      root: {folder}\n      requests_per_s: 1000000\n      burst: 1000000"
    text = (templates() / "agents.yaml").read_text()
    text = text.replace("fsync: everysec", bridge).replace("path: engine/", f"path: {folder}/engine/")
    text = text.replace('"agents/{agent}"', f'"{folder}/agents/{{agent}}"')
    return text.replace("{orchestrator: orchestrator}", f"{{orchestrator: orchestrator, root: {folder}}}")


def _admitted(client: Client, agent: str) -> dict[str, str]:
    token = f"1-{os.urandom(16).hex()}"
    enrolled = exchange(client, "validator", "Enrol", {"agent": agent, "role": "", "protocol": "talk"}, "Enrolled")
    assert not enrolled["reason"], enrolled
    order = {"agent": agent, "session": 1, "token_digest": sha256(token.encode()).hexdigest()}
    bus = exchange(client, "bridge", "Admit", order, "Admitted")["bus"]
    return {"AGENT_ID": agent, "AISM_TOKEN": token, "AISM_BUS": bus}


def crowd(place: Town, pace: Pace) -> Round:
    """Messages per second from sending to acknowledgement; the single times are those from sending to reading."""
    names = [one["AGENT_ID"] for one in place.environments]
    receivers = dict(pairwise([*names, names[0]]))
    shares = [Share(place.environments[first::PROCESSES], receivers, pace) for first in range(PROCESSES)]
    with ExitStack() as stack:
        processes = [stack.enter_context(_started(share)) for share in shares]
        for process in processes:
            assert _line(process) == "ready"
        before_ns = _used_ns(place.client)
        begin_ns = time.monotonic_ns() + SETTLE_NS
        for process in processes:
            _tell(process, str(begin_ns))
        told = merged([msgspec.json.decode(_line(process), type=Told) for process in processes])
        after_ns = _used_ns(place.client)
    used_ns = {name: after_ns[name] - before_ns.get(name, 0) for name in after_ns} | {"agents": told.cpu_ns}
    assert not told.refused, told.refused
    return Round(
        told.done["acked"] * 1e9 / told.took_ns,
        told.done["acked"],
        told.delivered_ns,
        _details(told, used_ns),
    )


def _details(told: Told, used_ns: dict[str, int]) -> dict[str, float]:
    answered_ns = sorted(told.answered_ns)
    messages = told.done["message.send"]
    return {
        "sent_per_s": messages * 1e9 / told.took_ns,
        "transitions_per_s": told.done["state.transition"] * 1e9 / told.took_ns,
        "requests": sum(told.done.values()) - told.done["acked"],
        "transition_p50_ms": quantile(answered_ns, 0.5) / 1e6,
        "transition_p99_ms": quantile(answered_ns, 0.99) / 1e6,
        **{f"cpu_ms_per_1000_{name}": ns / 1e3 / messages for name, ns in sorted(used_ns.items())},
    }


def _started(share: Share) -> subprocess.Popen[str]:
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": PLACE}
    process = subprocess.Popen([sys.executable, "-m", "bench.crowd"], **pipes)
    _tell(process, msgspec.json.encode(share).decode())
    return process


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _used_ns(client: Client) -> dict[str, int]:
    """Processor time so far of each process of the node, by one of its engines; `redis` is the bridge's child."""
    pids = {one["pid"]: one["engine"] for one in client.request("ps").items if one["pid"]}
    for pid in [pid for pid, engine in pids.items() if engine == "bridge"]:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        pids.update(dict.fromkeys(map(int, children), "redis"))
    return {engine: _cpu_ns(pid) for pid, engine in pids.items()}


def _cpu_ns(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * (10**9 // os.sysconf("SC_CLK_TCK"))


def _wait_idle(client: Client) -> None:
    """Waits until the processes of the node take less than a twentieth of a core."""
    deadline_s = time.monotonic() + 20
    before_ns, share = sum(_used_ns(client).values()), 1.0
    while share > IDLE_SHARE:
        assert time.monotonic() < deadline_s, "the node does not come to rest"
        time.sleep(SETTLE_NS / 1e9)
        after_ns = sum(_used_ns(client).values())
        before_ns, share = after_ns, (after_ns - before_ns) / SETTLE_NS


def commands(place: Town, calls: int) -> Round:
    """Calls of the command per second by one caller, each a process of its own. The node has nothing else to do."""
    _wait_idle(place.client)
    environment = os.environ | place.environments[0] | {"PYTHONPATH": str(PLACE)}
    taken_ns = []
    for _ in range(calls):
        begun_ns = time.monotonic_ns()
        subprocess.run(
            [sys.executable, "-c", CALL, "state", "current"], env=environment, check=True, stdout=subprocess.DEVNULL
        )
        taken_ns.append(time.monotonic_ns() - begun_ns)
    every = sorted(taken_ns)
    detail = {"p50_ms": quantile(every, 0.5) / 1e6, "p95_ms": quantile(every, 0.95) / 1e6}
    return Round(calls * 1e9 / sum(taken_ns), calls, taken_ns, detail)
