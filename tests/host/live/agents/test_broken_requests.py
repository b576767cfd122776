"""A request on which its family fails, among others that are read with it."""

from __future__ import annotations

import json
from typing import Any

from crew import Crew, new_crew
from live_nodes import World, until

from engines.agents.bus import answer_key, request_key
from host.aism.bus_client import BusClient, find_bus

BREAKS = "break the validator"
REASON = f"ZeroDivisionError: {BREAKS}"
OTHERS = [f"agent{number}" for number in range(8)]


def put_together(crew: Crew, store: BusClient, requests: dict[str, dict[str, Any]]) -> None:
    """Each agent's move, in its stream before the bridge reads any of them."""
    crew.node.halt("bridge")
    for agent, body in requests.items():
        words = ("id", "first", "op", "state.transition", "body", json.dumps(body))
        store.command("XADD", request_key("main", agent), "*", *words)
    crew.node.go_on("bridge")


def answered(store: BusClient, agent: str) -> dict[str, Any]:
    reply: Any = store.command("BLPOP", answer_key("main", agent, "first"), 30, wait_s=30.0)
    assert reply, f"no answer to {agent}"
    return dict(json.loads(reply[1]))


def test_a_request_that_breaks_its_family_is_blamed_alone_and_the_others_are_served_once(world: World) -> None:
    """False if the broken request is not answered, or is tried for ever, or a request that was read with it is refused,
    lost, or done twice."""
    with new_crew(world, validator="breaking:BREAKING") as crew:
        for agent in (*OTHERS, "bad"):
            crew.done("agent.add", agent=agent, protocol="work", command=["true"], start=False)
            assert crew.ask("state.current", by=agent)["success"]
        store = BusClient(find_bus({}, str(crew.root)))
        texts = {agent: BREAKS if agent == "bad" else "ready" for agent in (*OTHERS, "bad")}
        bodies = {agent: {"target": "inbox", "context": {"bootstrap": text}} for agent, text in texts.items()}
        put_together(crew, store, bodies)
        told = {agent: answered(store, agent) for agent in texts}
        assert (told["bad"]["error"]["kind"], told["bad"]["error"]["code"]) == ("internal", "broken_request")
        for agent in OTHERS:
            assert told[agent]["success"], told[agent]
            assert (told[agent]["seq"], crew.ask("state.current", by=agent)["seq"]) == (1, 1)
        assert crew.ask("state.current", by="bad")["seq"] == 0
        set_aside = until(lambda: crew.node.ask("quarantine", do="ls"), "what was set aside")
        assert [(one["engine"], one["reason"]) for one in set_aside] == [("validator", REASON)] * 2, set_aside
        assert [BREAKS in str(one["message"]) for one in set_aside] == [True, True]
        assert OTHERS[0] not in str(set_aside[1]["message"])
