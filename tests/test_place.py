"""Where a test works: out of reach of what its user runs, and of the shell it was started from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from deadline import DEADLINE_S

from host.live.control.instances import runtime_roots

PROBE = """
import os, signal
from host.live.control.instances import running_instances, runtime_roots
for root in runtime_roots():
    os.makedirs(root)
assert not running_instances()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""


def test_a_test_has_a_place_of_its_own(own_place: Path) -> None:
    """False if a test could see a node that its user runs, end it, or leave files where it was started."""
    assert Path.cwd() == own_place
    assert not list(own_place.iterdir())
    assert all(Path(root).parent == own_place.parent for root in runtime_roots())
    assert not {"CI", "NOTIFY_SOCKET", "PYTHONUNBUFFERED"} & set(os.environ)


def test_what_a_test_starts_is_there_too() -> None:
    """False if a command that a test runs took its user's folders, or could not be interrupted."""
    subprocess.run([sys.executable, "-c", PROBE], check=True, timeout=DEADLINE_S)


def test_an_ignored_interrupt_is_none_in_tests() -> None:
    """False if `nohup pytest &` hung at the first test that interrupts a command."""
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
