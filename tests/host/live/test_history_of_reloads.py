"""What live nodes leave behind of reloads under load: each turn can be run again by the version that made it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from deadline import DEADLINE_S
from live_nodes import World, until
from test_journaled_reload import FREE, reload

from host.config.spec import EngineSpec
from host.live.journal.data_folder import find_logs
from host.live.journal.operations import history
from host.program import command

RELOADS = 6
NUMBERS = 50


def asked(*argv: str) -> list[dict[str, Any]]:
    """The items of a command that succeeds."""
    line = [*command("host.__main__"), *argv, "--json"]
    return list(json.loads(subprocess.check_output(line, timeout=2 * DEADLINE_S))["items"])


@pytest.mark.storm
def test_reloads_with_mail_under_way_are_verified_turn_by_turn(world: World) -> None:
    """False if an engine that a candidate took over by following its log, with mail and outputs under way, could not be
    made again: then its digests, its snapshots or the messages between two logs would differ."""
    kinds = (("from", "pairing:SENDER"), ("to", "pairing:RECEIVER"))
    engines = [EngineSpec(name, family, durability="crash") for name, family in kinds]
    followed = 0
    with world.up(world.spec(*engines, supervision=FREE)) as node:
        for number in range(RELOADS):
            source = world.roots / "pairing.py"
            source.write_text(source.read_text().partition("# edition")[0] + f"# edition {number}\n")
            node.send("from", "Go", to=["to"], first=1 + number * NUMBERS, count=NUMBERS)
            followed += bool(reload(node, kinds[number % 2][0], rehearse=10_000).get("followed"))
        until(lambda: len(node.ask("state", engine="to")[0]["state"]["numbers"]) == NUMBERS * RELOADS, "the numbers")
        node.end()
    (world.roots / "pairing.py").unlink()
    data = str(world.folder / "test")
    logs = find_logs(data)
    versions = {name: {turn["code"] for turn in history(logs, name)} for name, _ in kinds}
    print(f"{followed} of {RELOADS} followed, versions: {versions}")
    assert all(len(one) > 1 for one in versions.values())
    found = asked("replay", data, "--verify")
    assert [(item["from_turn"], item["other_code"], item["diverged"]) for item in found] == [(0, [], "")] * 2
    (verdict,) = asked("conform", data)
    assert (verdict["conforms"], verdict["notes"]) == (True, [])
    assert verdict["turns"] == sum(item["turn"] for item in found)
    (chart,) = asked("chart", data)
    assert not [note for note in chart["notes"] if "from records alone" in note]
