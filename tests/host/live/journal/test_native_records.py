"""Records made in C are those made in Python, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.live.journal.checksums import checksums, pack_of
from host.node.journal.checksum import CRC32, CRC32C, PURE
from host.node.journal.layout import encode_record

_sums = pytest.importorskip("host.live.journal._sums")


@given(st.binary(max_size=300), st.integers(1, 13), st.integers(0, 2**32 - 1))
def test_a_record_in_c_is_one_in_python(body: bytes, kind: int, engine: int) -> None:
    """False if a log could be read by one build only."""
    for checksum_kind in (CRC32C, CRC32):
        record = pack_of(checksum_kind)(kind, engine, body)
        assert record == encode_record(kind, engine, body, PURE[checksum_kind])
        assert record == encode_record(kind, engine, memoryview(body), checksums()[checksum_kind])


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_the_checksum_in_c_is_that_by_table(data: bytes, start: int) -> None:
    """False if CRC32C by the processor were another checksum."""
    assert _sums.crc32c(data, start) == PURE[CRC32C](data, start)


def test_wrong_arguments_are_errors() -> None:
    """False if the extension crashed on them."""
    for act in (
        lambda: _sums.record(1, 2),
        lambda: _sums.record("1", 2, b""),
        lambda: _sums.record(1, 2, "text"),
        lambda: _sums.crc32c(b""),
        lambda: _sums.crc32c("", 0),
    ):
        with pytest.raises(TypeError):
            act()
