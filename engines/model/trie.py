"""The hash array mapped trie below `Map` where `immutables` cannot be installed: that of `rpds`, under the same names.

What may live here: only that, so that the two differ in nothing but speed (docs/decisions/0001-persistent-map.md
has the figures). The awkward case: `rpds` panics when two keys have one hash and `__eq__` of one does not know the
type of the other, as with "a" and b"a", or 0 and "". Tuples compare any contents, so each key is put into one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, final

from rpds import HashTrieMap

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


@final
class RpdsTrie(Generic[K, V]):
    """An immutable mapping that iterates in hash order, which follows the hash seed."""

    __slots__ = ("_boxed",)

    def __init__(self, content: dict[K, V]) -> None:
        self._boxed: HashTrieMap[tuple[K], V] = HashTrieMap({(key,): value for key, value in content.items()})

    def __getitem__(self, key: K) -> V:
        try:
            return self._boxed[key,]
        except KeyError:
            raise KeyError(key) from None

    def __contains__(self, key: object) -> bool:
        return (key,) in self._boxed

    def __len__(self) -> int:
        return len(self._boxed)

    def __iter__(self) -> Iterator[K]:
        return (key for (key,) in self._boxed)

    def get(self, key: K, default: V | D) -> V | D:
        """The value under `key`, or `default`."""
        return self._boxed.get((key,), default)

    def set(self, key: K, value: V) -> "RpdsTrie[K, V]":
        """This trie with `value` under `key`."""
        return _trie_over(self._boxed.insert((key,), value))

    def delete(self, key: K) -> "RpdsTrie[K, V]":
        """This trie without `key`, which must be present."""
        return _trie_over(self._boxed.remove((key,)))

    @contextmanager
    def mutate(self) -> "Iterator[Changing[K, V]]":
        """This trie, to delete keys from."""
        yield Changing(self)

    def update(self, content: dict[K, V]) -> "RpdsTrie[K, V]":
        """This trie with each pair of `content` set."""
        return _trie_over(self._boxed.update({(key,): value for key, value in content.items()}))

    def __eq__(self, other: object) -> bool:
        """As `dict` compares: an object equals itself, be it NaN."""
        if not isinstance(other, RpdsTrie):
            return NotImplemented
        return len(self) == len(other) and dict(self._boxed.items()) == dict(other._boxed.items())

    def __hash__(self) -> int:
        return hash(frozenset(self._boxed.items()))  # older versions of `rpds` have no hash


class Changing(Generic[K, V]):
    """A trie from which keys are deleted; `finish` returns what is left."""

    def __init__(self, trie: RpdsTrie[K, V]) -> None:
        self._trie = trie

    def __delitem__(self, key: K) -> None:
        self._trie = self._trie.delete(key)

    def finish(self) -> RpdsTrie[K, V]:
        """The trie without the deleted keys."""
        return self._trie


def _trie_over(boxed: Any) -> RpdsTrie[Any, Any]:
    made: RpdsTrie[Any, Any] = RpdsTrie.__new__(RpdsTrie)
    made._boxed = boxed
    return made
