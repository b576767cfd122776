"""The unit file for systemd is one that systemd accepts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[2] / "docs" / "deploy" / "enginehost@.service"
ANALYZE_S = 60.0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_unit_is_accepted(tmp_path: Path) -> None:
    """False if systemd would refuse the unit, or ignore a line of it."""
    program = tmp_path / "enginehost"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    unit = tmp_path / "enginehost@shop.service"
    unit.write_text(
        UNIT.read_text(encoding="utf-8").replace("/opt/enginehost/bin/enginehost", str(program)), encoding="utf-8"
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=ANALYZE_S, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
