"""An agent that misbehaves, in the way that its argument names."""

import os
import signal
import subprocess
import sys
import time

way = sys.argv[1]
if way == "deaf":  # one sign of life, then it reads nothing
    subprocess.run(["aism", "heartbeat"], check=False)
    time.sleep(600)
elif way == "ignores":  # it reads, and does nothing
    subprocess.run(["aism", "heartbeat"], check=False)
    for _line in sys.stdin:
        print("ignored", flush=True)
elif way == "stubborn":  # no signal but SIGKILL ends it, and its children neither
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
    subprocess.run(["aism", "heartbeat"], check=False)
    time.sleep(600)
elif way == "crash":
    sys.exit(1)
elif way == "misconfigured":
    sys.exit(78)
