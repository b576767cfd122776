"""What keeps the house in order and can be looked at: the reason stands in each message."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ("host", "transport", "engines/model")
"""Packages in which one name means one thing."""
TREES = ("host", "transport", "engines", "bench")
"""All packages."""
C_COLUMNS_MAX = 130


def tracked(*patterns: str) -> list[str]:
    """Files of the repository by pattern, as git knows them."""
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def statements(block: ast.AST) -> Iterator[ast.AST]:
    """All statements in a block, however deep; not their expressions, which are ten times as many."""
    for field in ("body", "orelse", "handlers", "finalbody", "cases"):
        for node in getattr(block, field, ()):
            yield node
            yield from statements(node)


def classes(file: str) -> set[str]:
    """Names of the classes that a file defines. Those for the type checker count once."""
    return set(re.findall(r"^ *class (\w+)[:(\[]", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))


def test_a_class_name_exists_once() -> None:
    """False if going to a class by its name could lead to another one."""
    homes = defaultdict(list)
    for file in tracked(*(f"{folder}/*.py" for folder in SHARED)):
        for name in classes(file):
            homes[name].append(file)
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_a_class_name_exists_once_in_each_folder_of_families() -> None:
    """False if two families of one folder define different things under one name."""
    folders = {file.split("/")[1] for file in tracked("engines/*/*.py")} - {"model", "examples", "benchmark"}
    for folder in sorted(folders):
        names = [name for file in tracked(f"engines/{folder}/*.py") for name in classes(file)]
        assert sorted({name for name in names if names.count(name) > 1}) == [], folder


def test_what_a_comment_names_by_path_is_there() -> None:
    """False if a comment or docstring sends its reader to a file that does not exist."""
    missing = []
    for file in tracked("host/*", "engines/*", "transport/*", "bench/*"):
        if not file.endswith((".py", ".pyi", ".c", ".h")):
            continue
        text = (ROOT / file).read_text(encoding="utf-8")
        named = re.findall(r"`((?:engines|host|transport|bench)/[\w./]+\.(?:py|c|h|yaml))`", text)
        missing += [(file, path) for path in named if not (ROOT / path).exists()]
    assert missing == []


def test_what_a_comment_names_by_module_is_there() -> None:
    """False if a comment or docstring names a module that was moved."""
    missing = []
    for file in tracked("host/*.py", "engines/*.py", "transport/*.py", "bench/*.py"):
        text = (ROOT / file).read_text(encoding="utf-8")
        for dotted in re.findall(r"`((?:engines|host|transport|bench)(?:\.[a-z_]\w*)+)(?:\.[A-Z]\w*)?`", text):
            path = ROOT / dotted.replace(".", "/")
            above = path.parent.with_suffix(".py")  # a function of a module
            if not (
                path.is_dir() or path.with_suffix(".py").exists() or above.exists() or path.with_suffix(".c").exists()
            ):
                missing.append((file, dotted))
    assert missing == []


def modules() -> dict[str, str]:
    """The file of each module of ours, by dotted name."""
    files = [file for folder in TREES for file in tracked(f"{folder}/*.py")]
    return {file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): file for file in files}


def imported(name: str, file: str, known: dict[str, str]) -> set[str]:
    """The modules of ours that a module imports: at its top, inside functions, and for the type checker."""
    package = name.split(".") if file.endswith("__init__.py") else name.split(".")[:-1]
    found: set[str] = set()
    for node in statements(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                module = f"{source}.{alias.name}"
                found.add(module if module in known else source)
    return found & known.keys() - {name}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for after in graph[node]:
            if after not in index:
                visit(after)
                low[node] = min(low[node], low[after])
            elif after in stack:
                low[node] = min(low[node], index[after])
        if low[node] == index[node]:
            circle = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(circle) > 1:
                found.append(sorted(circle))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_circles_are_found() -> None:
    """False if the search below would find none, whatever the imports are."""
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": {"e"}, "e": set[str](), "f": {"a", "g"}, "g": {"f"}}
    assert circles(graph) == [["b", "c"], ["f", "g"]]


@pytest.mark.storm
def test_no_files_import_each_other_in_a_circle() -> None:
    """False if a file cannot be understood before one that needs it; imports for the type checker count."""
    known = modules()
    assert circles({name: imported(name, file, known) for name, file in known.items()}) == []


def test_lines_of_c_fit_a_screen() -> None:
    """False if a line of C is longer than its readers' windows; Python's are ruff's business."""
    long = [
        f"{file}:{number}"
        for file in tracked("*.c", "*.h")
        for number, line in enumerate((ROOT / file).read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > C_COLUMNS_MAX
    ]
    assert long == []
