"""The operations as tools of a Model Context Protocol server, by a client of the protocol's own package."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from bus_world import AISM, Bus, bus
from live_nodes import new_world

from engines.agents.operations import OPERATIONS
from host.aism.commands.mcp import TOOLS, Tools


@pytest.fixture(scope="module")
def shared() -> Iterator[Bus]:
    """A node of all tests here."""
    pytest.importorskip("mcp")  # Here, not above: it takes more than a second, and the default run has no test of it.
    with new_world() as world, bus(world) as one:
        one.admit("ann")
        one.admit("bob")
        yield one


def test_c9_tools_do_what_commands_do(shared: Bus) -> None:
    """False if a tool gives another result than the command, or acts for another agent."""

    async def play() -> None:
        from mcp.client.session import ClientSession
        from mcp.client.stdio import StdioServerParameters, stdio_client

        server = StdioServerParameters(
            command=sys.executable, args=[*AISM[1:], "mcp"], env=shared.environment("ann"), cwd=str(shared.root)
        )
        async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            listed = (await session.list_tools()).tools
            assert {tool.name for tool in listed} == set(TOOLS)

            async def use(name: str, **arguments: Any) -> dict[str, Any]:
                result = await session.call_tool(name, arguments)
                answer: dict[str, Any] = json.loads(result.content[0].text)  # type: ignore[union-attr]
                assert result.structured_content == answer
                assert result.is_error == (not answer["success"])
                return answer

            moved = await use("state_transition", target="x", context={"a": 1}, request_id="once")
            assert moved == await use("state_transition", target="x", context={"a": 1}, request_id="once")
            assert moved["agent"] == "ann"
            assert (await use("state_history"))["data"]["moves"] == 1
            by_command = shared.aism("ann", "context", "get", "k").answer
            by_tool = await use("context_get", key="k")
            assert by_tool | {"request_id": ""} == by_command | {"request_id": ""}
            assert (await use("state_current", agent="bob"))["error"]["code"] == "unknown_argument"
            assert (await use("state_can"))["error"]["kind"] == "validation"

    asyncio.run(asyncio.wait_for(play(), 60))


def test_c9_no_tool_is_for_operators(shared: Bus) -> None:
    """False if a tool does what only operators may, whatever its name is."""
    assert not [op for op in TOOLS.values() if OPERATIONS[op].is_for_operators]
    tools = Tools(shared.client("ann").bus, 5.0)
    assert tools.use("agent_stop", {"agent": "bob"})["error"]["code"] == "no_such_tool"
    assert tools.use("state_current", {"request_id": "a b"})["error"]["code"] == "request_id"
    assert tools.use("message_send", {"to": "bob", "text": "\0"})["error"]["code"] == "not_text"
