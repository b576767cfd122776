"""Builds the C tests of the lanes: `native/*.c` over the core's headers, or over a copy with a planted mistake.

And the extension itself, with a call at each of the core's named steps.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
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
    program = folder / source
    compile_to(program, folder / "core", HERE / f"{source}.c", [*flags, "-pthread"], mistakes)
    return program


def build_extension(folder: Path, mistakes: Mistakes | None = None) -> ModuleType:
    """`transport._lane` beside the one that is installed; it calls `sys.lane_step(name)` where it holds the lock."""
    library = folder / f"_lane{EXTENSION_SUFFIXES[0]}"
    flags = ["-shared", "-fPIC", "-I", sysconfig.get_path("include"), "-include", str(HERE / "step_call.h")]
    compile_to(library, folder / "core", folder / "core" / "_lane.c", flags, mistakes)
    loader = ExtensionFileLoader("_lane", str(library))
    spec = spec_from_loader("_lane", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def compile_to(to: Path, core: Path, source: Path, flags: Sequence[str], mistakes: Mistakes | None) -> None:
    """Compile a source over a copy of the core, with mistakes if any."""
    shutil.copytree(CORE, core, ignore=lambda _, names: [name for name in names if not name.endswith((".h", ".c"))])
    for name, (what, instead) in (mistakes or {}).items():
        text = (core / name).read_text()
        assert text.count(what) == 1, f"{name} has {text.count(what)} times {what!r}"
        (core / name).write_text(text.replace(what, instead))
    words = [*FLAGS, *QUIET, *flags, "-I", str(core), "-I", str(HERE), str(source), "-o", str(to)]
    done = subprocess.run([COMPILER or "gcc", *words], capture_output=True, text=True)
    if "cannot find -l" in done.stderr or "cannot find lib" in done.stderr:
        pytest.skip(f"no library for {flags[0]}")
    assert done.returncode == 0, done.stderr


def run(program: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a built program to its end."""
    return subprocess.run(
        [str(program), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        env={"PATH": os.environ["PATH"], "ASAN_OPTIONS": "detect_leaks=0"},  # it needs ptrace, and dead victims leak
    )
