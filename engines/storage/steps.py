"""The steps of a chunk store's jobs: from a device's answer to the next question, or to the outcome."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from engines.devices.file_store import (
    DeleteFiles,
    FileContent,
    FileDamaged,
    FileExists,
    FileMissing,
    FileRefused,
    FilesDeleted,
    FileStored,
    GetFile,
)
from engines.devices.key_value import (
    ChangeValues,
    ScanValues,
    SetValue,
    ValueChanged,
    ValueRead,
    ValueRefused,
    ValuesChanged,
    ValuesScanned,
)
from engines.model import (
    Arrived,
    Become,
    Effect,
    Ref,
    Send,
    encode,
)
from engines.storage.chunk import ADDRESS_BYTES, head_of
from engines.storage.collection import COMMITMENTS, COMMITTED, HERE, KEPT, batch_of, noted, sweep_of
from engines.storage.jobs import (
    Asking,
    Checking,
    Getting,
    Indexing,
    Job,
    Jobs,
    Listing,
    Marking,
    Putting,
    Scanning,
    Sweeping,
    Wanted,
)
from engines.storage.requests import (
    BELOW_MAX,
    ChunkCommitments,
    ChunkContent,
    ChunkExists,
    ChunkFailed,
    ChunkNotFound,
    ChunkStored,
    Collected,
    Disk,
    Index,
    Marked,
    Pinned,
    Pins,
    Stores,
)

COMMITMENTS_MAX: Final = 100
"""Commitments in one answer."""

Told: TypeAlias = (
    ChunkStored
    | ChunkExists
    | ChunkFailed
    | ChunkContent
    | ChunkCommitments
    | ChunkNotFound
    | Marked
    | Collected
    | Pins
)
Out: TypeAlias = Told | Disk | Index
Done: TypeAlias = list[Effect[Jobs, Out]]
FromDevices: TypeAlias = (
    FileStored
    | FileExists
    | FileRefused
    | FileContent
    | FileMissing
    | FileDamaged
    | FilesDeleted
    | ValueChanged
    | ValueRead
    | ValueRefused
    | ValuesChanged
    | ValuesScanned
)
Answered = Arrived[FromDevices, Stores, Jobs]


def after_files(job: Job, t: Answered) -> Done:
    """What follows an answer of the file store; nothing if the job waits for another one."""
    answer = t.message
    match job, answer:
        case Putting(), FileStored() | FileExists():
            return index_chunk(job, answer, t)
        case Putting(), FileRefused():
            return conclude(job, ChunkFailed("full", answer.detail, job.request), t)
        case Getting(), FileContent():
            return got(job, answer, t)
        case Getting(), FileMissing() if job.below:
            return get_on(job, ChunkNotFound(answer.address, job.request, len(job.ahead)), t)
        case Getting(), FileDamaged():
            detail = f"chunk {answer.address.hex()}: {answer.path}: {answer.detail}"
            return conclude(job, ChunkFailed("damaged", detail, job.request), t)
        case Getting(), FileMissing():
            asking = Asking(job.reply, job.request, t.now_ns, answer.address)
            scan = ScanValues(COMMITTED + answer.address, Ref[Any](t.me.name), b"", COMMITMENTS_MAX, answer.request)
            return [Become(t.env.state.changed(answer.request, asking)), Send(t.config.index, scan)]
        case Sweeping(), FilesDeleted():
            done = replace(job, dropped=job.dropped + answer.count, dropped_bytes=job.dropped_bytes + answer.size_bytes)
            return sweep(replace(done, gone=(*job.gone, *job.out), out=()), t.env.state, t)
    return []


def after_index(job: Job, t: Answered) -> Done:
    """What follows an answer of the index; nothing if the job waits for another one."""
    answer = t.message
    match job, answer:
        case Indexing(), ValueChanged():
            kind = ChunkExists if job.exists else ChunkStored
            return conclude(job, kind(job.address, job.request), t)
        case Asking(), ValuesScanned():
            return conclude(job, commitments_of(job, answer, t.now_ns), t)
        case Checking(), ValueRead():
            return mark(job, answer, t)
        case Marking(), ValueChanged():
            return conclude(job, Marked(job.address, job.request), t)
        case Listing(), ValuesScanned():
            return conclude(job, pins_of(job, answer), t)
        case Scanning(), ValuesScanned():
            return scan_on(job, answer, t)
        case Sweeping(), ValuesChanged():
            return delete_files(job, t)
        case _, ValueRefused():
            return conclude(job, ChunkFailed("full", answer.detail, job.request), t)
    return []


def conclude(job: Job, outcome: Told, t: Answered) -> Done:
    """State: the job is over. Messages: the outcome."""
    reply: Ref[Any] = job.reply  # each job concludes with an outcome that its reply takes
    answer: Any = Send(reply, outcome)
    return [Become(t.env.state.done(t.message.request)), answer]


def got(job: Getting, found: FileContent, t: Answered) -> Done:
    """State, messages: as `get_on`, with the chunks below this one behind those that are ahead."""
    children = head_of(found.content.view).children if job.depth else ()
    below = tuple(Wanted(child, job.depth - 1) for child in children)[: BELOW_MAX - job.below]
    wider = replace(job, ahead=(*job.ahead, *below), below=job.below + len(below))
    return get_on(wider, ChunkContent(found.address, found.content, job.request, len(wider.ahead)), t)


def get_on(job: Getting, outcome: ChunkContent | ChunkNotFound, t: Answered) -> Done:
    """State: the job gets the next chunk, or is over. Messages: the outcome of this one; the next question."""
    if not job.ahead:
        return conclude(job, outcome, t)
    number, wanted = t.message.request, job.ahead[0]
    after = replace(job, since_ns=t.now_ns, depth=wanted.depth, ahead=job.ahead[1:])
    order = GetFile(wanted.address, Ref[Any](t.me.name), number)
    reply: Ref[Any] = job.reply  # as in `conclude`
    answer: Any = Send(reply, outcome)
    return [Become(t.env.state.changed(number, after)), answer, Send(t.config.files, order)]


def index_chunk(job: Putting, answer: FileStored | FileExists, t: Answered) -> Done:
    """State: the chunk stays. Messages: its entry, to the index."""
    state, number, address = t.env.state, answer.request, answer.address
    sweeping = state.collection
    if isinstance(sweeping, Sweeping) and address in sweeping.out:
        return conclude(job, ChunkFailed("busy", "the chunk was being collected", job.request), t)
    indexing = Indexing(job.reply, job.request, t.now_ns, address, isinstance(answer, FileExists))
    after = state.changed(number, indexing)
    if sweeping is not None:
        after = replace(after, put=after.put.set(address, True))
    entry = SetValue(HERE + address, encode(job.kept), Ref[Any](t.me.name), number)
    return [Become(after), Send(t.config.index, entry)]


def commitments_of(job: Asking, found: ValuesScanned, now_ns: int) -> ChunkCommitments | ChunkNotFound:
    """The commitments that hold, or that there is none."""
    every = (COMMITMENTS.decode(entry.value) for entry in found.entries)
    valid = tuple(one for one in every if one.expiry_ns > now_ns)
    return ChunkCommitments(job.address, valid, job.request) if valid else ChunkNotFound(job.address, job.request)


def pins_of(job: Listing, found: ValuesScanned) -> Pins:
    """Pins as the index has them."""
    pairs = ((entry.key[1 + ADDRESS_BYTES :], entry.key[1 : 1 + ADDRESS_BYTES]) for entry in found.entries)
    return Pins(tuple(Pinned(name.decode(), address) for name, address in pairs), found.following, job.request)


def mark(job: Checking, found: ValueRead, t: Answered) -> Done:
    """State: the mark is on its way. Messages: the mark, to the index; or why there is none."""
    kept = None if found.value is None else KEPT.decode(found.value)
    if t.env.state.collection is not None:
        return conclude(job, ChunkFailed("busy", "a collection is under way", job.request), t)
    if kept is None and not job.expiry_ns:
        return conclude(job, ChunkNotFound(job.address, job.request), t)
    if kept is not None and 0 < kept.expiry_ns < job.expiry_ns:
        return conclude(job, ChunkFailed("expired", "the chunk is of use for a shorter time", job.request), t)
    marking = Marking(job.reply, job.request, t.now_ns, job.address)
    order = SetValue(job.key, job.value, Ref[Any](t.me.name), found.request)
    return [Become(t.env.state.changed(found.request, marking)), Send(t.config.index, order)]


def scan_on(job: Scanning, found: ValuesScanned, t: Answered) -> Done:
    """State: what was found; after the last entry, what goes. Messages: the next question to the index."""
    scan = replace(noted(job, found.entries, t.now_ns), since_ns=t.now_ns)
    state = t.env.state
    if found.following:
        order = ScanValues(b"", Ref[Any](t.me.name), found.following, request=found.request)
        return [Become(state.changed(found.request, scan)), Send(t.config.index, order)]
    return sweep(sweep_of(scan, state.put, t.now_ns, t.config.grace_ns), state, t)


def sweep(job: Sweeping, state: Jobs, t: Answered) -> Done:
    """State, messages: the next changes of the index, or the outcome."""
    after, changes = batch_of(replace(job, since_ns=t.now_ns), state.put)
    if not (changes or after.next or after.left or after.gone):
        outcome = Collected(job.dropped, job.dropped_bytes, job.kept, job.request)
        return conclude(job, outcome, t)
    order = ChangeValues(changes, Ref[Any](t.me.name), t.message.request)
    return [Become(state.changed(t.message.request, after)), Send(t.config.index, order)]


def delete_files(job: Sweeping, t: Answered) -> Done:
    """State: the files are on their way out, but for chunks that were put again. Messages: to the file store."""
    out = tuple(address for address in job.next if address not in t.env.state.put)
    back = tuple(address for address in job.next if address in t.env.state.put)
    after = replace(job, next=(), out=out, gone=(*job.gone, *back), since_ns=t.now_ns)
    order = DeleteFiles(out, Ref[Any](t.me.name), t.message.request)
    return [Become(t.env.state.changed(t.message.request, after)), Send(t.config.files, order)]
