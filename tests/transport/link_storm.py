"""Kill storms over links of any kind: a victim lives in a slot, dies by SIGKILL, and the next one takes the slot over.

Every other death comes at a random instant, from outside; the rest at a line of the link's own code, at a random pass,
where the victim kills itself: a trace function stands for crash points, so that there is one at every line. Which lines
there are, a victim finds out that is let live, the second. What a victim did is in a ledger, memory it shares with the
parent and which survives it, written just before and just after the deed.

  Producers  slot 1 sends to 2 and 3, both in the parent, each life in an epoch of its own from number 0.
             All that was published arrives, once, in order, whole; nothing else does. Slot 4 goes on sending to 2.
  Consumers  slot 2 handles what 1 and 3 send, both in the parent, each in one stream over all lives.
             A life begins between what the last one had released and what it had handled: no gap, and nothing again
             that was released. Slot 1 goes on sending to 4.
"""

from __future__ import annotations

import mmap
import os
import random
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from types import FrameType
from typing import Any, Final, NamedTuple

from transport_worlds import Deadline, World, fork, number, reap

from transport.port import Frame

LOOPS_OF_A_LIFE: Final = 400
"""Enough for most lines; then the life ends by itself."""
LIFE_NS_MAX: Final = 25_000_000
"""Deaths from outside come within it: about as long as it takes to begin, and as long again."""
PASSES_MAX: Final = 40
LIVES_MAX: Final = 200
"""To die at one line."""
LINES_MAX: Final = 10_000
"""Of all files together."""


class Step(NamedTuple):
    """Where to die: the `passes`th time at a line of a file."""

    file: str
    line: int
    passes: int = 1


class Ledger:
    """Words that survive a victim: for each of five slots what was begun, what was done."""

    def __init__(self) -> None:
        self._words = memoryview(mmap.mmap(-1, 8 * (32 + LINES_MAX))).cast("Q")

    def begin_life(self) -> None:
        for slot in range(5):
            self.set_begun(slot, 0)
            self.set_done(slot, 0)

    def see(self, index: int) -> None:
        """Which code a victim passes, by a number of its choice."""
        self._words[32 + index] = 1

    def seen(self, count: int) -> list[int]:
        """The numbers below `count` that were seen."""
        return [index for index in range(count) if self._words[32 + index]]

    def begun(self, slot: int) -> int:
        """Messages sent to a slot, maybe; or handled of it."""
        return self._words[slot]

    def set_begun(self, slot: int, count: int) -> None:
        self._words[slot] = count

    def done(self, slot: int) -> int:
        """Messages published to a slot for certain; or released."""
        return self._words[8 + slot]

    def set_done(self, slot: int, count: int) -> None:
        self._words[8 + slot] = count


def die_at(step: Step) -> Callable[[str, int], None]:
    """Have this process kill itself there."""
    left = step.passes

    def look(file: str, line: int) -> None:
        nonlocal left
        if line == step.line and file == step.file:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return look


def trace(files: Collection[str], look: Callable[[str, int], None]) -> None:
    """Have every line of these files looked at before it runs."""

    def at_line(frame: FrameType, event: str, _arg: object) -> Any:
        if event == "line":
            look(frame.f_code.co_filename, frame.f_lineno)
        return at_line

    def at_call(frame: FrameType, _event: str, _arg: object) -> Any:
        return at_line if frame.f_code.co_filename in files else None

    sys.settrace(at_call)


