"""What logs of a live node keep of history, as its node file says."""

from __future__ import annotations

from pathlib import Path

import pytest
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, JournalSpec
from host.live.journal.replays import NotRetained, states
from host.node.journal.retention import SNAPSHOT_TURNS

RECORD = {"key": "0x6b", "sequence": 1, "source": "s"}


def order(node: LiveNode, records: int) -> int:
    """Have so many records handled."""
    return int(node.send("sink", "Reset", "Seen", count=records, source="source", record=RECORD)["count"])


def snapshot_more(node: LiveNode, slot: Path) -> None:
    """Turns enough for a snapshot, until it is there."""
    before = {path.name for path in slot.glob("*.snap")}
    assert order(node, SNAPSHOT_TURNS) == SNAPSHOT_TURNS
    until(lambda: order(node, 1) and {path.name for path in slot.glob("*.snap")} - before, "a snapshot")


@pytest.mark.storm
@pytest.mark.parametrize(
    "journal", [JournalSpec(retain_bytes=0), JournalSpec(retain_ns=0), JournalSpec()], ids=["bytes", "age", "default"]
)
def test_history_is_kept_as_the_node_file_says(world: World, journal: JournalSpec) -> None:
    """Archived segments pile up beyond the bound, or go before it; an earlier turn is answered with a wrong state."""
    engines = (
        EngineSpec("source", "engines.benchmark.source:SOURCE"),
        EngineSpec("sink", "engines.benchmark.oneway:SINK", durability="crash"),
    )
    slot = world.folder / "test" / "journal" / "sink"
    with world.up(world.spec(*engines, journal=journal)) as node:
        for _ in range(4):
            snapshot_more(node, slot)
        until(lambda: not (slot / "00000001.log").exists(), "the first segment to be archived")
        node.end()
    roots = (str(world.roots),)
    if journal == JournalSpec():
        assert states(str(slot), "test", roots, "sink", 1, verify=False)[0]["turn"] == 1
        return
    assert not list(slot.glob("*.arc"))
    with pytest.raises(NotRetained, match="retained from turn") as caught:
        states(str(slot), "test", roots, "sink", 1, verify=False)
    oldest = int(str(caught.value).split()[-1])
    assert oldest > SNAPSHOT_TURNS
    assert states(str(slot), "test", roots, "sink", oldest, verify=False)[0]["turn"] == oldest
