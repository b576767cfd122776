"""The JSON Schema of the node file: the same verdicts as the loader, and good for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from host.config.explain import explain
from host.config.schema import NodeEntry, editor_schema

from .test_load import FULL
from .test_mistakes import FOLDER


def is_valid(node: Any) -> bool:
    return jsonschema.Draft202012Validator(editor_schema()).is_valid(node)


def test_is_a_schema() -> None:
    """It is itself valid, and plain JSON."""
    schema = msgspec.json.decode(msgspec.json.encode(editor_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)


def test_accepts_a_good_file() -> None:
    """What the loader takes, units included, an editor takes; keys are text for both."""
    node = yaml.safe_load(FULL)
    node["engines"]["server"]["mailboxes"] = {str(k): v for k, v in node["engines"]["server"]["mailboxes"].items()}
    assert is_valid(node)


@pytest.mark.parametrize("name", ["missing", "unknown_keys", "wrong_types", "wrong_values"])
def test_refuses_a_bad_file(name: str) -> None:
    """Mistakes of shape are underlined while typing."""
    node = yaml.load(Path(FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    assert not is_valid(node)


GOOD: dict[str, Any] = {"node": "a", "engines": {"b": {"family": "p:B", "count": 2, "mailboxes": {"0": {}}}}}
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.0,
    2**40,
    "",
    "a",
    "a\n",
    "p:B",
    "core 1",
    "one\n",
    [],
    ["b"],
    [1],
    {},
    {"x": 1},
]
PATHS: list[tuple[str, ...]] = [
    (), ("node",), ("engines",), ("engines", "b"), ("engines", "b\n"), ("engines", "b", "family"),
    ("engines", "b", "config"), ("engines", "b", "state"), ("engines", "b", "acquaintances"),
    ("engines", "b", "placement"), ("engines", "b", "count"), ("engines", "b", "mailboxes"),
    ("engines", "b", "mailboxes", "0"), ("engines", "b", "mailboxes", "01"), ("engines", "b", "mailboxes", "255"),
    ("engines", "b", "mailboxes", "0", "capacity"), ("engines", "b", "mailboxes", "0", "policy"), ("placement",),
    ("placement", "default"), ("transport",), ("transport", "lane_bytes"), ("roots",), ("data",), ("more",),
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=repr)
def test_explains_exactly_what_the_fast_way_refuses(path: tuple[str, ...]) -> None:
    """No file is refused without an explanation, and none explained that would be taken; what is taken is the same."""
    for value in VALUES:
        node = put(GOOD, path, value)
        entry, findings = explain(node)
        try:
            assert entry == msgspec.convert(node, NodeEntry), value
        except msgspec.ValidationError:
            assert findings, value
        else:
            assert not findings, value


def put(node: Any, path: tuple[str, ...], value: Any) -> Any:
    """`node` with `value` at `path`."""
    if not path:
        return value
    return {**node, path[0]: put(node.get(path[0], {}), path[1:], value)}
