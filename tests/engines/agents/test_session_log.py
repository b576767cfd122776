"""The device for session logs: each line of each file once, whatever becomes of the files; and no other file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_S
from written_logs import random_logs

from engines.agents.measuring.session_records import Usage
from engines.agents.measuring.tokens import Tokens
from engines.agents.measuring.tracked import Cursor, FollowLog, LogRead, LogsNeeded
from engines.devices.session_log import LINE_BYTES_MAX, SESSION_LOGS, LogFolders, LogLines, SessionLogs
from engines.model import Committed, Configuration, Delivery, Map, Outgoing, Ref, birth, step

ME: Ref[LogRead] = Ref("measurement")


class Reader:
    """A driver at work, and what it sends: each piece must begin where the one before it ended."""

    def __init__(self, folder: Path, cursors: tuple[Cursor, ...] = (), path: str = "log/a.jsonl") -> None:
        self.config = LogFolders((str(folder / "{agent}"),), Ref("measurement"), poll_ns=1_000_000)
        self.me = Configuration("test", "logs", None, self.config)
        self.mail = [Delivery("measurement", 0, FollowLog("ann", path, "claude-code", cursors, ME))]
        self.read: list[LogRead] = []
        self.sent: list[Any] = []
        self.tokens = Tokens()
        self.cursors = {one.identity: one.offset for one in cursors}

    def now_ns(self) -> int:
        return 0

    async def receive(self) -> Delivery[Any]:
        if not self.mail:
            await asyncio.Event().wait()
        return self.mail.pop(0)

    def send(self, target: Ref[Any], message: Any) -> bool:
        self.sent.append(message)
        if isinstance(message, LogRead) and not message.problem:
            assert message.is_anew or message.offset == self.cursors.get(message.identity, 0)
            self.cursors[message.identity] = message.following
            self.read.append(message)
            for record in message.records:
                self.tokens, _ = self.tokens.add(record)
        return True

    async def writable(self, target: Ref[Any]) -> None: ...

    async def send_when_writable(self, target: Ref[Any], message: Any) -> None:
        self.send(target, message)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits for something. Raises TimeoutError."""
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                await asyncio.sleep(0.002)


