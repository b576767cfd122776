#!/usr/bin/env python3
"""A worker without a language model: it accepts each task it is offered, does it, and reports.

It follows the protocol `worker`. Each prompt is a line on standard input, and wakes it.
"""

import json
import subprocess
import sys
from pathlib import Path


def aism(*words: str) -> dict:
    """One command; its answer is one JSON object."""
    return json.loads(subprocess.run(["aism", *words], capture_output=True, text=True, check=False).stdout)


def do(offer: dict) -> None:
    """One task, from the offer to the report."""
    task, supervisor = offer["fields"]["task_id"], offer["from"]
    aism("message", "send", supervisor, "I take it", "--type", "agree", "--reply-to", offer["id"])
    aism("message", "ack", offer["id"])
    aism("state", "transition", "working", "--context", json.dumps({"task": task}))
    Path(f"{task}.txt").write_text(f"done: {offer['fields']['text']}\n")
    aism("message", "send", supervisor, "done", "--type", "task_done",
         "--field", f"task_id={task}", "--field", f"result={task}.txt")  # fmt: skip
    aism("state", "transition", "reporting")
    aism("state", "transition", "ready")


for _prompt in sys.stdin:
    while offers := aism("message", "read", "--unread", "--type", "task_offer", "--max", "1")["data"]["messages"]:
        do(offers[0])
