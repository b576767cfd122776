"""The reading of a family's code: each planted mistake at its line, and nothing in clean code that looks alike."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lint_cases import ACT, CLEAN, HEAD, PLANTED, TYPES, marked, module

from engines.model import load_family
from engines.model.check.impure import KINDS, NAMES
from engines.model.check.lint import FamilyLint
from engines.model.check.text import SourceText


def lint_of(ref: str, folder: Path) -> FamilyLint:
    """The linter of a family below a folder."""
    family: Any = load_family(ref, (str(folder),))
    return FamilyLint(family, {path: SourceText(path, Path(path).read_bytes()) for path in family.files})


@pytest.fixture
def modules(tmp_path: Path) -> Iterator[Path]:
    """A code root; its modules are forgotten afterwards, so each test may use the same names."""
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def found_in(folder: Path, text: str, **others: str) -> set[tuple[int, str]]:
    """Lines and kinds of the findings in a module, which may import the others."""
    for name, other in others.items():
        (folder / f"{name}.py").write_text(other, encoding="utf-8")
    (folder / "planted.py").write_text(text, encoding="utf-8")
    found = lint_of("planted:FAMILY", folder).read()
    assert all(one.what and one.remedy for one in found)
    return {(one.line, one.kind) for one in found}


@pytest.mark.parametrize("name", PLANTED)
def test_each_planted_mistake_is_found_at_its_line(name: str, modules: Path) -> None:
    """False if a rule could do this unseen, or the author were sent to another line."""
    head, above, body = PLANTED[name]
    text = module(body, above, head + "\n" if head else "")
    assert found_in(modules, text) == marked(text)


@pytest.mark.parametrize("name", CLEAN)
def test_clean_code_that_looks_alike_passes(name: str, modules: Path) -> None:
    """False if the reading went by text, and authors learned to overlook its findings."""
    head, above, body = CLEAN[name]
    assert found_in(modules, module(body, above, head + "\n" if head else "")) == set()


def test_every_kind_of_the_reading_is_planted() -> None:
    """False if a kind in the table had no test."""
    planted = {kind for head, above, body in PLANTED.values() for _, kind in marked(f"{head}\n{above}\n{body}")}
    assert planted == set(NAMES.values()) - {""} | {"set-order"}
    assert planted < KINDS.keys()


def test_guards_timers_interactions_and_migrations_are_read_too(modules: Path) -> None:
    """False if only the actions of messages were read."""
    text = (
        HEAD
        + "import time\n"
        + TYPES
        + """

AGAIN = Timer("again")


def late(t: Arrived[Ask, None, Seen]) -> int | None:
    return time.time_ns() or None  # <- clock


@rule(when=late)
def act(now: int, t: Arrived[Ask, None, Seen]) -> Effects[Seen, None]:
    return Seen(now)


@interactive_rule(priority=1)
def draw(ask: Ask, t: Arrived[Ask, None, Seen]) -> Interaction[Seen, None]:
    side = yield from Roll(6)
    return Seen(side + time.time_ns())  # <- clock


@rule(timer=AGAIN)
def again(handle: Handle, t: Elapsed[None, Seen]) -> Effects[Seen, None]:
    return Seen(time.time_ns())  # <- clock


def migrate(old: object) -> Seen:
    return Seen(time.time_ns())  # <- clock


