"""What is installed: the resolved set of `requirements.lock`, which fits what `pyproject.toml` allows."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from deadline import DEADLINE_S
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ASKED = [
    Requirement(text)
    for text in (
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["test"],
    )
]


def pins() -> dict[str, str]:
    """Versions by name, as the lock file has them."""
    found = (re.match(r"([\w.-]+)==([\w.]+)", line) for line in LOCK.splitlines())
    return {str(canonicalize_name(match[1])): match[2] for match in found if match}


def test_each_dependency_is_pinned_to_a_version_that_is_allowed() -> None:
    """False if `pyproject.toml` was changed without making the lock file again: users would install another set."""
    pinned = pins()
    assert [str(asked) for asked in ASKED if pinned.get(canonicalize_name(asked.name)) not in asked.specifier] == []


def test_each_dependency_has_a_lower_bound() -> None:
    """False if the oldest versions that are allowed were some that nobody tried."""
    assert [str(asked) for asked in ASKED if not any(bound.operator == ">=" for bound in asked.specifier)] == []


def test_each_pin_has_hashes_and_no_place() -> None:
    """False if a file that was exchanged on its way could be installed, or if only one registry would do."""
    assert all("--hash=sha256:" in block for block in LOCK.split("\n") if block.startswith("    "))
    assert len(re.findall(r"^[\w.-]+==\S+.*\\$", LOCK, re.MULTILINE)) == len(pins())
    assert "://" not in LOCK


OLDER = """
import runpy, sys
sys.version_info = (3, 10, 12)
sys.modules["setuptools"] = None
runpy.run_path("setup.py")
"""


def test_an_older_python_is_refused_before_anything_else() -> None:
    """False if pip, on a Python that will not do, first tried one version of each dependency after the other."""
    done = subprocess.run([sys.executable, "-c", OLDER], cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 1
    assert done.stderr.startswith("enginehost needs Python 3.11 or newer")
