"""The map matches the folders."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGES = ("engines", "transport", "host", "bench")


def test_what_the_map_names_is_there() -> None:
    """If false, a reader is sent to a file or folder that does not exist."""
    named = re.findall(r"`((?:engines|transport|host|bench|configs|tests|docs)/[\w./-]*)`", MAP)
    assert len(named) > 30
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_folder_is_on_the_map() -> None:
    """If false, there is code in a place the map does not know."""
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {str(Path(path).parent) for path in listed.splitlines() if path.endswith(".py")}
    on_top = {"engines", "host"}
    assert sorted(folder for folder in folders - on_top if f"| `{folder}/` |" not in MAP) == []
