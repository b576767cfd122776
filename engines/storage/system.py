"""A chunk store under check: with requests in any order and engines that fail, what was promised is kept.

A chunk is put, once or more often, pinned, got, and a collection runs, all at once. The devices are their
twins; they keep what they answered, and the store begins anew after a fault. A way between two engines keeps order, as
the store says it needs. `grace`: a chunk has time to get its pin, so nothing that was put is dropped; without, a
collection drops whatever has no pin.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from engines.devices import file_store, key_value
from engines.devices.file_store import FileFolder, KeptFiles
from engines.devices.key_value import Entries, KeyValueFile
from engines.model import Blob, Ref
from engines.model.system import OUTSIDE, Envelope, Member, System
from engines.model.system_view import SystemView
from engines.storage.chunk import encrypted
from engines.storage.collection import HERE, PINNED
from engines.storage.jobs import Jobs
from engines.storage.requests import ChunkContent, ChunkGet, ChunkPut, Collect, Collected, Pin, Stores
from engines.storage.store import STORE

Answers: TypeAlias = tuple[tuple[int, str], ...]
"""History: the kinds of the answers, by request."""

CHUNK, READ = encrypted(b"content")
COLLECT, PIN, GET, PUT = range(4)
"""Numbers of requests; puts have those from `PUT` on."""

DROPPED: Final = "dropped"
"""Kind of the answer of a collection that dropped something."""


def record(answers: Answers, envelope: Envelope, is_sent: bool) -> Answers:
    """The history after an answer was sent."""
    message = envelope.message
    if not is_sent or envelope.target != OUTSIDE:
        return answers
    kind = DROPPED if isinstance(message, Collected) and message.dropped else type(message).__name__
    return tuple(sorted({*answers, (message.request, kind)}))


def files_of(view: SystemView) -> set[bytes]:
    """The addresses of the chunks on the disk."""
    kept: KeptFiles = view.engine("files").state
    return set(kept.contents.keys())


def index_of(view: SystemView) -> set[bytes]:
    """The keys of the index."""
    entries: Entries = view.engine("index").state
    return set(entries.values.keys())


def what_is_here_is_on_the_disk(view: SystemView) -> bool:
    """A chunk that the index has can be read."""
    return {key[1:] for key in index_of(view) if key[:1] == HERE} <= files_of(view)


def a_pinned_chunk_is_here(view: SystemView) -> bool:
    """A pinned chunk is not collected."""
    keys = index_of(view)
    return not any(key[:1] == PINNED for key in keys) or HERE + READ.address in keys


def an_answered_put_is_readable(view: SystemView) -> bool:
    """A chunk that was stored, by its answer, is in index and files."""
    is_stored = any(kind in ("ChunkStored", "ChunkExists") for _, kind in view.history)
    return not is_stored or (READ.address in files_of(view) and HERE + READ.address in index_of(view))


def has_jobs(view: SystemView) -> bool:
    """The store is at work."""
    state: Jobs = view.engine("store").state
    return bool(state.jobs)


def is_idle(view: SystemView) -> bool:
    """The store is not at work."""
    return not has_jobs(view)


def dropped(view: SystemView) -> bool:
    """A collection dropped something."""
    return (COLLECT, DROPPED) in view.history


def got(view: SystemView) -> bool:
    """The chunk was got, and is pinned."""
    return (GET, ChunkContent.__name__) in view.history and any(key[:1] == PINNED for key in index_of(view))


def SYSTEM(puts: int = 1, grace: bool = False) -> System:
    """The store, with so many puts. `grace`: chunks have time to get a pin."""
    reply = Ref[Any](OUTSIDE)
    orders = [
        Pin(READ.address, "kept", reply, PIN),
        Collect(reply, COLLECT),
        ChunkGet(READ.address, reply, GET),
        *(ChunkPut(Blob(CHUNK), reply, PUT + number) for number in range(puts)),
    ]
    return System(
        name="storage",
        members=[
            Member("store", STORE, Stores(Ref("files"), Ref("index"), grace_ns=1 if grace else 0)),
            Member("files", file_store.TWIN, FileFolder("/files"), is_durable=True),
            Member("index", key_value.TWIN, KeyValueFile("/index"), is_durable=True),
        ],
        messages=[Envelope("store", order, f"client.{number}") for number, order in enumerate(orders)],
        network="ordered",
        history=(),
        record=record,
        always=[
            what_is_here_is_on_the_disk,
            a_pinned_chunk_is_here,
            *([an_answered_put_is_readable] if grace else []),
        ],
        sometimes=[got, *([] if grace else [dropped])],
        leads_to=[(has_jobs, is_idle)],
    )
