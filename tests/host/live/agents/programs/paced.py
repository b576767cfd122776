"""An agent that sends fifty notes a second to another, and writes how long each request took to `took.txt`, in
nanoseconds: `paced.py TO`. It ends when a file `end` is there."""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, os.environ["CODE"])
from host.aism.client import AgentClient

client = AgentClient()
number = 0
with open("took.txt", "w", buffering=1) as out:
    while not Path("end").exists():
        began_ns = time.monotonic_ns()
        answer = client.ask("message.send", request_id=f"paced-{number}", to=sys.argv[1], text=f"paced {number}")
        assert answer["success"], answer
        number += 1
        print(time.monotonic_ns() - began_ns, file=out)
        time.sleep(0.02)
Path("sent.txt").touch()
time.sleep(600)
