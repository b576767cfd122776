"""The guides do what they print: files are written, commands run, in order, in one folder a page.

A block whose first line is a comment with a file's name is that file; shell is run by bash; the lines of a text block
must be in what the shell block before it printed. Then the files must pass mypy strict.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from deadline import DEADLINE_S
from own_environment import own_environment
from sybil import Document, Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT / "docs" / "guides"
PAGES = [*sorted(GUIDES.glob("*.md")), ROOT / "docs" / "checking.md", ROOT / "docs" / "hot-reload.md"]
BLOCK_S = 10 * DEADLINE_S
"""Blocks hold several commands."""

FILE = re.compile(r"\A# (\S+\.(?:py|yaml))\n(.*)\Z", re.DOTALL)


class Page:
    """A folder in which a guide is followed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**own_environment(folder), "PATH": path}

    def keep(self, example: Example) -> None:
        """A file of the guide; a block that is none would be a page that shows what it does not try."""
        found = FILE.match(example.parsed)
        assert found, f"{example.path}:{example.line}: the block's first line names no file"
        (self.folder / found[1]).write_text(found[2], encoding="utf-8")

    def shell(self, example: Example) -> None:
        """Commands, each of which must succeed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", example.parsed],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=BLOCK_S,
            check=False,
        )
        where = f"{example.path}:{example.line}"
        assert done.returncode == 0, f"{where}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        self.printed = done.stdout

    def text(self, example: Example) -> None:
        """What the last commands printed, among other things."""
        for line in example.parsed.strip().splitlines():
            assert line in self.printed, f"{example.path}:{example.line}: {line!r} is not in\n{self.printed}"

    def document(self, guide: Path) -> Document:
        """The guide's blocks, in order."""
        parsers = [
            CodeBlockParser("python", self.keep),
            CodeBlockParser("yaml", self.keep),
            CodeBlockParser("shell", self.shell),
            CodeBlockParser("text", self.text),
        ]
        return Sybil(parsers=parsers, path=str(guide.parent)).parse(guide)


@pytest.fixture
def page() -> Iterator[Page]:
    """The folder, with a short path because of sockets; whatever a failed guide leaves running is ended."""
    folder = Path(mkdtemp(prefix="eh-"))
    made = Page(folder)
    yield made
    down = ["enginehost", "down"]
    subprocess.run(down, cwd=folder, env=made.environment, capture_output=True, timeout=BLOCK_S, check=False)
    shutil.rmtree(folder)


@pytest.mark.storm
@pytest.mark.parametrize("guide", PAGES, ids=lambda guide: guide.stem)
def test_the_guide_works_as_printed(guide: Path, page: Page) -> None:
    """If false, a reader who types a guide's blocks gets something else than it says."""
    examples = list(page.document(guide).examples())
    for example in examples:
        example.evaluate()
    fences = guide.read_text(encoding="utf-8").count("\n```") // 2
    assert len(examples) == fences, "a block is in a language this test does not run"
    # An editable install is out of mypy's sight.
    environment = {**page.environment, "MYPYPATH": str(ROOT)}
    typed = [str(path) for path in sorted(page.folder.glob("*.py"))]
    if not typed:
        return
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), *typed]
    done = subprocess.run(
        mypy, cwd=page.folder, env=environment, capture_output=True, text=True, timeout=BLOCK_S, check=False
    )
    assert done.returncode == 0, done.stdout
