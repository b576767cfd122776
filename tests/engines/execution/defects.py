"""The nine defects of the published rules, each put back by a change of a few lines, for the checker to find.

A defect is a module, and texts of it with what takes their place. `write_defective` writes the module so changed, and
those that import it, as a package of its own; all others stay those of `engines.execution`, among them the sequential
run, by which a system is judged.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

import engines.execution

SOURCE: Final = Path(engines.execution.__file__).parent
UNCHANGED: Final = {"sequential"}
"""Modules that say what is right."""


class Defect(NamedTuple):
    """What is changed in which module, and the scenario and the property that show it."""

    module: str
    changes: tuple[tuple[str, str], ...]
    scenario: str
    shown_by: str = "eventually all_finish"


DEFECTS: Final = {
    "1 the window of eager reads is empty": Defect(
        "records",
        (("timestamp <= written + 1 and version", "written <= timestamp < written and version"),),
        "increment",
    ),
    "2 a key never written has no answer": Defect(
        "records", (('ABSENT: Final = Version(0, b"")', "ABSENT: Final = Version(0, None)"),), "increment"
    ),
    "3 a transaction starts with its first read": Defect(
        "executor",
        (
            (
                "one = advanced(Running(execution, message.height, early.get(timestamp, ())), outbox)",
                "one: Running | None = Running(execution, message.height, early.get(timestamp, ()))\n"
                "        one = advanced(one, outbox) if early.get(timestamp) else one",
            ),
        ),
        "may",
    ),
    "4 all transactions have one name": Defect(
        "executor",
        (("running[timestamp] = one", "running[0] = one"), ("state.running.get(timestamp)", "state.running.get(0)")),
        "hot",
        "always summaries_are_right",
    ),
    "5 the summary goes to the issuer": Defect(
        "executor",
        (("outbox.finished.setdefault(execution.worker", 'outbox.finished.setdefault(Ref("outside")'),),
        "hot",
    ),
    "5 the last step is not in the summary": Defect(
        "executor",
        (("error, gas, read, written)", "error, gas, read, written[:-1])"),),
        "increment",
        "always summaries_are_right",
    ),
    "6 a failure leaves its locks": Defect(
        "executor",
        (
            (
                "outbox.write(execution.timestamp, key, writes.get(key))",
                "if key in writes:\n            outbox.write(execution.timestamp, key, writes[key])",
            ),
        ),
        "failure",
    ),
    "7 an open may-write is skipped": Defect(
        "records",
        (
            (
                "    return versions[place - 1] if place else ABSENT",
                "    while place and versions[place - 1].may and versions[place - 1].datum is None:\n"
                "        place -= 1\n"
                "    return versions[place - 1] if place else ABSENT",
            ),
        ),
        "may-written",
        "always reads_are_decided",
    ),
    "8 a lazy read that must wait is forgotten": Defect(
        "shard",
        (
            (
                "turn.answer(read.key, read.timestamp - 1, read.timestamp)",
                "turn.answer(read.key, read.timestamp - 1, read.timestamp)\n"
                "            turn.records[read.key] = asked(turn.record(read.key), read.timestamp, False) or "
                "turn.record(read.key)",
            ),
        ),
        "lazy",
    ),
    "9 a request is parsed only with an atom": Defect(
        "nock_program",
        (("return key if isinstance(kind, int)", "return key if isinstance(key, int) and isinstance(kind, int)"),),
        "nock",
        "always summaries_are_right",
    ),
    "9 the halting test never succeeds": Defect(
        "nock_program",
        (("if not answers:", "if answers is None:"),),
        "nock",
        "always summaries_are_right",
    ),
}


def write_defective(defect: Defect, folder: Path, name: str) -> None:
    """Write the changed module and those that import it as the package `name` in `folder`; its system is `system`."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in SOURCE.glob("*.py") if path.stem != "__init__"}
    for right, wrong in defect.changes:
        assert texts[defect.module].count(right) == 1, f"{defect.module} has {right!r} once"
        texts[defect.module] = texts[defect.module].replace(right, wrong)
    copied = _dependents(texts, defect.module)
    package = folder / name
    package.mkdir()
    for module in copied:
        text = re.sub(
            r"(?m)^from \.(\w+) import",
            lambda found: f"from {name if found[1] in copied else 'engines.execution'}.{found[1]} import",
            texts[module],
        )
        (package / f"{module}.py").write_text(text, encoding="utf-8")
    (package / "__init__.py").write_text('"""A package with a defect."""\n')


def _dependents(texts: dict[str, str], module: str) -> set[str]:
    """The module, and those that import it, however indirectly."""
    imports = {name: set(re.findall(r"(?m)^from \.(\w+) import", text)) for name, text in texts.items()}
    found = {module}
    while new := {name for name in imports if imports[name] & found} - found - UNCHANGED:
        found |= new
    return found | {"system"}
