"""The chunk store: keeps chunks in a file store, and in a key-value store what it must know to drop them again.

| key of the index | value | meaning |
|---|---|---|
| `h` address | `Kept` | the chunk is here; its children |
| `m` address identity | `ChunkCommitment` | somebody promised to keep it until a time |
| `p` address name | empty | it is pinned under this name |
| `d` address | empty | its file is about to be deleted |

A chunk is kept while a pin, or a commitment that has not expired, is on it or on a chunk above it, and for `grace_ns`
after it was put last, so that the parts of a file may come before its pin. `Collect` drops the others.

An order goes through a job with a number, which the devices' answers bear:

    ChunkPut     Putting --FileStored, FileExists--> Indexing --ValueChanged--> ChunkStored, ChunkExists
    ChunkGet     Getting --FileContent--> ChunkContent
                         --FileContent, more to get--> Getting
                         --FileMissing--> Asking --ValuesScanned--> ChunkCommitments, ChunkNotFound
    Pin, Commit  Checking --ValueRead--> Marking --ValueChanged--> Marked            (Unpin begins as Marking)
    Collect      Scanning --ValuesScanned, repeatedly--> Sweeping --ValuesChanged--> Deleting --FilesDeleted--> Sweeping
                 until nothing is left --> Collected

A job whose device does not answer within `wait_ns` fails; repeating an order is harmless. Devices answer an engine in
the order of its questions, over a way that keeps order.

Crash points. The file is there before the index says so: a kill in between leaves a file that the next put of the
chunk finds. In a collection the index first moves from `h` to `d`, in one batch, then the files go, then the `d` with
the next batch: the next collection deletes what still has one. During a collection pins and commitments are refused
(`busy`). A chunk that is put meanwhile is not deleted; if its file may be on the way out already, the put fails with
`busy`, to be repeated.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from engines.devices.file_store import (
    GetFile,
    PutFile,
    VerifyFiles,
)
from engines.devices.key_value import (
    DeleteValue,
    GetValue,
    ScanValues,
)
from engines.model import (
    Arrived,
    Become,
    Blob,
    Effect,
    Effects,
    Elapsed,
    Family,
    Handle,
    Note,
    Ref,
    Send,
    SetTimer,
    Timer,
    encode,
    rule,
)
from engines.storage.chunk import ChunkError, head_of
from engines.storage.collection import COMMITTED, HERE, PINNED
from engines.storage.jobs import (
    JOBS_MAX,
    Checking,
    Getting,
    Job,
    Jobs,
    Kept,
    Listing,
    Marking,
    Putting,
    Scanning,
)
from engines.storage.requests import (
    ChunkFailed,
    ChunkGet,
    ChunkPut,
    Collect,
    Commit,
    Disk,
    Index,
    ListPins,
    Pin,
    Stores,
    Unpin,
    Verify,
)
from engines.storage.steps import Answered, Done, FromDevices, Out, Told, after_files, after_index

WAIT = Timer("wait")
Request: TypeAlias = ChunkPut | ChunkGet | Commit | Pin | Unpin | Collect | ListPins
Asked = Arrived[ChunkPut | ChunkGet | Commit | Pin | Unpin | Collect | ListPins, Stores, Jobs]


def fault(t: Asked) -> ChunkFailed | None:
    """Why a request is refused at once."""
    order, state = t.message, t.env.state
    if len(state.jobs) >= JOBS_MAX:
        return ChunkFailed("busy", f"{JOBS_MAX} requests are worked on", order.request)
    if isinstance(order, Collect | Pin | Commit) and state.collection is not None:
        return ChunkFailed("busy", "a collection is under way", order.request)
    if isinstance(order, ChunkPut):
        try:
            head = head_of(order.chunk.view)
        except ChunkError as error:
            return ChunkFailed("malformed", str(error), order.request)
        if 0 < head.expiry_ns <= t.now_ns:
            return ChunkFailed("expired", "the chunk is of no use any more", order.request)
    if isinstance(order, Commit):
        if not order.commitment.is_valid:
            return ChunkFailed("not signed", "the signature of the commitment does not hold", order.request)
        if order.commitment.expiry_ns <= t.now_ns:
            return ChunkFailed("expired", "the commitment is over", order.request)
    return None


@rule(when=fault)
def refuse(found: ChunkFailed, t: Asked) -> Effects[Jobs, Out]:
    """Messages: the reason. State, timers, engines: none."""
    reply: Ref[Any] = t.message.reply
    return Send(reply, found)


@rule(priority=1)
def take(order: Request, t: Asked) -> Effects[Jobs, Out]:
    """State: a job. Messages: what a device is asked. Timers: until when it may take. Engines: none."""
    files, index, me = t.config.files, t.config.index, Ref[Any](t.me.name)
    job: Job
    match order:
        case ChunkPut():
            job = Putting(order.reply, order.request, t.now_ns, kept_of(order.chunk, t.now_ns))
            number, state = t.env.state.begun(job, t.now_ns)
            return [*waited(t), Become(state), Send(files, PutFile(order.chunk, me, number))]
        case ChunkGet():
            number, state = t.env.state.begun(Getting(order.reply, order.request, t.now_ns, order.depth), t.now_ns)
            return [*waited(t), Become(state), Send(files, GetFile(order.address, me, number))]
        case Commit() | Pin():
            job = check_of(order, t.now_ns)
            number, state = t.env.state.begun(job, t.now_ns)
            return [*waited(t), Become(state), Send(index, GetValue(HERE + job.address, me, number))]
        case Unpin():
            job = Marking(order.reply, order.request, t.now_ns, order.address)
            number, state = t.env.state.begun(job, t.now_ns)
            return [*waited(t), Become(state), Send(index, DeleteValue(pin_key(order), me, number))]
        case Collect():
            number, state = t.env.state.begun(Scanning(order.reply, order.request, t.now_ns), t.now_ns)
            return [*waited(t), Become(state), Send(index, ScanValues(b"", me, request=number))]
        case ListPins():
            number, state = t.env.state.begun(Listing(order.reply, order.request, t.now_ns), t.now_ns)
            return [*waited(t), Become(state), Send(index, ScanValues(PINNED, me, order.first, request=number))]


def waited(t: Arrived[Any, Stores, Jobs]) -> Done:
    """Timers: the time-out of jobs, unless it is set."""
    return [] if t.env.is_pending(WAIT) else [SetTimer(WAIT, after_ns=t.config.wait_ns)]


def kept_of(chunk: Blob, now_ns: int) -> Kept:
    """What the index will have about a chunk."""
    head = head_of(chunk.view)
    return Kept(head.children, len(chunk), head.expiry_ns, now_ns)


def check_of(order: Commit | Pin, now_ns: int) -> Checking:
    """The job that marks a chunk."""
    if isinstance(order, Pin):
        return Checking(order.reply, order.request, now_ns, order.address, pin_key(order), b"", 0)
    made = order.commitment
    key = COMMITTED + made.chunk + made.node
    return Checking(order.reply, order.request, now_ns, made.chunk, key, encode(made), made.expiry_ns)


def pin_key(order: Pin | Unpin) -> bytes:
    """The key of a pin in the index."""
    return PINNED + order.address + order.name.encode()


def number_of(t: Answered) -> int | None:
    """The number of the job that a device answers, if it is one of ours."""
    if t.sender not in (str(t.config.files).partition("#")[0], str(t.config.index).partition("#")[0]):
        return None
    return t.message.request if t.message.request in t.env.state.jobs else None


@rule(when=number_of)
def proceed(number: int, t: Answered) -> Effects[Jobs, Out]:
    """State: the job waits for the next answer, or is over. Messages: the next question, or the outcome. Timers,
    engines: none."""
    job = t.env.state.jobs[number]
    return after_files(job, t) or after_index(job, t) or Note("an answer that does not fit its job", by=t.sender)


@rule(priority=1)
def disregard(_answer: Any, t: Answered) -> Effects[Jobs, Out]:
    """An answer that came too late, or from another engine: a note. State, messages, timers, engines: none."""
    return Note("an answer that was not asked for", by=t.sender)


@rule
def verify(order: Verify, t: Arrived[Verify, Stores, Jobs]) -> Effects[Jobs, Out]:
    """Messages: to the file store, which answers `reply`. State, timers, engines: none."""
    return Send(t.config.files, VerifyFiles(order.reply, order.first, order.count, order.request))


@rule(timer=WAIT)
def give_up(_wait: Handle, t: Elapsed[Stores, Jobs]) -> Effects[Jobs, Out]:
    """State: jobs that wait too long are over. Messages: that they failed. Timers: the next look, while there are jobs.
    Engines: none."""
    state = t.env.state
    late = [(number, job) for number, job in state.jobs.items() if job.since_ns + t.config.wait_ns <= t.now_ns]
    failures = list[Effect[Jobs, Out]]()
    for number, job in late:
        reply: Ref[Any] = job.reply
        failures.append(Send(reply, ChunkFailed("timeout", "a device does not answer", job.request)))
        state = state.done(number)
    return [Become(state), *failures, *([SetTimer(WAIT, after_ns=t.config.wait_ns)] if state.jobs else [])]


STORE = Family(
    "chunk-store",
    config=Stores,
    state=Jobs(),
    accepts=Request | Verify | FromDevices,
    emits=Told | Disk | Index,
    timers=[WAIT],
).rules(refuse, take, proceed, disregard, verify, give_up)
