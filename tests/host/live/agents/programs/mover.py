"""An agent that works on through a change of its protocol: `mover.py STATE [still]`.

It goes to STATE in version 1.0.0, asks where it is until that is in 2.0.0, and goes to `inbox` there, unless it is told
to stand still. It prints its prompts, and what was refused.
"""

import json
import os
import sys
import threading
import time

sys.path.insert(0, os.environ["CODE"])
from host.aism.client import AgentClient

STEPS = {
    ("1.0.0", "bootstrap"): ("inbox", {"bootstrap": "complete"}),
    ("1.0.0", "inbox"): ("deep_work", {"task": "move"}),
    ("2.0.0", "getting_ready"): ("inbox", {"bootstrap": "complete"}),
    ("2.0.0", "deep_work"): ("inbox", {}),
}
STEPS.pop(("1.0.0", sys.argv[1]), None)
if sys.argv[2:] == ["still"]:
    STEPS = {place: step for place, step in STEPS.items() if place[0] == "1.0.0"}


def echo() -> None:
    for line in sys.stdin:
        print("prompt:", line, end="", flush=True)


threading.Thread(target=echo, daemon=True).start()
client = AgentClient()
while True:
    found = client.ask("state.current")
    place = found["protocol"]["version"], found["data"]["state"]
    if place not in STEPS:
        time.sleep(0.2)
        continue
    target, context = STEPS[place]
    answer = client.ask("state.transition", target=target, context=context)
    if not answer["success"]:
        print("refused:", json.dumps(answer), flush=True)
