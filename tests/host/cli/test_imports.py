"""What `enginehost ps` imports: the budget of 100 ms is kept by what is left out."""

from __future__ import annotations

import subprocess
import sys

from deadline import DEADLINE_S

from .conftest import StartNode, answer_ps

LIST = """
import sys
from host.cli.main import run
code = run(sys.argv[1:])
print(" ".join(m.partition(".")[0] if not m.startswith("host.") else m for m in sys.modules), file=sys.stderr)
sys.exit(code)
"""

HEAVY = {
    "rich",
    "hashlib",
    "psutil",
    "yaml",
    "jsonschema",
    "nacl",
    "uvloop",
    "asyncio",
    "subprocess",
    "engines",
    "transport",
}
"""Each costs 10 to 60 ms, or belongs to another process."""

COMMANDS = "host.cli.commands."


def modules(*argv: str) -> set[str]:
    found = subprocess.run(
        [sys.executable, "-c", LIST, *argv], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert found.returncode == 0, found.stderr
    return set(found.stderr.split())


def test_ps_imports_click_zmq_msgspec_and_nothing_heavy(start_node: StartNode) -> None:
    """If false, `ps` would take longer than its 100 ms."""
    start_node("a.yaml", answer_ps)
    found = modules("ps")
    assert {"click", "zmq", "msgspec"} <= found
    assert found & HEAVY == set()
    assert {m for m in found if m.startswith(COMMANDS)} == {COMMANDS + "ps"}
    assert not {m for m in found if m.startswith("host.config.")}


def test_help_imports_no_command_and_no_socket_library() -> None:
    """If false, `--help` and completion would be slow."""
    found = modules("--help")
    assert not {m for m in found if m.startswith(COMMANDS)}
    assert found & (HEAVY | {"zmq"}) == set()
