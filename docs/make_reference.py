"""Writes `docs/reference.md`, the page of everything that `engines.model` exports, from the code itself.

    python docs/make_reference.py

A test holds the page equal to what this writes, so a docstring that changes is followed by a run of it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

import engines.model

PAGE = Path(__file__).parent / "reference.md"

CHAPTERS = {
    "Declaring a family": """
        Family Box Timer compose rule interactive_rule Rule InteractiveRule Message Config Value Ref RefTo Map Blob
        Declaration DefinitionError Problem""",
    "What a rule sees": """
        Arrived Elapsed Configuration Identity Environment Mailbox StoredMessage Handle Pending""",
    "What an action returns": """
        Effects Effect Become Send Sent Put SetTimer CancelTimer Spawn Numbered Store Consume Forget Note Stop
        EffectError""",
    "Questions": """
        Interaction Choose Roll Question Answer AnswerError Ask Asking Answered Overdue""",
    "Devices": """
        Device DeviceHost Driver""",
    "Running an engine without a host": """
        birth birth_values BirthError step arrive raised Delivery Due due_timers next_deadline Outcome Committed
        Suspended Stored Overflow Failed Refused Output Outgoing Spawned Noted Stopped""",
    "Families as data": """
        load_family LoadError use_roots compile_ahead interface_of compatible AdoptError Mismatch Handled
        json_schema""",
    "Values and names": """
        conform ConformError encode convert view owned in_parts blob_places unchecked parse_address parent_name
        is_descendant""",
}
"""Every exported name, in the chapter that an author looks for it."""

HEAD = """# Reference: `engines.model`

Everything that an author of engines imports, by subject. Made from the code by `python docs/make_reference.py`; the
guides show how the pieces fit together, beginning with [writing an engine](guides/writing-an-engine.md).
"""


def page() -> str:
    """The whole page. Raises SystemExit when the chapters name more, or fewer, than what is exported."""
    named = [name for names in CHAPTERS.values() for name in names.split()]
    exported = set(engines.model.__all__)
    if set(named) != exported or len(named) != len(exported):
        sys.exit(f"no chapter: {sorted(exported - set(named))}; not exported: {sorted(set(named) - exported)}")
    chapters = (
        f"\n## {title}\n\n" + "".join(map(_entry, names.split())).rstrip() + "\n" for title, names in CHAPTERS.items()
    )
    return HEAD + "".join(chapters).rstrip() + "\n"


def _entry(name: str) -> str:
    thing = getattr(engines.model, name)
    text = inspect.cleandoc(_described(name, thing))
    return f"### {name}\n\n```python\n{_declared(name, thing)}\n```\n\n{_as_markdown(text)}{_methods(thing)}\n"


def _declared(name: str, thing: Any) -> str:
    """How it is called: the source's own words for fields, signatures and aliases."""
    node = _definition(name)
    if isinstance(node, ast.FunctionDef):
        return _signature(node)
    if not isinstance(node, ast.ClassDef):
        return ast.unparse(node)
    bases = ", ".join(
        ast.unparse(base) for base in node.bases if not ast.unparse(base).startswith(("Generic", "msgspec"))
    )
    fields = [ast.unparse(line) for line in node.body if isinstance(line, ast.AnnAssign) and _is_public(line.target)]
    if isinstance(thing, type) and issubclass(thing, msgspec.Struct):
        return "\n".join(
            [f"class {name}({bases}):" if bases else f"class {name}:", *(f"    {field}" for field in fields or ["..."])]
        )
    maker = next(
        (part for part in _bodies(node) if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None
    )
    return _signature(maker, name) if maker else f"class {name}({bases})" if bases else f"class {name}"


def _signature(node: ast.FunctionDef, name: str | None = None) -> str:
    """A function's parameters in one line, or one a line where that is too long."""
    arguments = ast.unparse(node.args).removeprefix("self, ").removeprefix("self")
    returned = "" if name or node.returns is None else f" -> {ast.unparse(node.returns)}"
    line = f"{name or node.name}({arguments}){returned}"
    if len(line) <= 100:
        return line
    return f"{name or node.name}(\n" + "".join(f"    {part},\n" for part in _split(arguments)) + f"){returned}"


def _split(arguments: str) -> Iterator[str]:
    """The parameters of a signature, apart at the commas outside of brackets."""
    depth, begin = 0, 0
    for place, char in enumerate(arguments):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and not depth:
            yield arguments[begin:place].strip()
            begin = place + 1
    yield arguments[begin:].strip()


def _methods(thing: Any) -> str:
    """Public methods and properties with their first sentence, as a list."""
    if not isinstance(thing, type):
        return ""
    own = {name: value for name, value in vars(thing).items() if not name.startswith("_") and _is_method(value)}
    lines = [f"* `{name}{_parameters(value)}`: {_sentence(inspect.getdoc(value) or '')}" for name, value in own.items()]
    return "".join(f"{line}\n" for line in ["", *lines]) if lines else ""


def _is_method(value: Any) -> bool:
    return inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)


def _parameters(value: Any) -> str:
    if isinstance(value, property):
        return ""
    function = getattr(value, "__func__", value)
    names = [parameter.name for parameter in inspect.signature(function).parameters.values()]
    return f"({', '.join(name for name in names if name not in ('self', 'cls'))})"


def _sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _as_markdown(text: str) -> str:
    """A docstring's `Args:` and `Raises:` as lists; the rest as it is."""
    lines = []
    for line in text.splitlines():
        if line in ("Args:", "Raises:", "Returns:"):
            lines += [f"**{line[:-1]}**", ""]
        elif line.startswith("    ") and ":" in line and not line.startswith("     "):
            name, _, rest = line.strip().partition(":")
            lines.append(f"* `{name}`:{rest}")
        else:
            lines.append(line.strip() if line.startswith("        ") else line)
    return "\n".join(lines).strip() + "\n"


def _described(name: str, thing: Any) -> str:
    node, body = _definition(name), _bodies(_module_tree(_home(name)))
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return ast.get_docstring(node) or inspect.getdoc(thing) or ""
    after = body[body.index(node) + 1] if body.index(node) + 1 < len(body) else None
    text = after.value if isinstance(after, ast.Expr) else None
    return str(text.value) if isinstance(text, ast.Constant) else ""


@cache
def _home(name: str) -> ModuleType:
    """The module that `engines.model` has a name from."""
    for node in _module_tree(engines.model).body:
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return importlib.import_module(f"engines.model.{node.module}")
    raise LookupError(name)


@cache
def _module_tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _definition(name: str) -> Any:
    """The statement that defines a name; of overloads the last, which has the docstring."""
    found = [node for node in _bodies(_module_tree(_home(name))) if name in _names(node)]
    documented = [
        node for node in found if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)
    ]
    return (documented or found)[-1]


def _bodies(node: Any) -> list[ast.stmt]:
    """The statements of a body, those for the type checker in place of those for the interpreter."""
    body: list[ast.stmt] = []
    for part in node.body:
        body += part.body if isinstance(part, ast.If) and ast.unparse(part.test) == "TYPE_CHECKING" else [part]
    return body


def _names(node: ast.stmt) -> tuple[str, ...]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return (node.name,)
    target = (
        node.target if isinstance(node, ast.AnnAssign) else node.targets[0] if isinstance(node, ast.Assign) else None
    )
    return (target.id,) if isinstance(target, ast.Name) else ()


def _is_public(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and not target.id.startswith("_")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