class Storm:
    """What both storms have in common. `deaths` counts victims by where they died; those that lived on are "lived"."""

    def __init__(self, world: World, seed: int, files: Sequence[str] = ()) -> None:
        """`files`: those at whose lines victims die."""
        self.world = world
        self.chance = random.Random(seed)
        self.files = files
        self.steps: list[Step] = []
        self.ledger = Ledger()
        self.deaths: Counter[Step | str] = Counter()
        self.aside_sent = self.aside_received = 0

    def run(self, kills: int, *, everywhere: bool = False) -> None:
        """Until so many victims died; `everywhere`: and one at each line, or `LIVES_MAX` of them did not come by."""
        if self.files:
            self.explore()
        while self.deaths.total() - self.deaths["lived"] < kills:
            if self.steps and self.chance.random() < 0.5:
                self.let_die_at(self.chance.choice(self.steps))
            else:
                self.kill_one()
        for step in self.steps if everywhere else ():
            for _ in range(LIVES_MAX):
                if self.deaths[step]:
                    break
                self.let_die_at(step)
        self.finish()

    def explore(self) -> None:
        """A life that shows which lines there are. The one before it finds memory that is new, as no later one does."""
        steps = [Step(file, line) for file in self.files for line in range(LINES_MAX // len(self.files))]
        numbers = {step: number for number, step in enumerate(steps)}
        self.live_once(self.files, lambda file, line: None)
        self.live_once(self.files, lambda file, line: self.ledger.see(numbers[Step(file, line)]))
        self.steps = [steps[number] for number in self.ledger.seen(len(steps))]

    def let_die_at(self, step: Step) -> None:
        """A victim that dies at the first time, or a later one, if there are so many."""
        passes = self.chance.choice((1, 1, self.chance.randrange(2, PASSES_MAX)))
        code = self.live_once([step.file], die_at(step._replace(passes=passes)))
        self.deaths[step if code else "lived"] += 1

    def kill_one(self) -> None:
        """A victim that dies somewhere."""
        self.live_once((), None)
        self.deaths["outside"] += 1

    def live_once(self, files: Collection[str], look: Callable[[str, int], None] | None) -> int:
        """One victim, from its birth to its end, and what must be true then. Returns 0 if it lived."""
        seed = self.chance.getrandbits(32)

        def live() -> None:
            if look is not None:
                trace(files, look)
            self.victim(random.Random(seed), LOOPS_OF_A_LIFE if look is not None else sys.maxsize)

        end = None if look is not None else time.monotonic_ns() + self.chance.randrange(LIFE_NS_MAX)
        code = self.wait_for(fork(live), end)
        assert code in (0, -signal.SIGKILL), f"a victim ended with {code}"
        self.after()
        return code

    def wait_for(self, pid: int, end: int | None) -> int:
        """The exit code of a victim, which is killed at `end`, a monotonic time, or when the parent finds a mistake."""
        try:
            self.pump_until(pid, end)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            reap(pid)
            raise
        return reap(pid)

    def pump_until(self, pid: int, end: int | None) -> None:
        """Until the victim is dead, or dies."""
        deadline = Deadline("end of a victim")
        pidfd = os.pidfd_open(pid)
        try:
            while not select.select([pidfd], [], [], 0)[0]:
                deadline.check()
                self.pump()
                if end is not None and time.monotonic_ns() >= end:
                    os.kill(pid, signal.SIGKILL)
                    break
        finally:
            os.close(pidfd)

    def victim(self, chance: random.Random, loops: int) -> None:
        raise NotImplementedError

    def pump(self) -> None:
        """What the parent's links do while a victim lives."""
        raise NotImplementedError

    def after(self) -> None:
        """A victim is dead."""

    def finish(self) -> None:
        """All victims are dead: what is left arrives."""
        raise NotImplementedError

    def go_on_aside(self, sender: Any, outlet: Any) -> None:
        """A link between two that live."""
        if outlet.send(number(self.aside_sent)):
            self.aside_sent += 1
            sender.flush()

    def note_aside(self, frames: list[Frame]) -> None:
        for frame in frames:
            for payload in frame.payloads:
                assert payload == number(self.aside_received)
                self.aside_received += 1


def size_of(n: int) -> int:
    """Of a message: a few are large, beyond an eighth of a lane."""
    return 9000 + n if n % 97 == 50 else 40 + n % 300


class ProducerStorm(Storm):
    """`arrived[peer]` are the epoch that comes from slot 1 now, and how many of its messages have come."""

    def __init__(self, world: World, seed: int, files: Sequence[str] = ()) -> None:
        super().__init__(world, seed, files)
        self.sinks = {2: world.open(2, 1, 4), 3: world.open(3, 1)}
        self.aside = world.open(4, 2)
        self.aside_outlet = self.aside.outlet(2, "aside", "b", 0, 1, 0)
        self.epoch = 0
        self.bounds: dict[tuple[int, int], tuple[int, int]] = {}
        self.arrived = {2: (0, 0), 3: (0, 0)}

    def live_once(self, files: Collection[str], look: Callable[[str, int], None] | None) -> int:
        self.epoch += 1
        self.ledger.begin_life()
        return super().live_once(files, look)

    def after(self) -> None:
        for peer in self.sinks:
            self.bounds[peer, self.epoch] = self.ledger.done(peer), self.ledger.begun(peer)

    def victim(self, chance: random.Random, loops: int) -> None:
        link = self.world.open(1, 2, 3)
        outlets = {peer: link.outlet(peer, "victim", "b", 0, self.epoch, 0) for peer in (2, 3)}
        for _ in range(loops):
            peer = chance.choice((2, 2, 3))
            outlet = outlets[peer]
            self.ledger.set_begun(peer, outlet.next_n + 1)
            if not outlet.send(number(outlet.next_n, size_of(outlet.next_n))):
                link.wait(1_000_000)
                continue
            if chance.random() < 0.25:
                link.flush()
                for at, out in outlets.items():
                    self.ledger.set_done(at, out.next_n)
            if chance.random() < 0.1:
                link.wait(0)

    def pump(self) -> None:
        self.go_on_aside(self.aside, self.aside_outlet)
        self.aside.wait(0)
        for link in self.sinks.values():
            link.wait(200_000)
            frames = link.drain(64)
            self.note_aside([frame for frame in frames if frame.peer == 4])
            self.note([frame for frame in frames if frame.peer == 1], link.slot)
            del frames
            link.release()

    def note(self, frames: list[Frame], slot: int) -> None:
        for frame in frames:
            epoch, count = self.arrived[slot]
            if frame.epoch != epoch:
                self.check_complete(slot, frame.epoch)
                count = 0
            assert frame.first_n == count, f"epoch {frame.epoch} to {slot}: {frame.first_n} after {count}"
            for n, payload in enumerate(frame.payloads, count):
                assert payload == number(n, size_of(n)), f"message {n} of epoch {frame.epoch} is not whole"
            self.arrived[slot] = frame.epoch, count + len(frame.payloads)

    def check_complete(self, slot: int, next_epoch: int) -> None:
        """Everything before an epoch has come."""
        epoch, count = self.arrived[slot]
        assert next_epoch > epoch
        for passed in range(max(epoch, 1), next_epoch):
            done, begun = self.bounds.pop((slot, passed))
            assert done <= count <= begun, f"epoch {passed} to {slot}: {count} of {done} to {begun} arrived"
            count = 0
        self.arrived[slot] = next_epoch, 0

    def finish(self) -> None:
        """A last process in the slot says a word in an epoch of its own, and all that was left comes before it."""
        self.epoch += 1
        link = self.world.open(1, 2, 3)
        for peer in self.sinks:
            assert send_now(link, link.outlet(peer, "victim", "b", 0, self.epoch, 0), number(0, size_of(0)), self.pump)
        deadline = Deadline("last words")
        while set(self.arrived.values()) != {(self.epoch, 1)} or self.aside_received < self.aside_sent:
            deadline.check()
            link.wait(0)
            self.pump()


class ConsumerStorm(Storm):
    """The ledger's `begun` is what was handled, `done` what was released, of slots 1 and 3; over all lives."""

    def __init__(self, world: World, seed: int, files: Sequence[str] = ()) -> None:
        super().__init__(world, seed, files)
        self.sources = {1: world.open(1, 2, 4), 3: world.open(3, 2)}
        self.outlets = {slot: link.outlet(2, f"s{slot}", "b", 0, 1, 0) for slot, link in self.sources.items()}
        self.aside = world.open(4, 1)
        self.aside_outlet = self.sources[1].outlet(4, "aside", "b", 0, 1, 0)

    def victim(self, chance: random.Random, loops: int) -> None:
        link = self.world.open(2, 1, 3)
        next_n: dict[int, int] = {}
        for _ in range(loops):
            link.wait(1_000_000)
            self.handle(link.drain(chance.randrange(1, 60)), next_n)
            if chance.random() < 0.7:
                link.release()
                for peer, n in next_n.items():
                    self.ledger.set_done(peer, n)

    def handle(self, frames: list[Frame], next_n: dict[int, int]) -> None:
        for frame in frames:
            least = most = next_n.get(frame.peer, -1)
            if least < 0:
                least, most = self.ledger.done(frame.peer), self.ledger.begun(frame.peer)
            assert least <= frame.first_n <= most, f"{frame.first_n} of slot {frame.peer}, expected {least} to {most}"
            for n, payload in enumerate(frame.payloads, frame.first_n):
                assert payload == number(n, size_of(n)), f"message {n} of slot {frame.peer} is not whole"
            next_n[frame.peer] = frame.first_n + len(frame.payloads)
            self.ledger.set_begun(frame.peer, max(self.ledger.begun(frame.peer), next_n[frame.peer]))

    def pump(self) -> None:
        for slot, link in self.sources.items():
            outlet = self.outlets[slot]
            for _ in range(self.chance.randrange(1, 20)):
                outlet.send(number(outlet.next_n, size_of(outlet.next_n)))
            link.flush()
            link.wait(0)
        self.go_on_aside(self.sources[1], self.aside_outlet)
        self.aside.wait(200_000)
        self.note_aside(self.aside.drain(64))
        self.aside.release()

    def finish(self) -> None:
        """A last process in the slot handles all that was sent."""
        link = self.world.open(2, 1, 3)
        next_n: dict[int, int] = {}
        deadline = Deadline("the rest")
        goal = {slot: outlet.next_n for slot, outlet in self.outlets.items()}
        while {slot: next_n.get(slot, self.ledger.begun(slot)) for slot in goal} != goal:
            deadline.check()
            for source in self.sources.values():
                source.flush()
                source.wait(0)
            link.wait(200_000)
            self.handle(link.drain(64), next_n)
            link.release()
        while self.aside_received < self.aside_sent:
            deadline.check()
            self.sources[1].wait(0)
            self.aside.wait(200_000)
            self.note_aside(self.aside.drain(64))
            self.aside.release()


def send_now(link: Any, outlet: Any, message: bytes, pump: Any) -> bool:
    """Send and flush, when there is room."""
    deadline = Deadline("room")
    while not outlet.send(message):
        deadline.check()
        link.wait(0)
        pump()
    link.flush()
    return True
