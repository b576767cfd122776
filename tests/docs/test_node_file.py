"""The page about the node file is complete: what the schema knows, it tells, with the same defaults."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from host.config.schema import (
    EngineEntry,
    GroupEntry,
    LimitsEntry,
    MailboxEntry,
    NodeEntry,
    PlacementEntry,
    SupervisionEntry,
)
from host.config.spec import TransportSpec
from host.config.units import parse_quantity, unit_suffix

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "node-file.md"
ROW = re.compile(r"^\| `(\w+)` \| (.*?) \|", re.MULTILINE)
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "The top": NodeEntry,
    "An engine": EngineEntry,
    "Mailboxes": MailboxEntry,
    "Limits": LimitsEntry,
    "Supervision": SupervisionEntry,
    "Groups": GroupEntry,
    "Placement": PlacementEntry,
    "Transport": TransportSpec,
}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_told_with_its_default(section: str) -> None:
    """If false, a key can be found by reading the source alone, or its default has changed unsaid."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    told = dict(ROW.findall(text))
    fields = {field.encode_name: field for field in msgspec.structs.fields(SECTIONS[section])}
    assert list(told) == list(fields)
    for name, field in fields.items():
        if field.required:
            assert told[name] == "must be given", name
        elif isinstance(field.default, int) and (suffix := unit_suffix(name)):
            assert parse_quantity(told[name].strip("`"), suffix) == field.default, name
        elif isinstance(field.default, str | int):
            assert told[name].strip("`") == str(field.default), name
