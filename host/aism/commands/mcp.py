"""`aism mcp`: the operations of agents as tools of a Model Context Protocol server on standard input and output.

One server is one agent: the identity is that of the process, as for the command, and no argument changes it. A tool's
result is the object that the command prints. Needs the package `mcp` (extra `mcp`); a call costs a thirtieth of a
process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from typing import Any, Final

from engines.agents.bus import REQUEST_ID
from engines.agents.operations import OPERATIONS, Operation
from host.aism.bus_client import find_bus
from host.aism.call import Call
from host.aism.client import AgentClient, check, new_request_id
from host.aism.output import Failure, failed

KINDS: Final[dict[str, dict[str, Any]]] = {
    "text": {"type": "string"},
    "count": {"type": "integer", "minimum": 0},
    "bool": {"type": "boolean"},
    "duration": {"type": "integer", "minimum": 0, "description": "nanoseconds"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "object": {"type": "object"},
    "value": {},
}
ASKING: Final = ("state.current", "state.can", "state.history", "state.wait", "context.get", "session.status")
READ_ONLY: Final = frozenset(
    [*ASKING, "protocol.list", "protocol.show", "message.thread", "measure.self", "measure.system", "measure.peers"]
)
AGAIN: Final = "request_id"
"""Argument of each tool: a call that is repeated under its id is not done twice."""

CLIENTS_MAX: Final = 8
"""Calls at once; others wait."""

TOOLS: Final = {name.replace(".", "_"): name for name, one in OPERATIONS.items() if not one.is_for_operators}


def serve(call: Call) -> int:
    """Serve until standard input ends. Raises Failure."""
    try:
        import mcp  # noqa: F401
    except ImportError:
        hint = "pip install 'enginehost[mcp]'"
        raise Failure("unavailable", "no_mcp", "the package mcp is not installed", suggestions=[hint]) from None
    bus = find_bus(os.environ, os.getcwd())
    asyncio.run(_serve(Tools(bus, call.options.timeout_s)))
    return 0


class Tools:
    """The tools of one agent: a connection for each thread that calls them."""

    def __init__(self, bus: Any, timeout_s: float) -> None:
        self._bus = bus
        self._timeout_s = timeout_s
        self._mine = threading.local()
        self.places = asyncio.Semaphore(CLIENTS_MAX)

    def use(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The object that the command would print. Blocks."""
        try:
            op = TOOLS.get(name)
            if op is None:
                raise Failure("usage", "no_such_tool", f"there is no tool {name[:64]!r}")
            return self._ask(op, dict(arguments))
        except Failure as failure:
            return failed(failure).envelope

    def _ask(self, op: str, arguments: dict[str, Any]) -> dict[str, Any]:
        request_id = arguments.pop(AGAIN, None) or new_request_id()
        if not isinstance(request_id, str) or not REQUEST_ID.fullmatch(request_id):
            raise Failure("usage", "request_id", f"{AGAIN} is 1 to 64 letters, digits or _ . : -")
        known = {field.removesuffix("?") for field in OPERATIONS[op].fields}
        if unknown := sorted(arguments.keys() - known):
            raise Failure("usage", "unknown_argument", f"{op} has no argument {unknown[0][:64]!r}")
        body = json.dumps(arguments, ensure_ascii=False)
        check(op, body, request_id, self._bus.agent)
        client = getattr(self._mine, "client", None)
        if client is None:
            client = self._mine.client = AgentClient(self._bus)
        found: dict[str, Any] = client.ask_text(op, body, request_id, self._timeout_s)
        return found


def schema_of(operation: Operation) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments."""
    names = {field.removesuffix("?"): KINDS[kind] for field, kind in operation.fields.items()}
    return {
        "type": "object",
        "properties": names | {AGAIN: {"type": "string", "description": "for a retry: the id of the first call"}},
        "required": [field for field in operation.fields if not field.endswith("?")],
        "additionalProperties": False,
    }


async def _serve(tools: Tools) -> None:
    import mcp_types as types
    from mcp.server.lowlevel import Server
    from mcp.server.stdio import stdio_server

    async def listed(_context: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=name,
                    description=OPERATIONS[op].text,
                    input_schema=schema_of(OPERATIONS[op]),
                    annotations=types.ToolAnnotations(read_only_hint=op in READ_ONLY, idempotent_hint=op in READ_ONLY),
                )
                for name, op in TOOLS.items()
            ]
        )

    async def called(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        async with tools.places:
            answer = await asyncio.to_thread(tools.use, params.name, params.arguments or {})
        text = types.TextContent(type="text", text=json.dumps(answer, ensure_ascii=False))
        return types.CallToolResult(content=[text], structured_content=answer, is_error=not answer["success"])

    server = Server("aism", on_list_tools=listed, on_call_tool=called)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
