"""Random numbers for rolls, from the operating system's secure source."""

from __future__ import annotations

import secrets


def uniform(sides: int) -> int:
    """A number from 0 to sides - 1, each equally likely.

    `secrets.randbelow` draws as many bits as `sides` needs and draws again when the number is not below it, so there is
    no modulo bias. Raises `ValueError` for fewer than one side.
    """
    return secrets.randbelow(sides)
