"""`up --watch`: what is saved is reloaded, what is broken is reported, and the node keeps its state."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO

import pytest
from deadline import DEADLINE_S, killed_at_last

from transport.native import native_available

COMMAND = (sys.executable, "-m", "host")

FAMILY = '''"""A book."""

from __future__ import annotations

from typing import Never

from engines.model import Arrived, Effects, Family, Message, Value, rule


class Put(Message):
    """A number."""

    amount: int


class Book(Value):
    """The sum."""

    total: int = 0


@rule
def put(m: Put, t: Arrived[Put, None, Book]) -> Effects[Book, Never]:
    """State: the sum."""
    return Book(t.env.state.total + m.amount)


BOOK = Family("book", state=Book(), accepts=Put).rules(put)
'''

NODE = """node: books
roots: [.]
engines:
  first: {family: "book:BOOK", durability: crash}
  other: {family: "shelf:BOOK"}
"""


class Lines:
    """The lines that a process prints to both of its streams, as they come."""

    def __init__(self, *streams: IO[str] | None) -> None:
        self._lines: Queue[str] = Queue()
        self.seen: list[str] = []
        for stream in streams:
            assert stream is not None
            Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line)

    def await_one(self, part: str) -> str:
        """The next line that has this part."""
        while True:
            try:
                line = self._lines.get(timeout=DEADLINE_S)
            except Empty:
                pytest.fail(f"no line with {part!r} among:\n{''.join(self.seen)}")
            self.seen.append(line)
            if part in line:
                return line


def run(folder: Path, *argv: str) -> str:
    done = subprocess.run(
        [*COMMAND, *argv], cwd=folder, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def watched(folder: Path, *argv: str) -> subprocess.Popen[str]:
    """A node that is up, and whose sources are watched."""
    return subprocess.Popen(
        [*COMMAND, *(argv or ("up", "node.yaml", "--watch"))],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.skipif(not native_available(), reason="a process with ZeroMQ links rehearses nothing")
def test_what_is_saved_is_reloaded_and_what_is_broken_is_not(tmp_path: Path) -> None:
    """False if an edit went unseen, a broken one replaced anything, or an engine with other sources were disturbed."""
    book, node = tmp_path / "book.py", tmp_path / "node.yaml"
    book.write_text(FAMILY)
    (tmp_path / "shelf.py").write_text(FAMILY)
    node.write_text(NODE)
    up = watched(tmp_path)
    with up, killed_at_last(up):
        lines = Lines(up.stdout, up.stderr)
        lines.await_one("watching")
        run(tmp_path, "send", "first", "Put", "amount=5")
        entries = FAMILY.replace("    total: int = 0", "    total: int = 0\n    entries: int = 0")
        book.write_text(entries)
        assert "pause" in lines.await_one("first: book:BOOK@")
        lines.await_one("rehearsal of first: 1 turns")
        assert "total: 5" in run(tmp_path, "state", "get", "first")

        book.write_text(entries.replace("    return Book", "    return Bok"))
        assert "turn 1" in lines.await_one("first keeps its code")
        assert "NameError" in lines.await_one("now:")
        book.write_text(entries.replace("return Book(", "return Book(("))
        assert "book.py" in lines.await_one("SyntaxError")
        run(tmp_path, "send", "first", "Put", "amount=1")
        run(tmp_path, "kill", "first")
        deadline = time.monotonic() + DEADLINE_S
        while "restarted" not in run(tmp_path, "events", "first"):
            assert time.monotonic() < deadline, "it did not start again"
        assert "total: 6" in run(tmp_path, "state", "get", "first")
        assert not [line for line in lines.seen if "other" in line and "->" in line]
        run(tmp_path, "down")
        assert up.wait(DEADLINE_S) == 0


@pytest.mark.storm
def test_what_has_to_wait_is_reloaded_once_it_may(tmp_path: Path) -> None:
    """False if a save during a probation were forgotten, or announced again and again."""
    book = tmp_path / "book.py"
    book.write_text(FAMILY)
    (tmp_path / "node.yaml").write_text(f"{NODE.split('  other')[0]}reload: {{probation_ns: 3s}}\n")
    second = FAMILY.replace("    total: int = 0", "    total: int = 0\n    entries: int = 0")
    with watched(tmp_path) as up, killed_at_last(up):
        lines = Lines(up.stdout, up.stderr)
        lines.await_one("watching")
        run(tmp_path, "send", "first", "Put", "amount=5")
        book.write_text(second)
        lines.await_one("on probation")
        book.write_text(second.replace("entries: int = 0", "entries: int = 0\n    pages: int = 0"))
        lines.await_one("has to wait")
        lines.await_one("first: book:BOOK@")
        assert "pages: 0" in run(tmp_path, "state", "get", "first")
        assert len([line for line in lines.seen if "has to wait" in line]) == 1
        run(tmp_path, "down")
        assert up.wait(DEADLINE_S) == 0


@pytest.mark.storm
def test_what_was_saved_before_the_watch_began_is_reloaded(tmp_path: Path) -> None:
    """False if a save between the start of the node and that of its watch were never seen."""
    book = tmp_path / "book.py"
    book.write_text(FAMILY)
    (tmp_path / "node.yaml").write_text(NODE.split("  other")[0])
    run(tmp_path, "up", "node.yaml", "-d")
    book.write_text(FAMILY.replace("    total: int = 0", "    total: int = 0\n    entries: int = 0"))
    with watched(tmp_path, "reload", "--watch") as watch, killed_at_last(watch):
        Lines(watch.stdout, watch.stderr).await_one("first: book:BOOK@")
        run(tmp_path, "down")
        assert watch.wait(DEADLINE_S) == 0


ASKS = """    answer = yield from Choose(["yes", "no"])
    return Book(t.env.state.total + m.amount * (answer == "yes"))"""


@pytest.mark.storm
def test_what_was_refused_is_tried_again_with_the_next_save(tmp_path: Path) -> None:
    """False if a save that came at a bad moment, refused since its engine waited for an answer, were never taken."""
    book = tmp_path / "book.py"
    asking = FAMILY.replace("import Arrived", "import Arrived, Choose, Interaction, interactive_rule")
    asking = asking.replace("@rule", "@interactive_rule").replace("-> Effects", "-> Interaction")
    asking = asking.replace("    return Book(t.env.state.total + m.amount)", ASKS)
    book.write_text(asking)
    (tmp_path / "node.yaml").write_text(NODE.split("  other")[0])
    with watched(tmp_path) as up, killed_at_last(up):
        lines = Lines(up.stdout, up.stderr)
        lines.await_one("watching")
        run(tmp_path, "send", "first", "Put", "amount=5")
        book.write_text(asking.replace('"no"]', '"no", "later"]'))
        lines.await_one("first keeps its code: adopt")
        run(tmp_path, "answer", "first", "yes")
        book.touch()
        lines.await_one("first: book:BOOK@")
        assert "total: 5" in run(tmp_path, "state", "get", "first")
        run(tmp_path, "down")
        assert up.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("argv", [("up", "x.yaml", "--watch", "-d"), ("reload",), ("reload", "a", "--watch")])
def test_options_that_exclude_each_other(tmp_path: Path, argv: tuple[str, ...]) -> None:
    """False if a watch were promised that nothing keeps."""
    done = subprocess.run([*COMMAND, *argv], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
