"""A family whose module starts programs: one in the session of its process, and one that leaves it as daemons do."""

from __future__ import annotations

import subprocess

from counting import COUNTER

__all__ = ["COUNTER"]

for is_daemon in (False, True):
    subprocess.Popen(["sleep", "1000"], start_new_session=is_daemon)
