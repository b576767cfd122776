"""Walks between `inbox` and `deep_work` for ever, and writes down each move that was acknowledged, before the next."""

import json
import os
import subprocess
import time
from typing import Any

MOVES = {
    "bootstrap": ("inbox", {"bootstrap": "complete"}),
    "inbox": ("deep_work", {"task": "walk"}),
    "deep_work": ("inbox", {}),
}


def aism(*words: str) -> dict[str, Any]:
    done = subprocess.run(["aism", *words, "--timeout", "20s"], capture_output=True, text=True, check=False)
    return dict(json.loads(done.stdout or "{}"))


with open("acknowledged", "a") as book:
    while True:
        found = aism("state", "current")
        state = found.get("data", {}).get("state", "")
        if state not in MOVES:
            time.sleep(0.05)
            continue
        target, context = MOVES[state]
        answer = aism("state", "transition", target, "--context", json.dumps(context))
        if answer.get("success"):
            book.write(f"{answer['seq']} {target}\n")
            book.flush()
            os.fsync(book.fileno())
