"""Prints what an agent at its level of isolation can see, as JSON. The root folder and another agent's process are its
arguments.
"""

import json
import os
import sys
from collections.abc import Callable

root, other = sys.argv[1], int(sys.argv[2])
own = os.getcwd()


def works(act: Callable[[], None]) -> bool:
    try:
        act()
    except OSError:
        return False
    return True


def write(path: str) -> None:
    with open(path, "w") as file:
        file.write("x")


def listing_shows_others() -> bool:
    names = [name for name in os.listdir("/proc") if name.isdigit()]
    for name in names:
        try:
            with open(f"/proc/{name}/comm") as file:
                if file.read().startswith("aism:keeper"):
                    return True
        except OSError:
            continue
    return False


print(
    json.dumps(
        {
            "uid": os.getuid(),
            "reads_other": works(lambda: open(f"{root}/agents/bob/secret").close()),
            "sees_others": listing_shows_others(),
            "sees_root": os.path.exists(f"{root}/agents/bob"),
            "has_network": len(os.listdir("/sys/class/net")) > 1 if os.path.isdir("/sys/class/net") else False,
            "writes_workspace": works(lambda: write(f"{own}/mine")),
            "reads_protocols": works(lambda: open(f"{root}/protocols/inbox.md").close()),
            "writes_protocols": works(lambda: write(f"{root}/protocols/inbox.md")),
            "writes_own_state": works(lambda: write(f"{own}/.aism/state.json")),
            "writes_journal": works(lambda: write(f"{root}/.enginehost/journal")),
            "reads_environment_of_other": works(lambda: open(f"/proc/{other}/environ").close()),
            "signals_other": works(lambda: os.kill(other, 0)),
            "has_token": works(lambda: open(os.environ["AISM_TOKEN_FILE"]).close()),
        }
    )
)
