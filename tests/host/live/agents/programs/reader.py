"""An agent that reads notes, writes them to `got.txt`, and acknowledges them with the next read. `reader.py exit`: in
its first session it reads and is gone before it acknowledges anything."""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, os.environ["CODE"])
from host.aism.client import AgentClient
from host.aism.output import Failure

client = AgentClient()
got = Path("got.txt")
is_first = not got.exists()
number = 0
done: list[str] = []


def ask(op: str, **fields: Any) -> dict[str, Any]:
    while True:
        try:
            return client.ask(op, request_id=f"{os.getpid()}-{number}-{op}", timeout_s=10, **fields)
        except Failure as failure:
            if failure.kind not in ("timeout", "unavailable"):
                raise


while True:
    number += 1
    messages = ask("message.read", max=20, wait=1_000_000_000, ack=done)["data"]["messages"]
    done = [one["id"] for one in messages]
    with got.open("a") as out:
        out.writelines(f"{one['id']} {one['attempt']} {one['text'].splitlines()[1]}\n" for one in messages)
    if messages and is_first and sys.argv[1:] == ["exit"]:
        sys.exit(1)
