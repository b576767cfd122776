#!/usr/bin/env python3
"""A supervisor without a language model: it offers each line of tasks.txt to a worker, and reads the reports.

It follows the protocol `supervisor`. Each prompt is a line on standard input, and wakes it; what it does then depends
on the state that the engine says it is in.
"""

import json
import subprocess
import sys
from pathlib import Path


def aism(*words: str) -> dict:
    """One command; its answer is one JSON object."""
    return json.loads(subprocess.run(["aism", *words], capture_output=True, text=True, check=False).stdout)


def offer_tasks() -> None:
    """Offer what is to do, one message a task."""
    tasks = Path("tasks.txt")
    lines = tasks.read_text().splitlines() if tasks.exists() else ["count to three", "name two colours"]
    for number, text in enumerate(lines, 1):
        aism("message", "send", "role:worker", text, "--type", "task_offer",
             "--field", f"task_id=t{number}", "--field", f"text={text}")  # fmt: skip
    aism("state", "transition", "watching")


def read_reports() -> None:
    """Put each report into reports.txt."""
    for message in aism("message", "read", "--unread")["data"]["messages"]:
        with Path("reports.txt").open("a") as reports:
            print(message["from"], message["type"], json.dumps(message.get("fields")), file=reports)
        aism("message", "ack", message["id"])


for _prompt in sys.stdin:
    state = aism("state", "current")["data"]["state"]
    if state == "planning":
        offer_tasks()
    elif state == "reviewing":
        read_reports()
        aism("state", "transition", "watching")