FAMILY = Family("planted", accepts=Ask, state=Seen(), timers=[AGAIN], migrate=migrate).rules(act, draw, again)
"""
    )
    assert found_in(modules, text) == marked(text)


def test_a_finding_names_the_function_the_rule_and_the_remedy(modules: Path) -> None:
    """False if a finding did not say how its line is reached, or what to do."""
    text = module(
        "return Seen(read())", "def read() -> int:\n    return clock()", "from time import time_ns as clock\n"
    )
    (modules / "planted.py").write_text(text, encoding="utf-8")
    [found] = lint_of("planted:FAMILY", modules).read()
    assert found.what == "read (rule act) reads a clock: clock() (time.time_ns)"
    assert found.why == "each run reads another time"
    assert "t.now_ns" in found.remedy
    assert (found.file, found.rule, found.family) == (str(modules / "planted.py"), "act", "planted:FAMILY")


def test_other_modules_of_the_root_are_followed(modules: Path) -> None:
    """False if a mistake were hidden by moving it to a file of its own."""
    other = "from time import time_ns as now\n\nWORDS: list[str] = []\n\n\ndef read() -> int:\n    return now()\n"
    body = "more.WORDS.append('x')  # <- memory\nreturn Seen(read() + now())  # <- clock"
    text = module(body, "", "import more\nfrom more import now, read\n")
    (modules / "more.py").write_text(other, encoding="utf-8")
    (modules / "planted.py").write_text(text, encoding="utf-8")
    found = lint_of("planted:FAMILY", modules).read()
    by_file = {(Path(one.file).name, one.line, one.kind) for one in found}
    assert by_file == {("planted.py", line, kind) for line, kind in marked(text)} | {("more.py", 7, "clock")}


def test_the_driver_of_a_device_is_not_read(modules: Path) -> None:
    """False if the one place where I/O belongs were a finding."""
    text = (
        HEAD
        + "import time\nfrom engines.model import Device, DeviceHost\n"
        + TYPES
        + ACT.format(body="    return Seen(t.now_ns)")
        + """

class Clock:
    async def run(self, host: DeviceHost) -> None:
        while True:
            await host.receive()
            print(self.age())

    def age(self) -> int:
        return time.time_ns()


FAMILY = Family("planted", accepts=Ask, state=Seen()).rules(act)
DEVICE = Device("clock", accepts=Ask, driver=Clock, twin=FAMILY)
"""
    )
    assert found_in(modules, text) == set()


def test_a_composition_is_read_through_its_parts(modules: Path) -> None:
    """False if composing two families hid what their rules do."""
    text = module(
        "return Seen(time.time_ns())  # <- clock", "", "import time\nfrom engines.model.compose import compose\n"
    )
    text = (
        text.replace("FAMILY = ", "PART = ")
        + """

class More(Message):
    pass


@rule
def more(ask: More, t: Arrived[More, None, None]) -> Effects[None, None]:
    return [Note(str(id(ask)))]  # <- identity


FAMILY = compose("whole", PART, Family("other", accepts=More).rules(more))
"""
    )
    assert found_in(modules, text) == marked(text)


@pytest.mark.parametrize(
    "comment",
    [
        ("", "  # lint: accept clock: a test of clocks"),
        ("    # lint: accept clock: a test of clocks\n", ""),
        ("    # lint: accept random, clock: a test\n    # of clocks\n", ""),
    ],
)
def test_a_comment_with_a_reason_accepts_a_finding(comment: tuple[str, str], modules: Path) -> None:
    """False if an author who knows better could not say so."""
    above, behind = comment
    text = module("return Seen(time.time_ns())", "", "import time\n")
    line = "    return Seen(time.time_ns())"
    assert found_in(modules, text.replace(line, above + line + behind)) == set()


def test_a_comment_accepts_its_line_and_kind_only(modules: Path) -> None:
    """False if one accepted finding hid others."""
    body = (
        "now = time.time_ns()  # lint: accept clock: a test\n"
        "later = time.time_ns()  # <- clock\n"
        "return Seen(now + later + id(ask))  # <- identity"
    )
    text = module(body, "NOTE = '# lint: accept clock: no comment'", "import time\n")
    assert found_in(modules, text) == marked(text)


@pytest.mark.parametrize("comment", ["accept clock", "accept clock:", "accept clok: a reason", "ignore", "accept"])
def test_a_comment_that_cannot_be_read_is_a_finding(comment: str, modules: Path) -> None:
    """False if a slip of the pen accepted nothing, or everything, without a word."""
    text = module(f"return Seen(time.time_ns())  # lint: {comment}", "", "import time\n")
    [line] = [number for number, code in enumerate(text.splitlines(), 1) if "lint:" in code]
    assert found_in(modules, text) == {(line, "clock"), (line, "accept")}
