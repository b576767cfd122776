"""A log shown record by record as plain data, without loading any family.

Messages are shown as the codec decodes them without a type. `describe` shows every record; `turns_of` shows the
transitions of one engine, each with its cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from host.node.journal.layout import Wrong
from host.node.journal.records import (
    TURN,
    DueTurn,
    RecordKind,
    Resumed,
    StreamImage,
    TurnResult,
    decode_body,
    decode_run,
)
from host.node.journal.replay import LogState
from host.node.journal.scan import Damaged, Found
from host.node.mailbox import Mail

ReadFrame = Callable[[memoryview], Mail]


class Teller:
    """Reads batches in order. `names` are those of the segment."""

    def __init__(self, read_frame: ReadFrame) -> None:
        self._read_frame = read_frame
        self._names: dict[int, str] = {}
        self._mail: dict[tuple[str, str, int, int], dict[int, Any]] = {}
        self._turns: dict[str, int] = {}

    def restore(self, state: LogState) -> None:
        """Begin with a snapshot: the turns counted so far, and the waiting mail."""
        for image in state.streams:
            self._born(image)

    def describe(self, found: Found) -> Iterator[dict[str, Any]]:
        """Every record of a batch but names, with its place."""
        place = {"segment": found.segment, "offset": found.offset, "position": found.head.position}
        try:
            for kind, name, body in self._named(found):
                yield {**place, "kind": RecordKind(kind).name.lower(), "engine": name, **self._told(kind, name, body)}
        except Wrong as wrong:
            raise Damaged(found.segment, found.offset, str(wrong)) from None

    def turns_of(self, found: Found, engine: str) -> Iterator[dict[str, Any]]:
        """The transitions of `engine` in a batch."""
        try:
            for kind, name, body in self._named(found):
                if name == engine:
                    yield from self._turns_in(kind, name, body)
        except Wrong as wrong:
            raise Damaged(found.segment, found.offset, str(wrong)) from None

    def _named(self, found: Found) -> Iterator[tuple[int, str, memoryview]]:
        if found.begins:
            self._names.clear()
        for kind, number, body in found.records:
            if kind == RecordKind.NAME:
                self._names[number] = str(body, "utf-8", "replace")
                continue
            if kind not in RecordKind.__members__.values() or (number and number not in self._names):
                raise Wrong(f"a record of kind {kind} for name {number}")
            yield kind, self._names.get(number, ""), body

    def _told(self, kind: int, name: str, body: memoryview) -> dict[str, Any]:
        if kind == RecordKind.FRAME:
            mail = self._read_frame(body)
            messages = [plain(payload) for payload in mail.payloads]
            head = {"sender": mail.sender, "mailbox": mail.mailbox, "epoch": mail.epoch, "first_n": mail.first_n}
            return {**head, "messages": messages}
        if kind == RecordKind.TURNS:
            run, turns = decode_run(body, self._names)
            results = [TurnResult(result).name.lower() for _, _, result, _ in TURN.iter_unpack(turns)]
            told: dict[str, Any] = {name: getattr(run, name) for name in run.__struct_fields__}
            return {**told, "results": results}
        if kind == RecordKind.CLOSED:
            return {}
        decoded = decode_body(kind, body)
        if isinstance(decoded, StreamImage):
            return {"why": decoded.why, "family": decoded.cell.family, "code": decoded.code, "epoch": decoded.epoch}
        return dict(msgspec.structs.asdict(decoded))

    def _turns_in(self, kind: int, name: str, body: memoryview) -> Iterator[dict[str, Any]]:
        if kind == RecordKind.FRAME:
            self._keep(name, self._read_frame(body))
        elif kind == RecordKind.TURNS:
            yield from self._run(name, body)
        elif kind == RecordKind.DUE:
            turn = decode_body(kind, body)
            assert isinstance(turn, DueTurn)
            cause = {"timers": [list(handle) for handle in turn.handles]}
            yield self._turn(name, turn.now_ns, cause, turn.result, turn.outputs, turn.answers, turn.code)
        elif kind == RecordKind.RESUMED:
            resumed = decode_body(kind, body)
            assert isinstance(resumed, Resumed)
            self._turns[name] -= 1
            fields = (resumed.result, resumed.outputs, resumed.answers, resumed.code)
            yield self._turn(name, resumed.now_ns, {"resumed": True}, *fields)
        elif kind == RecordKind.IMAGE:
            image = decode_body(kind, body)
            assert isinstance(image, StreamImage)
            self._born(image)

    def _run(self, name: str, body: memoryview) -> Iterator[dict[str, Any]]:
        run, turns = decode_run(body, self._names)
        mail = self._mail.get((name, run.sender, run.mailbox, run.epoch), {})
        for n, (now_ns, outputs, result, answers) in enumerate(TURN.iter_unpack(turns), run.first_n):
            cause = {"sender": run.sender, "mailbox": run.mailbox, "n": n, "message": plain(mail.pop(n, b""))}
            yield self._turn(name, now_ns, cause, result, outputs, answers, run.code)

    def _turn(
        self, name: str, now_ns: int, cause: dict[str, Any], result: int, outputs: int, answers: int, code: str
    ) -> dict[str, Any]:
        turn = self._turns[name] = self._turns.get(name, 0) + 1
        told = TurnResult(result).name.lower()
        return {"engine": name, "turn": turn, "time": now_ns, **cause, "result": told, "outputs": outputs} | {
            "answers": answers,
            "code": code,
        }

    def _keep(self, name: str, mail: Mail) -> None:
        kept = self._mail.setdefault((name, mail.sender, mail.mailbox, mail.epoch), {})
        for n, payload in enumerate(mail.payloads, mail.first_n):
            kept[n] = payload

    def _born(self, image: StreamImage) -> None:
        self._turns[image.cell.name] = image.turns
        for one in image.cell.waiting:
            mail = Mail(one.sender, image.cell.name, one.mailbox, one.epoch, one.first_n, list(one.payloads))
            self._keep(image.cell.name, mail)


def plain(payload: Any) -> Any:
    """A message as the codec reads it without its type; its bytes if the codec cannot."""
    try:
        return msgspec.msgpack.decode(payload)
    except msgspec.DecodeError:
        return bytes(payload)
