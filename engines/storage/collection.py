"""Which chunks a collection drops. Pure functions of what the index says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from engines.devices.key_value import Change, Entry
from engines.model import Map
from engines.model.values import Decoder
from engines.storage.chunk import ADDRESS_BYTES, ChunkCommitment
from engines.storage.jobs import Kept, Scanning, Sweeping

HERE: Final = b"h"
COMMITTED: Final = b"m"
PINNED: Final = b"p"
LEAVING: Final = b"d"

SWEPT_MAX: Final = 300
"""Chunks of one batch: at most three changes each fit `CHANGES_MAX`."""

KEPT: Final[Decoder[Kept]] = Decoder(Kept)
COMMITMENTS: Final[Decoder[ChunkCommitment]] = Decoder(ChunkCommitment)


def noted(scan: Scanning, entries: Iterable[Entry], now_ns: int) -> Scanning:
    """A scan with more entries of the index."""
    chunks, roots, lapsed, leaving = scan.chunks, list(scan.roots), list(scan.lapsed), list(scan.leaving)
    for entry in entries:
        kind, address = entry.key[:1], entry.key[1 : 1 + ADDRESS_BYTES]
        if kind == HERE:
            chunks = chunks.set(address, KEPT.decode(entry.value))
        elif kind == LEAVING:
            leaving.append(address)
        elif kind == PINNED or COMMITMENTS.decode(entry.value).expiry_ns > now_ns:
            roots.append(address)
        else:
            lapsed.append(entry.key)
    return replace(scan, chunks=chunks, roots=tuple(roots), lapsed=tuple(lapsed), leaving=tuple(leaving))


def reachable(roots: Iterable[bytes], chunks: Mapping[bytes, Kept]) -> set[bytes]:
    """The chunks that are here, at the roots and below them."""
    found, ahead = set[bytes](), list(roots)
    while ahead:
        address = ahead.pop()
        if address in chunks and address not in found:
            found.add(address)
            ahead += chunks[address].children
    return found


def sweep_of(scan: Scanning, put: Iterable[bytes], now_ns: int, grace_ns: int) -> Sweeping:
    """What to delete after a whole scan. `put`: the chunks that were put since it began."""
    chunks = dict(scan.chunks.items())
    young = (address for address, kept in chunks.items() if kept.put_ns + grace_ns > now_ns)
    stay = reachable((*scan.roots, *young, *put), chunks) | set(put)
    doomed = [HERE + address for address in sorted(chunks.keys() - stay)]
    unfinished = [LEAVING + address for address in scan.leaving if address not in chunks]
    left, back = (*scan.lapsed, *unfinished, *doomed), tuple(address for address in scan.leaving if address in chunks)
    return Sweeping(scan.reply, scan.request, now_ns, len(chunks) - len(doomed), left, gone=back)


def batch_of(sweep: Sweeping, put: Map[bytes, bool]) -> tuple[Sweeping, tuple[Change, ...]]:
    """The next changes of the index; the files of `next` go once they are made. No changes: the sweep is over."""
    changes = [Change(LEAVING + address, None) for address in sweep.gone[:SWEPT_MAX]]
    going = list[bytes]()
    for key in sweep.left[:SWEPT_MAX]:
        address = key[1 : 1 + ADDRESS_BYTES]
        if key[:1] == COMMITTED:
            changes.append(Change(key, None))
        elif address not in put:
            going.append(address)
            changes += [Change(HERE + address, None), Change(LEAVING + address, b"")] if key[:1] == HERE else []
    return replace(sweep, left=sweep.left[SWEPT_MAX:], next=tuple(going), gone=sweep.gone[SWEPT_MAX:]), tuple(changes)
