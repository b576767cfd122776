"""What a client types, as the bytes that programs read."""

from __future__ import annotations

import pytest

from engines.interaction.client import bytes_of, number_of


def test_a_number_is_what_programs_write() -> None:
    """False if a typed number were another one to a program."""
    assert [number_of(bytes_of(f"num:{number}")) for number in (0, 5, 2**70)] == [0, 5, 2**70]


@pytest.mark.parametrize("text", ["num:-1", "num:", "num:1.5", "0xzz"])
def test_what_is_no_value_is_refused(text: str) -> None:
    """False if an argument at fault were another error than that of a value."""
    with pytest.raises(ValueError, match=r"negative|invalid literal|non-hexadecimal"):
        bytes_of(text)
