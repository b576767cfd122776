"""The environment of a new user, for tests that follow a page."""

from __future__ import annotations

import os
from pathlib import Path


def own_environment(folder: Path) -> dict[str, str]:
    """This one, but with a runtime folder and keys of its own, and the passphrase that a person would type."""
    run = folder / "run"
    run.mkdir(mode=0o700)
    own = {"XDG_RUNTIME_DIR": str(run), "XDG_DATA_HOME": str(folder / "own")}
    return {**os.environ, **own, "ENGINEHOST_PASSPHRASE": "what a person would type"}