def reading(reader: Reader, script: Callable[[Reader], Any]) -> Reader:
    """Runs a driver beside a script, until the script ends."""

    async def run() -> None:
        task = asyncio.create_task(SessionLogs().run(reader))
        scripted = asyncio.create_task(script(reader))
        done, _ = await asyncio.wait([task, scripted], return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        await asyncio.wait([task])
        for one in done:
            one.result()

    asyncio.run(run())
    return reader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ann" / "log").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("seed", range(3))
def test_s5_totals_are_exact_through_partial_lines_rotation_and_deletion(folder: Path, seed: int) -> None:
    """False if a line that was half written, a renamed, deleted or shortened file adds or loses a token."""
    files, total, _ = random_logs(seed, 40, 3)
    log = folder / "ann" / "log"

    async def write(reader: Reader, number: int, text: bytes) -> None:
        path, third = log / f"s{number}.jsonl", len(text) // 3
        path.write_bytes(text[:third])  # in the middle of a line, most of the time
        await reader.until(lambda: any(one.file == path.name for one in reader.read))
        with path.open("ab") as file:
            file.write(text[third : 2 * third])
            file.flush()
            if number == 0:
                os.rename(path, log / "renamed.jsonl")
            file.write(text[2 * third :])
        await reader.until(lambda: len(text) in reader.cursors.values())
        if number == 1:
            path.unlink()
        if number == 2:
            path.write_bytes(text[: text.index(b"\n") + 1])  # cut, and the same line again
            await reader.until(lambda: reader.read[-1].is_anew)

    async def script(reader: Reader) -> None:
        for number, lines in enumerate(files):
            await write(reader, number, "".join(line + "\n" for line in lines).encode())

    reader = reading(Reader(folder), script)
    assert reader.tokens.total == total


def test_a_file_that_is_deleted_is_read_to_its_end(folder: Path) -> None:
    """False if what was written just before a deletion is lost, though the file was open."""
    [lines], total, _ = random_logs(7, 20, 1)
    path = folder / "ann" / "log" / "a.jsonl"

    async def script(reader: Reader) -> None:
        path.write_text(lines[0] + "\n")
        await reader.until(lambda: bool(reader.read))
        with path.open("a") as file:
            path.unlink()
            file.write("".join(line + "\n" for line in lines[1:]))
        await reader.until(lambda: reader.tokens.total == total)

    reading(Reader(folder), script)


def test_s7_a_restart_reads_nothing_twice(folder: Path) -> None:
    """False if a new driver sends again what measurement has."""
    path = folder / "ann" / "log" / "a.jsonl"
    [lines], total, _ = random_logs(8, 20, 1)
    path.write_text("".join(line + "\n" for line in lines[:10]))

    async def first(reader: Reader) -> None:
        await reader.until(lambda: path.stat().st_size in reader.cursors.values())

    before = reading(Reader(folder), first)
    with path.open("a") as file:
        file.write("".join(line + "\n" for line in lines[10:]))
    after = Reader(folder, tuple(Cursor(*one) for one in before.cursors.items()))
    after.tokens = before.tokens
    reading(after, first)
    assert after.read[0].offset == before.read[-1].following
    assert after.tokens.total == total
    assert isinstance(after.sent[0], LogsNeeded)


def test_a_line_that_is_too_long_is_left_out(folder: Path) -> None:
    """False if an endless line stops the reading, or what comes after it."""
    [lines], total, _ = random_logs(3, 5, 1)
    path = folder / "ann" / "log" / "a.jsonl"
    path.write_bytes(b"first\n" + b"x" * (LINE_BYTES_MAX + 5) + b"\n" + "".join(f"{one}\n" for one in lines).encode())

    async def script(reader: Reader) -> None:
        await reader.until(lambda: reader.tokens.total == total)

    assert sum(one.damaged for one in reading(Reader(folder), script).read) == 1


@pytest.mark.parametrize("path", ["/etc/passwd", "../bob/log/a.jsonl", "log/../../bob/a.jsonl", "/", "log//a.jsonl"])
def test_a_path_outside_is_refused(folder: Path, path: str) -> None:
    """False if an agent can have another file read than its own logs."""

    async def script(reader: Reader) -> None:
        await reader.until(lambda: any(isinstance(one, LogRead) and one.problem for one in reader.sent))

    assert reading(Reader(folder, path=path), script).read == []


def test_links_and_pipes_are_not_read(folder: Path, tmp_path: Path) -> None:
    """False if a link leads out of the folder, or a pipe stops the driver."""
    log = folder / "ann" / "log"
    (tmp_path / "secret.jsonl").write_text('{"type":"assistant"}\n')
    os.symlink(tmp_path / "secret.jsonl", log / "link.jsonl")
    os.mkfifo(log / "pipe.jsonl")
    os.mkdir(log / "folder.jsonl")
    (log / "plain.jsonl").write_text("{}\n")

    async def script(reader: Reader) -> None:
        await reader.until(lambda: bool(reader.read))

    assert {one.file for one in reading(Reader(folder), script).read} == {"plain.jsonl"}
    os.rename(log, folder / "ann" / "real")
    os.symlink(folder / "ann" / "real", log)

    async def refused(reader: Reader) -> None:
        await reader.until(lambda: any(isinstance(one, LogRead) and one.problem for one in reader.sent))

    assert reading(Reader(folder), refused).read == []


def test_the_twin_sends_what_the_driver_sends(folder: Path) -> None:
    """False if a simulated log comes to other tokens than a real one."""
    [lines], total, _ = random_logs(4, 15, 1)
    (folder / "ann" / "log" / "a.jsonl").write_text("".join(line + "\n" for line in lines))

    async def script(reader: Reader) -> None:
        await reader.until(lambda: reader.tokens.total == total)

    reader = reading(Reader(folder), script)
    twin = SESSION_LOGS.twin
    assert twin is not None
    me = Configuration("test", "logs", None, reader.config)
    files = Map({("ann", "a.jsonl"): tuple(line.encode() for line in lines)})
    env = birth(twin, me, state=LogLines(files), now_ns=0)
    order = FollowLog("ann", "log/a.jsonl", "claude-code", (), ME)
    outcome = step(twin, me, env, Delivery("measurement", 0, order), now_ns=1)
    assert isinstance(outcome, Committed)
    [sent] = [one.message for one in outcome.outputs if isinstance(one, Outgoing)]
    assert sent.records == tuple(record for one in reader.read for record in one.records)
    assert total != Usage()
