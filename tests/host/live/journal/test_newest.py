"""What is noted of the newest segment of a log, and when its absence is damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from journal_worker import BOOT

from host.live.journal.checksums import checksums
from host.live.journal.folder import Folder, note_path
from host.live.journal.log_files import segment_name
from host.live.journal.newest import note_newest, refuse_missing
from host.node.journal.layout import SegmentHead, encode_segment
from host.node.journal.scan import Damaged

OTHER_BOOT = b"another boot...."


def log_of(path: Path, *numbers: int, newest: int, durable: bool) -> Folder:
    """A log with these segments, whose writer had noted another one."""
    folder = Folder(str(path / "a"), make=True)
    for number in numbers:
        (path / "a" / segment_name(number)).write_bytes(encode_segment(head_of(number), checksums()[1]))
    note_newest(folder, head_of(newest), durable=durable)
    return folder


def head_of(number: int) -> SegmentHead:
    return SegmentHead(1, number, 0, 0, 0, bytes(16), BOOT, bytes(16))


def is_missed(folder: Folder, boot: bytes | None) -> bool:
    try:
        refuse_missing(folder, boot)
    except Damaged:
        return True
    return False


@pytest.mark.parametrize("durable", [False, True])
def test_a_missing_segment_is_damage_unless_a_loss_of_power_explains_it(tmp_path: Path, durable: bool) -> None:
    """False if a removed segment were not missed, or one that was never on the disk were."""
    assert not is_missed(log_of(tmp_path, 1, 2, newest=2, durable=durable), BOOT)
    assert not is_missed(log_of(tmp_path, 1, 2, newest=1, durable=durable), BOOT)
    log = log_of(tmp_path, 1, 2, newest=3, durable=durable)
    assert [is_missed(log, boot) for boot in (BOOT, OTHER_BOOT, None)] == [True, durable, durable]


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("content", [b"", b"EHSEG", bytes(200), b"not a segment" * 20], ids=len)
def test_a_segment_without_its_head_is_missing(tmp_path: Path, content: bytes, durable: bool) -> None:
    """False if an engine began anew because the start of its log was overwritten, and nobody was told."""
    log = log_of(tmp_path, 1, newest=1, durable=durable)
    (tmp_path / "a" / segment_name(1)).write_bytes(content)
    assert [is_missed(log, boot) for boot in (BOOT, OTHER_BOOT, None)] == [True, durable, durable]


def test_what_was_set_aside_or_noted_in_no_known_form_is_not_missed(tmp_path: Path) -> None:
    """False if a cut log, or one whose note a loss of power emptied, could not start."""
    log = log_of(tmp_path, 1, newest=2, durable=True)
    (tmp_path / "a" / "00000002.cut").touch()
    assert not is_missed(log, BOOT)
    (tmp_path / "a" / "00000002.cut").unlink()
    assert is_missed(log, BOOT)
    for text in ("", "{}", "no JSON"):
        Path(note_path(log.path)).write_text(text)
        assert not is_missed(log, BOOT)
