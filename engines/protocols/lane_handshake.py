"""The handshake of a lane: a ring between two processes, each of which sleeps when it has nothing to do.

How it works (`transport/lane.h`, `transport/core.h`). The producer writes a message into a cell, publishes it by its
`tail`, and rings a consumer that sleeps. The consumer reads up to `tail`, gives cells back by its `head`, and rings a
producer that waits for room. Who is about to sleep says so in its word `armed` (odd: asleep, another value each time),
and looks once more. Each side rings once for each value of `armed` that it sees.

    producer: store tail | fence | load armed      consumer: store armed | fence | load tail      one of the two sees
    consumer: store head | fence | load waiting, armed   producer: store waiting, armed | fence | load head   the other

Memory. A store waits in a buffer, and stores of one process reach memory in any order, with two exceptions: a release
(`tail`, `head`) comes after all stores before it, and a fence ends when the buffer is empty. Each word has one writer.

The awkward case: a message that is published between the look and the sleep. Without the second look the consumer
sleeps for ever, since the producer saw it awake and did not ring.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from engines.model import Map, Value
from engines.model.transition_system import PlainStep, TransitionSystem
from engines.protocols.params import at_least, one_of

BUGS: Final = (
    "no-second-look",  # the consumer sleeps after its first look
    "no-fence-to-publish",  # the producer looks for a sleeper while its tail is still in the buffer
    "no-fence-to-sleep",  # the consumer looks again while its armed is still in the buffer
    "no-fence-to-release",  # the consumer looks for a sleeper while its head is still in the buffer
    "no-fence-to-wait",  # the producer looks again while its armed is still in the buffer
    "relaxed-tail",  # the tail reaches memory before the message
)

TAIL, WAITING, PRODUCER_ARMED, HEAD, CONSUMER_ARMED = "tail", "waiting", "producer armed", "head", "consumer armed"
OF_CONSUMER: Final = (HEAD, CONSUMER_ARMED)
"""Its words; all others are the producer's."""


class End(Value):
    """A process: the step it takes next, how many messages it has done, what it knows of the other end.

    `far` is the last head that the producer saw; `rung` the value of `armed` that it rang last.
    """

    at: str
    done: int = 0
    far: int = 0
    rung: int = 0


class LaneState(Value):
    """Memory, the stores on their way there with those that each must wait for, the bells, both ends.

    `wrong`: a message was read that is not the next one.
    """

    memory: Map[str, int]
    producer: End = End("fill")
    consumer: End = End("look")
    buffer: Map[str, int] = Map()
    before: Map[str, tuple[str, ...]] = Map()
    bells: tuple[str, ...] = ()
    wrong: bool = False


class Lane:
    """The steps of a lane with so many messages and cells, and a bug or ""."""

    def __init__(self, messages: int, cells: int, bug: str) -> None:
        self.messages = messages
        self.cells = cells
        self.bug = bug

    def steps(self, lane: LaneState) -> Iterator[PlainStep[LaneState]]:
        """A store reaches memory, or an end takes its next step."""
        for word, value in lane.buffer.items():
            if word not in lane.before or not lane.before[word]:
                yield PlainStep(f"{word} {value} reaches memory", arrived(lane, word))
        yield from self.producer(lane)
        yield from self.consumer(lane)

    def producer(self, lane: LaneState) -> Iterator[PlainStep[LaneState]]:
        """The next step of the producer."""
        end = lane.producer
        match end.at:
            case "fill" if end.done < self.messages:
                if end.done - end.far < self.cells:
                    yield self._produced(store(lane, self._cell(end.done), end.done + 1), "writes a message", "publish")
                else:
                    yield self._looked(lane, "looks for room", "wait")
            case "publish":
                published = store(lane, TAIL, end.done + 1, is_release=self.bug != "relaxed-tail")
                yield self._produced(published, "publishes it", "fence", done=end.done + 1)
            case "fence" if self.bug == "no-fence-to-publish" or not waits(lane, of_consumer=False):
                yield self._produced(lane, "passes the fence", "ring")
            case "ring":
                yield self._rung(lane, "producer", CONSUMER_ARMED, "fill")
            case "wait":
                yield self._produced(store(lane, WAITING, 1), "says that it waits", "arm")
            case "arm":
                yield self._produced(arm(lane, PRODUCER_ARMED), "arms", "fence before sleep")
            case "fence before sleep" if self.bug == "no-fence-to-wait" or not waits(lane, of_consumer=False):
                yield self._produced(lane, "passes the fence", "look again")
            case "look again":
                yield self._looked(lane, "looks again", "sleep", "disarm")
            case "sleep" if "producer" in lane.bells:
                yield self._produced(woken(lane, "producer"), "wakes up", "disarm")
            case "disarm":
                yield self._produced(arm(lane, PRODUCER_ARMED, to_sleep=False), "disarms", "no longer wait")
            case "no longer wait":
                yield self._produced(store(lane, WAITING, 0), "no longer waits", "fill")

    def consumer(self, lane: LaneState) -> Iterator[PlainStep[LaneState]]:
        """The next step of the consumer."""
        end = lane.consumer
        has_mail = lane.memory[TAIL] > end.done
        match end.at:
            case "look" if end.done < self.messages:
                yield self._consumed(lane, "looks", "take" if has_mail else "arm")
            case "take":
                is_next = lane.memory[self._cell(end.done)] == end.done + 1
                taken = replace(lane, wrong=lane.wrong or not is_next)
                yield self._consumed(taken, "takes a message", "release", done=end.done + 1)
            case "release":
                released = store(lane, HEAD, end.done, is_release=True)
                yield self._consumed(released, "gives its cell back", "fence")
            case "fence" if self.bug == "no-fence-to-release" or not waits(lane, of_consumer=True):
                yield self._consumed(lane, "passes the fence", "ring")
            case "ring":
                if lane.memory[WAITING]:
                    yield self._rung(lane, "consumer", PRODUCER_ARMED, "look")
                else:
                    yield self._consumed(lane, "sees nobody wait", "look")
            case "arm":
                after = "sleep" if self.bug == "no-second-look" else "fence before sleep"
                yield self._consumed(arm(lane, CONSUMER_ARMED), "arms", after)
            case "fence before sleep" if self.bug == "no-fence-to-sleep" or not waits(lane, of_consumer=True):
                yield self._consumed(lane, "passes the fence", "look again")
            case "look again":
                yield self._consumed(lane, "looks again", "disarm" if has_mail else "sleep")
            case "sleep" if "consumer" in lane.bells:
                yield self._consumed(woken(lane, "consumer"), "wakes up", "disarm")
            case "disarm":
                yield self._consumed(arm(lane, CONSUMER_ARMED, to_sleep=False), "disarms", "look")

    def _cell(self, number: int) -> str:
        return f"cell {number % self.cells}"

    def _looked(self, lane: LaneState, what: str, without: str, room: str = "fill") -> PlainStep[LaneState]:
        head = lane.memory[HEAD]
        at = room if lane.producer.done - head < self.cells else without
        return self._produced(lane, what, at, far=head)

    def _rung(self, lane: LaneState, who: str, armed: str, at: str) -> PlainStep[LaneState]:
        """An end looks whether the other one sleeps, and rings it once for each value it armed with."""
        value = lane.memory[armed]
        end = lane.producer if who == "producer" else lane.consumer
        make = self._produced if who == "producer" else self._consumed
        if value % 2 == 0 or value == end.rung:
            return make(lane, "sees nobody asleep", at)
        bells = tuple(sorted({*lane.bells, armed.split()[0]}))
        return make(replace(lane, bells=bells), "rings", at, rung=value)

    def _produced(self, lane: LaneState, what: str, at: str, **changes: int) -> PlainStep[LaneState]:
        return PlainStep(f"producer {what}", replace(lane, producer=replace(lane.producer, at=at, **changes)))

    def _consumed(self, lane: LaneState, what: str, at: str, **changes: int) -> PlainStep[LaneState]:
        return PlainStep(f"consumer {what}", replace(lane, consumer=replace(lane.consumer, at=at, **changes)))

    # --- what holds ---------------------------------------------------------------------------------------------------

    def all_arrived(self, lane: LaneState) -> bool:
        """The consumer has all messages."""
        return lane.consumer.done == self.messages

    def no_wake_up_is_lost(self, lane: LaneState) -> bool:
        """Nobody sleeps for ever while there is a message to take or a cell to fill."""
        return self.all_arrived(lane) or any(True for _ in self.steps(lane))


