"""The node of an engine for agents: its root folder, and the commands of `enginehost` for it.

A root folder has `aism.yaml`, the node file, and `protocols/`. With `strict`, each answer is on the disk before it is
given, also against a loss of power: the node then runs from a copy of the file with other durabilities.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from host.aism.output import Failure
from host.program import ROOT, command

FILE: Final = "aism.yaml"
STRICT: Final = "aism-strict.yaml"
HEADER: Final = "# Made by `aism up --strict` from aism.yaml at each start; edit that one.\n"
LINES_SHOWN: Final = 8
JOURNAL_ADVICE: Final = (
    f"'enginehost journal verify -f {FILE}' shows what each log has, and what can be done",
    "a log in order was written by another version: 'aism up -d' with that one, then 'enginehost reload' with this one",
)
"""Where the log of an engine cannot be used. A log is the truth of its engine, so nothing is done by itself."""


def root_of(folder: str) -> Path:
    """The root folder at or above `folder`. Raises Failure."""
    begin = Path(folder).resolve()
    if not begin.is_dir():
        raise Failure("unknown", "no_folder", f"no folder {begin}")
    for path in (begin, *begin.parents):
        if (path / FILE).is_file():
            return path
    hint = "make one with 'aism init FOLDER', or go to it"
    raise Failure("unknown", "no_root", f"no {FILE} in {begin} or above", suggestions=[hint])


def templates() -> Path:
    """Where the files to begin with are: beside the code, or where an installation has them."""
    found = [Path(ROOT, "configs"), Path(sys.prefix, "share", "enginehost", "configs")]
    for path in found:
        if (path / "agents.yaml").is_file():
            return path
    raise Failure("internal", "no_templates", f"no agents.yaml in {' or '.join(map(str, found))}")


def node_file(root: Path, *, is_strict: bool) -> Path:
    """The file that the node runs from, made if it is the strict one."""
    if not is_strict:
        return root / FILE
    text = (root / FILE).read_text()
    if not re.search(r"\bfsync:\s*(everysec|always)\b", text):
        raise Failure(
            "usage", "no_fsync", f"--strict needs 'fsync: everysec' in the configuration of the bridge in {FILE}"
        )
    text = re.sub(r"\b(durability:\s*)crash\b", r"\1durable", text)
    text = re.sub(r"\b(fsync:\s*)everysec\b", r"\1always", text)
    (root / STRICT).write_text(HEADER + text)
    return root / STRICT


def running_file(root: Path) -> Path | None:
    """The file of the node that runs in this root; None while none does."""
    from host.live.control.instances import running_instance

    found = [root / name for name in (FILE, STRICT)]
    return next((path for path in found if path.exists() and running_instance(str(path)) is not None), None)


def enginehost(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `enginehost` in the root folder, to its end."""
    return subprocess.run(
        command("host.entry", *words), cwd=root, text=True, capture_output=True, stdin=subprocess.DEVNULL
    )


def items(root: Path, *words: str) -> list[Any]:
    """What a command of `enginehost` lists. Raises Failure."""
    done = enginehost(root, *words, "--json")
    if done.returncode:
        raise node_failure(done)
    found = json.loads(done.stdout)
    return list(found["items"])


def node_failure(done: subprocess.CompletedProcess[str]) -> Failure:
    """What a command of `enginehost` said as it failed: its last line, and what is wrong with which engine or place."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    message = (lines[-1] if lines else "the command has failed").removeprefix("enginehost: ")
    try:
        errors = [one for one in json.loads(done.stdout.splitlines()[-1])["items"] if one.get("failed", True)]
    except (IndexError, KeyError, ValueError):
        return Failure("unavailable", "node", message, suggestions=lines[-LINES_SHOWN:-1])
    said = [text for text in dict.fromkeys(map(_sentence, errors[:LINES_SHOWN])) if text not in message]
    advice = [*JOURNAL_ADVICE] if any(one.get("reason") == "journal" for one in errors) else []
    return Failure("unavailable", "node", "; ".join([message, *said]), suggestions=advice)


def _sentence(error: dict[str, Any]) -> str:
    """An engine or a place in a file, and what is wrong with it."""
    where = f"{error['file']}:{error['line']}: " if "line" in error else ""
    detail = str(error.get("detail", "")).strip().splitlines()
    return f"{where}{error.get('message', '')}{': ' if detail else ''}{detail[-1] if detail else ''}"


def in_root(root: Path) -> None:
    """Continue in the root folder: devices take their paths from there."""
    os.chdir(root)
