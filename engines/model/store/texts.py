"""The source of one version of a family as data: the texts that its digest covers, to be kept and run later.

The version of a family is the digest of these texts, so whoever reads them back knows that they are the ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import msgspec

VERSION_BYTES: Final = 6
SUM_BYTES: Final = 32
"""The version is too short to show every damage; the sum in front of the packed texts is not."""


class ModuleText(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A module and the text that it was compiled from."""

    name: str
    is_package: bool
    source: bytes


def version_of(texts: Iterable[ModuleText]) -> str:
    """The version of a family that consists of these modules."""
    digest = blake2b(digest_size=VERSION_BYTES)
    for text in sorted(texts):
        digest.update(f"{text.name} {len(text.source)}\n".encode())
        digest.update(text.source)
    return digest.hexdigest()


def pack_texts(texts: Iterable[ModuleText]) -> bytes:
    """The texts as bytes."""
    packed = msgspec.msgpack.encode(sorted(texts))
    return blake2b(packed, digest_size=SUM_BYTES).digest() + packed


def unpack_texts(data: bytes, version: str) -> tuple[ModuleText, ...]:
    """The texts of a version. Raises ValueError if these are not they."""
    total, packed = data[:SUM_BYTES], data[SUM_BYTES:]
    if blake2b(packed, digest_size=SUM_BYTES).digest() != total:
        raise ValueError(f"the kept code of version {version} is damaged")
    try:
        texts = msgspec.msgpack.decode(packed, type=tuple[ModuleText, ...])
    except msgspec.DecodeError as error:
        raise ValueError(f"the kept code of version {version}: {error}") from None
    if version_of(texts) != version:
        raise ValueError(f"the kept code of version {version} is that of {version_of(texts)}")
    return texts
