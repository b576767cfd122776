"""The code of a log: kept as long as a segment has turns of it, and no longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.examples.timestamping import SERVER
from engines.model import load_family
from host.live.journal.versions import SLACK_NS, Versions, superseded, use_version, version_path


def test_a_version_stays_as_long_as_a_segment_may_have_turns_of_it() -> None:
    """False if history could not be run again, or every version ever run were kept for ever."""
    found = {"a.code": 5, "b.code": 5 + SLACK_NS, "c.code": 6 + SLACK_NS, "d.code": 0}
    assert superseded(found, ["d"], 6 + SLACK_NS) == ["a.code"]
    assert superseded(found, [], 0) == []


def test_a_writer_keeps_what_is_in_force_and_dates_it_with_each_segment(tmp_path: Path) -> None:
    """False if the version in force could be taken for one that is superseded."""
    family = load_family(SERVER.ref)
    now = [10]
    versions = Versions(str(tmp_path), lambda: now[0])
    versions.keep([family])
    path = Path(version_path(str(tmp_path), family.version))
    assert path.stat().st_mtime_ns == 10
    (tmp_path / "old.code").touch()
    now[0] += SLACK_NS
    versions.begin_segment(1)
    assert path.stat().st_mtime_ns == 10 + SLACK_NS
    now[0] += SLACK_NS
    versions.begin_segment(1)
    assert path.stat().st_mtime_ns == 10 + SLACK_NS
    versions.collect(1 << 62)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_file_with_another_text_is_not_run(tmp_path: Path) -> None:
    """False if code ran that no writer of the log had run."""
    family = load_family(SERVER.ref)
    Versions(str(tmp_path), lambda: 0).keep([family])
    path = Path(version_path(str(tmp_path), family.version))
    path.write_bytes(path.read_bytes()[:-1] + b"#")
    with pytest.raises(ValueError, match="is damaged"):
        use_version(str(path))
    other = path.rename(tmp_path / "0123456789ab.code")
    with pytest.raises(ValueError, match="is damaged"):
        use_version(str(other))