def each_once_in_order(lane: LaneState) -> bool:
    """The consumer has read no other message than the next one."""
    return not lane.wrong


def rings_a_sleeper(lane: LaneState) -> bool:
    """The consumer sleeps, and the producer is about to ring it."""
    return lane.consumer.at == "sleep" and lane.producer.at == "ring"


def waits_for_room(lane: LaneState) -> bool:
    """The producer sleeps until there is room."""
    return lane.producer.at == "sleep"


def store(lane: LaneState, word: str, value: int, *, is_release: bool = False) -> LaneState:
    """A store into the buffer of its process; a release waits for those that are there."""
    others = tuple(sorted(waits(lane, of_consumer=word in OF_CONSUMER) - {word})) if is_release else ()
    before = lane.before.set(word, others) if others else lane.before.without(word)
    return replace(lane, buffer=lane.buffer.set(word, value), before=before)


def arrived(lane: LaneState, word: str) -> LaneState:
    """A store has reached memory: nothing waits for it any more."""
    left = {one: tuple(other for other in others if other != word) for one, others in lane.before.items()}
    before = Map({one: others for one, others in left.items() if others and one != word})
    memory = lane.memory.set(word, lane.buffer[word])
    return replace(lane, memory=memory, buffer=lane.buffer.without(word), before=before)


def waits(lane: LaneState, *, of_consumer: bool) -> set[str]:
    """The words of a process that have not reached memory."""
    return {word for word in lane.buffer if (word in OF_CONSUMER) is of_consumer}


def arm(lane: LaneState, word: str, *, to_sleep: bool = True) -> LaneState:
    """The next odd value, or the even one behind it. A process sees its own stores at once."""
    value = lane.buffer[word] if word in lane.buffer else lane.memory[word]
    return store(lane, word, value + 1 + (value % 2 if to_sleep else 0))


def woken(lane: LaneState, who: str) -> LaneState:
    """A bell was heard."""
    return replace(lane, bells=tuple(one for one in lane.bells if one != who))


def SYSTEM(messages: int = 3, cells: int = 2, bug: str = "") -> TransitionSystem[LaneState]:
    """A lane of so many cells, through which so many messages go; `bug` is one of `BUGS`."""
    at_least(1, messages=messages, cells=cells)
    if bug:
        one_of(BUGS, bug=bug)
    lane = Lane(messages, cells, bug)
    words = (*(f"cell {number}" for number in range(cells)), TAIL, WAITING, PRODUCER_ARMED, HEAD, CONSUMER_ARMED)
    return TransitionSystem(
        name="lane-handshake",
        initial=LaneState(Map((word, 0) for word in words)),
        steps=lane.steps,
        always=[each_once_in_order, lane.no_wake_up_is_lost],
        sometimes=[rings_a_sleeper, waits_for_room],
        eventually=[lane.all_arrived],
    )
