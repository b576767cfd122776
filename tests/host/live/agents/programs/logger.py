"""An agent with a session log: `logger.py FILE` writes the lines of FILE into it, and registers it half-way."""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, os.environ["CODE"])
from host.aism.client import AgentClient

lines = Path(sys.argv[1]).read_text().splitlines(keepends=True)
os.makedirs("log", exist_ok=True)
with open("log/session.jsonl", "a", buffering=1) as log:
    for index, line in enumerate(lines):
        log.write(line)
        if index == len(lines) // 2:
            AgentClient().ask("session.register", session_id="s", transcript="log/session.jsonl", timeout_s=60)
time.sleep(600)
