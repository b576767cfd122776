"""`Blob`: read-only, equal by content, owned after `copy`."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.model.blob import Blob


@given(st.binary(), st.binary())
def test_it_is_compared_and_hashed_by_content(first: bytes, second: bytes) -> None:
    """Two states of equal content would differ by where their bytes lie."""
    lent = Blob(memoryview(bytearray(first)).toreadonly())
    assert lent == Blob(first) == first
    assert hash(lent) == hash(Blob(first)) == hash(first)
    assert (lent == Blob(second)) == (first == second)
    assert bytes(lent) == first
    assert len(lent) == len(first)


@given(st.binary(), st.integers(0, 20), st.integers(0, 20))
def test_a_part_is_a_view_of_the_same_bytes(content: bytes, start: int, stop: int) -> None:
    """A part would be copied, or be another part."""
    part = Blob(content)[start:stop]
    assert part == content[start:stop]
    assert part.view.obj is content
    assert part.copy() == part


def test_a_copy_owns_its_bytes() -> None:
    """A blob kept in state would change when the transport's memory is used again."""
    memory = bytearray(b"first")
    lent = Blob(memoryview(memory).toreadonly())
    kept = lent.copy()
    memory[:] = b"other"
    assert lent == b"other"
    assert kept == b"first"
    assert not lent.is_owned
    assert kept.is_owned
    assert kept.copy() is kept


def test_a_copy_of_a_part_lets_the_whole_go() -> None:
    """Ten bytes in state would keep a megabyte alive."""
    part = Blob(b"0123456789")[2:4]
    assert part.is_owned
    assert part.copy().view.obj == b"23"


@pytest.mark.parametrize("content", [bytearray(b"x"), "x", [1], memoryview(bytearray(b"x")), memoryview(b"xyz")[::2]])
def test_what_can_be_written_through_is_refused(content: Any) -> None:
    """A blob could change after it was compared or sent."""
    with pytest.raises(TypeError):
        Blob(content)


def test_writing_to_it_fails_and_names_it() -> None:
    """A rule could change a message it was only shown."""
    blob: Any = Blob(b"abc")
    with pytest.raises(TypeError, match="Blob"):
        blob[0] = 1
    with pytest.raises(AttributeError, match="Blob"):
        blob.view = memoryview(b"other")
    with pytest.raises(TypeError, match="read-only"):
        blob.view[0] = 1
    assert repr(Blob(b"\x01" * 20)).startswith("Blob(0x0101")
