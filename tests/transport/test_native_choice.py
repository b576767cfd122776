"""How the native core is chosen, and that its absence is said aloud."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deadline import DEADLINE_S
from transport_worlds import NEEDS_NATIVE

from transport import native

ROOT = Path(native.__file__).parent.parent


def python(code: str, mode: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "ENGINEHOST_NATIVE": mode}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S
    )


def test_off_means_off() -> None:
    """If false, the fallback could not be tried where lanes work."""
    shown = python("from transport.native import *; print(native_available(), native_reason())", "off")
    assert shown.stdout == "False ENGINEHOST_NATIVE=off\n"
    assert "NativeMissing: no native lanes: ENGINEHOST_NATIVE=off" in python("import transport.lanes", "off").stderr


@NEEDS_NATIVE
@pytest.mark.parametrize("mode", ["auto", "require", ""])
def test_native_is_used_where_it_is(mode: str) -> None:
    """If false, lanes would be built and not used."""
    shown = python("from transport.native import *; print(native_available(), [native_reason()])", mode)
    assert shown.stdout == "True ['']\n"


def test_a_missing_core_is_said_or_an_error() -> None:
    """If false, `require` would pass without lanes, or nobody would know why there are none."""
    code = (
        "import sys; sys.modules['transport._lane'] = None\n"
        "from transport.native import *\n"
        "print(native_reason())\n"
        "print(native_available())"
    )
    assert "cannot be imported" in python(code, "auto").stdout
    assert python(code, "auto").stdout.endswith("False\n")
    assert "NativeMissing: ENGINEHOST_NATIVE=require, but" in python(code, "require").stderr


def test_an_unknown_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """If false, a typing mistake would choose by itself."""
    monkeypatch.setenv("ENGINEHOST_NATIVE", "yes")
    with pytest.raises(ValueError, match="'yes'"):
        native.native_available()


@pytest.mark.parametrize("mode", ["auto", "require"])
def test_a_build_without_a_compiler(mode: str, tmp_path: Path) -> None:
    """If false, an installation without gcc would fail, or lose its lanes in silence."""
    shutil.copy(ROOT / "setup.py", tmp_path)
    shutil.copytree(ROOT / "transport", tmp_path / "transport", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    env = {**os.environ, "ENGINEHOST_NATIVE": mode, "CC": str(tmp_path / "no-compiler")}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    built = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S)
    assert (built.returncode == 0) is (mode == "auto")
    assert ("NOTICE: transport._lane could not be built" in built.stderr) is (mode == "auto")
