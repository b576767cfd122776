"""An agent that sends numbered notes to another, each until it is accepted: `mailer.py COUNT TO`."""

import os
import sys
import time
from typing import Any

sys.path.insert(0, os.environ["CODE"])
from host.aism.client import AgentClient
from host.aism.output import Failure

client = AgentClient()
count, to = int(sys.argv[1]), sys.argv[2]


def ask(op: str, request_id: str, **fields: Any) -> dict[str, Any]:
    while True:
        try:
            return client.ask(op, request_id=request_id, timeout_s=10, **fields)
        except Failure as failure:
            if failure.kind not in ("timeout", "unavailable"):
                raise


for number in range(count):
    attempt = 0
    while True:
        answer = ask("message.send", f"send-{number}-{attempt}", to=to, text=f"{client.agent} {number}")
        if answer["success"]:
            break
        attempt += 1
        time.sleep(answer["error"].get("retry_after_ms", 100) / 1000)
with open("sent.txt", "w") as file:
    file.write("sent\n")
time.sleep(600)
