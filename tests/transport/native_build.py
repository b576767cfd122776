"""Builds the C tests of the lanes: `native/*.c` over the core's headers, or over a copy with a planted mistake."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent / "native"
CORE: Final = Path(__file__).parents[2] / "transport"
FLAGS: Final = (
    "-std=gnu11",
    "-O2",
    "-g",
    "-fno-strict-aliasing",
    "-Wall",
    "-Wextra",
    "-Wno-missing-field-initializers",
)
QUIET: Final = ("-Wno-unused-function", "-Wno-maybe-uninitialized", "-Wno-tsan")
COMPILER: Final = shutil.which(os.environ.get("CC", "gcc"))
NEEDS_COMPILER: Final = pytest.mark.skipif(COMPILER is None, reason="no C compiler")
ADDRESS: Final = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
THREAD: Final = ("-fsanitize=thread",)
RUN_S_MAX: Final = 100

Mistakes = Mapping[str, tuple[str, str]]
"""Header to what to replace in it, and with what."""


def step_names() -> list[str]:
    """All crash points of the core."""
    found = [name for path in sorted(CORE.glob("*.h")) for name in re.findall(r"LANE_STEP\((\w+)\);", path.read_text())]
    assert len(set(found)) == len(found) > 30, "a crash point has a name of its own"
    return found


def build(folder: Path, source: str, flags: Sequence[str] = (), mistakes: Mistakes | None = None) -> Path:
    """Compile `native/<source>.c` in a folder; skips when there is no library for a sanitizer that is asked for."""
    headers, program = folder / "core", folder / source
    shutil.copytree(CORE, headers, ignore=lambda _, names: [name for name in names if not name.endswith(".h")])
    for name, (what, instead) in (mistakes or {}).items():
        text = (headers / name).read_text()
        assert text.count(what) == 1, f"{name} has {text.count(what)} times {what!r}"
        (headers / name).write_text(text.replace(what, instead))
    sources = ["-I", str(headers), "-I", str(HERE), str(HERE / f"{source}.c"), "-o", str(program), "-pthread"]
    done = subprocess.run([COMPILER or "gcc", *FLAGS, *QUIET, *flags, *sources], capture_output=True, text=True)
    if "cannot find -l" in done.stderr or "cannot find lib" in done.stderr:
        pytest.skip(f"no library for {flags[0]}")
    assert done.returncode == 0, done.stderr
    return program


def run(program: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a built program to its end."""
    return subprocess.run(
        [str(program), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        env={"PATH": os.environ["PATH"], "ASAN_OPTIONS": "detect_leaks=0"},  # it needs ptrace, and dead victims leak
    )
