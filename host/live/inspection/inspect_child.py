"""The child process that imports families: an inquiry in, records out, nothing else.

The output of a family's module is dropped, its exception becomes a report, and if it hangs or kills the process, the
records sent before show which one it was. Records are MessagePack after a 4-byte length, in pieces that also fit a
packet socket; the last one is `Done`.
"""

from __future__ import annotations

import os
from typing import Any, Final

import msgspec

from engines.model.blame import blame
from engines.model.declaration import Declaration
from engines.model.store.load import LoadError, load_family
from host.config.convert import ConversionError
from host.config.engine_values import convert_engine
from host.config.finding import Finding
from host.live.inspection.child import end_after, isolate, silence
from host.live.inspection.inspect_records import (
    LENGTH_BYTES,
    PIECE_BYTES_MAX,
    Begin,
    Done,
    EngineValues,
    FamilyReport,
    Inquiry,
    SourceProblem,
    ValueFindings,
)

PROBLEMS_MAX: Final = 100
"""Problems reported for one family."""

_encode: Final = msgspec.msgpack.Encoder().encode


def main(fd: int) -> None:
    """Serve the one inquiry read from `fd`, a connected socket. For a child of the zygote."""
    answer(read_inquiry(fd), fd)


def read_inquiry(fd: int) -> Inquiry:
    """The inquiry written by `frame`. Raises `EOFError`."""
    data = bytearray()
    while len(data) < LENGTH_BYTES or len(data) < LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little"):
        piece = os.read(fd, 2 * PIECE_BYTES_MAX)
        if not piece:
            raise EOFError("no inquiry")
        data += piece
    return msgspec.msgpack.decode(memoryview(data)[LENGTH_BYTES:], type=Inquiry)


def send(fd: int, record: msgspec.Struct) -> None:
    """Write a record, blocking."""
    body = _encode(record)
    data = memoryview(len(body).to_bytes(LENGTH_BYTES, "little") + body)
    while data:
        data = data[os.write(fd, data[:PIECE_BYTES_MAX]) :]


def answer(inquiry: Inquiry, fd: int) -> None:
    """Import, inspect, convert, report to `fd`. Changes this process permanently."""
    look(inquiry, fd)
    send(fd, Done())


def look(inquiry: Inquiry, fd: int, *, is_silent: bool = True) -> dict[str, Declaration[Any, Any, Any]]:
    """As `answer`, without the last record. The families that can be used; `is_silent`: what they print is dropped."""
    isolate(inquiry.deadline_ns)
    if is_silent:
        silence()
    families: dict[str, Declaration[Any, Any, Any]] = {}
    for ref in dict.fromkeys(inquiry.families):
        end_after(inquiry.deadline_ns)
        send(fd, Begin(ref))
        report, declared = inspect_family(ref, inquiry.roots)
        if declared is not None:
            families[ref] = declared
        send(fd, report)
    send(fd, ValueFindings(tuple(f for values in inquiry.engines for f in _find_in(values, families))))
    return families


def inspect_family(ref: str, roots: tuple[str, ...]) -> tuple[FamilyReport, Declaration[Any, Any, Any] | None]:
    """Load a family and describe it; any exception of its module becomes the report's problems."""
    try:
        declared = load_family(ref, roots)
        interface = declared.interface()  # type: ignore[attr-defined]
    except BaseException as error:
        return FamilyReport(ref, problems=_problems_of(error)), None
    device = bool(interface["device"])
    return FamilyReport(ref, declared.name, declared.version, device, interface), declared


def _find_in(values: EngineValues, families: dict[str, Declaration[Any, Any, Any]]) -> tuple[Finding, ...]:
    if values.family not in families:
        return ()
    path = ("engines", values.entry)
    try:
        convert_engine(families[values.family], values.params, values.state, path)
    except ConversionError as error:
        return error.findings
    except BaseException as error:
        return (Finding((*path, "config"), f"refused by the family: {_sentence(error)}", at_key=True),)
    return ()


def _problems_of(error: BaseException) -> tuple[SourceProblem, ...]:
    """An exception as problems with file and line: each problem of a definition, or the place where it was raised."""
    if not isinstance(error, LoadError):
        return (SourceProblem(_sentence(error)),)
    if error.problems:
        return tuple(SourceProblem(p.text, p.file, p.line) for p in error.problems[:PROBLEMS_MAX])
    return (SourceProblem(" ".join(error.reason.split()), error.file, error.line),)


def _sentence(error: BaseException) -> str:
    return " ".join(blame(error)[0].split())
