"""A node in which everybody talks to everybody, for a user who is not root: 1,024 descriptors may be on their way."""

from __future__ import annotations

import ctypes
import resource

import pytest
from live_nodes import LiveNode, World, in_child, until

from host.config.spec import EngineSpec
from host.live.supervisor.startup import DESCRIPTORS_MAX

GUESTS = 58
PR_CAPBSET_DROP = 24
CAP_SYS_ADMIN, CAP_SYS_RESOURCE = 21, 24
"""Who has one of them is exempt from the limit of descriptors on their way."""


def be_an_ordinary_user() -> None:
    """What this process starts has an ordinary user's limits."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (CAP_SYS_ADMIN, CAP_SYS_RESOURCE):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))


def heard(node: LiveNode, names: list[str]) -> list[int]:
    return [int(node.ask("state", engine=name)[0]["state"]["count"]) for name in names]


def meet(world: World) -> None:
    be_an_ordinary_user()
    names = [f"guest{number}" for number in range(GUESTS)]
    specs = [EngineSpec(name, "meeting:GUEST", {"to": [other for other in names if other != name]}) for name in names]
    with world.up(world.spec(*specs)) as node:
        limit, hard = resource.prlimit(node.pid, resource.RLIMIT_NOFILE)
        assert limit == min(hard, DESCRIPTORS_MAX), "the supervisor does not ask for what it needs"
        node.send(names[0], "Begin", spread=True)
        until(lambda: heard(node, names) == [GUESTS - 1] * GUESTS, "all greetings")
        assert all(item["state"] == "running" for item in node.ps().values())
        assert node.events("crashed") == []


@pytest.mark.storm
def test_everybody_is_linked_with_everybody(world: World) -> None:
    """False if a packet that the kernel cannot take were lost: mail for that peer would be held for good."""
    in_child(lambda: meet(world))
