"""What is in transit, as small numbers: each content of the network that was met is one, and so is each change of it.

Messages are numbers too. A content is a tuple: of message numbers in order, with repetitions (`unordered`, `lossy`) or
without (`duplicating`), or of queues (`ordered`), each a pair of its flow and its messages. A flow is a sender, target
and mailbox. Contents and their successors are kept, so that the search only looks up numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final

from engines.model.system import NetworkKind

NOTHING: Final = -1
"""In a change: no message was used up."""

Change = tuple[int, tuple[int, ...]]
"""The message that was used up, and those that were sent, in order."""

WORD: Final = (1 << 64) - 1


def fingerprint(content: bytes) -> int:
    """64 bits of a BLAKE2b digest."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")


def mixed(value: int, salt: int) -> int:
    """64 bits that depend on all bits of both (the finish of SplitMix64)."""
    value = (value + 0x9E3779B97F4A7C15 * (salt + 1)) & WORD
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & WORD
    return value ^ (value >> 31)


class Network:
    """The contents met so far. `hashes` are their fingerprints, from those of the messages.

    Args:
        flow_of: the flow of a message by its number, for `ordered`.
        hash_of: the fingerprint of a message by its number.
    """

    def __init__(self, kind: NetworkKind, flow_of: Callable[[int], int], hash_of: Callable[[int], int]) -> None:
        self.kind = kind
        self.contents: list[tuple[Any, ...]] = []
        self.hashes: list[int] = []
        self.successors: list[dict[int, tuple[int, int]]] = []
        """By content and change: the content after it, and the difference of both fingerprints."""
        self.changes: list[Change] = []
        self._flow_of = flow_of
        self._hash_of = hash_of
        self._ids: dict[tuple[Any, ...], int] = {}
        self._change_ids: dict[Change, int] = {}

    def change(self, used: int, sent: Sequence[int]) -> int:
        """The number of a change."""
        key = (NOTHING if self.kind == "duplicating" else used, tuple(sent))
        found = self._change_ids.get(key)
        if found is None:
            found = self._change_ids[key] = len(self.changes)
            self.changes.append(key)
        return found

    def content(self, messages: Sequence[int]) -> int:
        """The number of a content made of these messages, sent in this order."""
        empty = self.intern(())
        return self.changed(empty, self.change(NOTHING, messages))[0]

    def changed(self, network: int, change: int) -> tuple[int, int]:
        """The content after a change, and the difference of both fingerprints."""
        used, sent = self.changes[change]
        before = self.contents[network]
        after = self._queued(before, used, sent) if self.kind == "ordered" else self._scattered(before, used, sent)
        number = self.intern(after)
        found = self.successors[network][change] = (number, self.hashes[network] ^ self.hashes[number])
        return found

    def heads(self, network: int) -> tuple[int, ...]:
        """The messages that can be delivered, each once."""
        content = self.contents[network]
        if self.kind == "ordered":
            return tuple(queue[0] for _, queue in content)
        return tuple(dict.fromkeys(content))

    def messages(self, network: int) -> tuple[int, ...]:
        """All messages in transit, with repetitions."""
        content = self.contents[network]
        return tuple(one for _, queue in content for one in queue) if self.kind == "ordered" else content

    def filtered(self, network: int, keep: Callable[[int], bool]) -> int:
        """The content with only the messages that `keep` holds for."""
        content = self.contents[network]
        if self.kind != "ordered":
            return self.intern(tuple(one for one in content if keep(one)))
        queues = ((flow, tuple(one for one in queue if keep(one))) for flow, queue in content)
        return self.intern(tuple(pair for pair in queues if pair[1]))

    def renamed(self, network: int, names: Callable[[int], int]) -> int:
        """The content with each message replaced by another one."""
        content = self.contents[network]
        if self.kind != "ordered":
            return self.intern(tuple(sorted(map(names, content))))
        queues = (tuple(map(names, queue)) for _, queue in content)
        return self.intern(tuple(sorted((self._flow_of(queue[0]), queue) for queue in queues)))

    def intern(self, content: tuple[Any, ...]) -> int:
        """The number of a content in its canonical form."""
        number = self._ids.get(content)
        if number is None:
            number = self._ids[content] = len(self.contents)
            self.contents.append(content)
            self.hashes.append(self._hash(content))
            self.successors.append({})
        return number

    def _scattered(self, before: tuple[int, ...], used: int, sent: tuple[int, ...]) -> tuple[int, ...]:
        left = list(before)
        if used != NOTHING:
            left.remove(used)
        left += sent
        return tuple(sorted(set(left) if self.kind == "duplicating" else left))

    def _queued(self, before: tuple[Any, ...], used: int, sent: tuple[int, ...]) -> tuple[Any, ...]:
        queues = dict(before)
        if used != NOTHING:
            flow = self._flow_of(used)
            queue = queues.pop(flow)
            assert queue[0] == used
            if len(queue) > 1:
                queues[flow] = queue[1:]
        for message in sent:
            flow = self._flow_of(message)
            queues[flow] = (*queues.get(flow, ()), message)
        return tuple(sorted(queues.items()))

    def _hash(self, content: tuple[Any, ...]) -> int:
        """The exclusive or of a mix for each message with its repetition, or with its place in its queue."""
        total = 0
        if self.kind == "ordered":
            for _, queue in content:
                for place, message in enumerate(queue):
                    total ^= mixed(self._hash_of(message), place + 1)
            return total
        seen: dict[int, int] = {}
        for message in content:
            seen[message] = seen.get(message, 0) + 1
            total ^= mixed(self._hash_of(message), seen[message])
        return total
