"""`Map`: a persistent, deeply immutable mapping that iterates in the order of its keys.

What may live here: the structure and its laws. The codec is `values`' (a map travels as an array of [key, value] pairs
in iteration order), the check of declared field types `conform`'s; `keys.py` defines which values may be keys, and
their order.

How it works. The content is a hash array mapped trie (`immutables`, else `trie.py`), so a change shares all but a few
nodes with the map it came from. Such a trie iterates in hash order, which follows the hash seed. Therefore iteration
sorts the keys, once, and keeps the result; a new value under a present key passes it on. Maps of equal content are
equal, hash alike and have the same bytes, whichever operations made them.

A map also keeps which keys were set since it was last checked against its declared type (`unchecked`), as a chain of
(rest, key) that ends in the mark of that check. So a check after each transition costs what the transition changed.

The awkward case: the views of `dict` combine into sets, whose order is the hash seed's. `keys`, `values` and `items`
are therefore tuples, and a Map is no `collections.abc.Mapping`. Why a trie: docs/decisions/0001-persistent-map.md.
"""

from collections.abc import Collection, Iterable, Iterator
from enum import Enum
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar, final, overload

import msgspec

from .blob import Blob
from .keys import PLAIN_KEYS, check_key, in_order

try:
    from immutables import Map as Trie
except ImportError:  # no wheel for this Python
    from .trie import RpdsTrie as Trie  # type: ignore[assignment]

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")
_K_co = TypeVar("_K_co", covariant=True)
_V_co = TypeVar("_V_co", covariant=True)


class HasItems(Protocol[_K_co, _V_co]):
    """A dict, a Map, or any other mapping."""

    def items(self) -> Iterable[tuple[_K_co, _V_co]]:
        """The (key, value) pairs."""
        ...


@final
class Map(Generic[K, V]):
    """An immutable mapping; every change returns another map. Iterates in key order, whatever the hash seed.

    Keys: int, str, bytes, None, members of plain enumerations, and tuples and frozen structs of these. Values: whatever
    may be in a state. Reading and changing one key costs under a microsecond at 100,000 keys; the first iteration of a
    map sorts its keys.

    Args:
        content: a mapping, or pairs; of pairs with equal keys the last wins.

    Raises:
        TypeError: on construction or change, naming the mutable or unknown type met in a key or value.
    """

    __slots__ = ("_order", "_set", "_trie")

    _trie: "Trie[K, V]"
    _order: tuple[K, ...] | None
    _set: object

    def __init__(self, content: HasItems[K, V] | Iterable[tuple[K, V]] = ()) -> None:
        _put_trie(self, content._trie if isinstance(content, Map) else Trie(_checked(content)))
        _put_order(self, None)
        _put_set(self, None)

    def __getitem__(self, key: K) -> V:
        return self._trie[key]

    def __contains__(self, key: object) -> bool:
        return key in self._trie

    def __len__(self) -> int:
        return len(self._trie)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: V | D) -> V | D: ...
    def get(self, key: K, default: V | D | None = None) -> V | D | None:
        """The value under `key`, or `default`."""
        return self._trie.get(key, default)

    def keys(self) -> tuple[K, ...]:
        """The keys, smallest first."""
        order = self._order
        if order is None:
            order = in_order(self._trie)
            _put_order(self, order)
        return order

    def values(self) -> tuple[V, ...]:
        """The values, in the order of their keys."""
        return tuple(map(self._trie.__getitem__, self.keys()))

    def items(self) -> tuple[tuple[K, V], ...]:
        """The (key, value) pairs, in the order of the keys."""
        keys = self.keys()
        return tuple(zip(keys, map(self._trie.__getitem__, keys), strict=True))

    def set(self, key: K, value: V) -> "Map[K, V]":
        """This map with `value` under `key`."""
        if type(key) not in PLAIN_KEYS:
            check_key(key)
        if type(value) not in _PLAIN_VALUES:
            _check_value(value)
        since = self._set
        return _changed(self, self._trie.set(key, value), None if since is None else (since, key))

    def without(self, *keys: K) -> "Map[K, V]":
        """This map without `keys`; itself when all of them are absent."""
        if len(keys) == 1:
            return _changed(self, self._trie.delete(keys[0]), self._set) if keys[0] in self._trie else self
        present = [key for key in dict.fromkeys(keys) if key in self._trie]
        if not present:
            return self
        with self._trie.mutate() as changing:
            for key in present:
                del changing[key]
            left = changing.finish()
        return _changed(self, left, self._set)

    def updated(self, content: HasItems[K, V] | Iterable[tuple[K, V]]) -> "Map[K, V]":
        """This map with each pair of `content` set, the last one where keys are equal."""
        pairs = _checked(content)
        since = self._set
        if since is not None:
            for key in pairs:
                since = (since, key)
        return _changed(self, self._trie.update(pairs), since)

    def unchecked(self) -> tuple[object, Collection[K]]:
        """The last mark put on this map or one it was made from, and the keys set since; None if there is no mark."""
        found: dict[K, None] = {}
        since: Any = self._set
        while type(since) is tuple:
            since, key = since
            if key in self._trie:
                found[key] = None
        return since, found.keys()

    def checked(self, mark: object) -> None:
        """Mark this map, whose keys and values conform, with `mark`, which is no plain tuple."""
        _put_set(self, mark)

    def __eq__(self, other: object) -> bool:
        return self._trie == other._trie if isinstance(other, Map) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._trie)

    def __repr__(self) -> str:
        return f"Map({{{', '.join(f'{key!r}: {value!r}' for key, value in self.items())}}})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Map is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"Map is immutable: cannot delete {name!r}")

    def __copy__(self) -> "Map[K, V]":
        return self

    def __deepcopy__(self, memo: object) -> "Map[K, V]":
        return self


# Only these write the slots: all at creation, `_order` also at the first iteration, `_set` also in `checked`.
_put_trie: Final = Map.__dict__["_trie"].__set__
_put_order: Final = Map.__dict__["_order"].__set__
_put_set: Final = Map.__dict__["_set"].__set__

_PLAIN_VALUES: Final = frozenset({int, str, bytes, float, bool, type(None), Blob, Map})


def _changed(before: Map[K, V], trie: "Trie[K, V]", since: object) -> Map[K, V]:
    """The map over `trie`, made from `before` by adding keys or removing some, never both; `since` is its `_set`."""
    after: Map[K, V] = Map.__new__(Map)
    _put_trie(after, trie)
    _put_order(after, before._order if len(trie) == len(before._trie) else None)
    _put_set(after, since)
    return after


def _checked(content: HasItems[K, V] | Iterable[tuple[K, V]]) -> dict[K, V]:
    pairs = dict(content if isinstance(content, Iterable) and not hasattr(content, "items") else content.items())
    if not set(map(type, pairs)) <= PLAIN_KEYS:
        for key in pairs:
            check_key(key)
    if not all(map(_is_value, set(map(type, pairs.values())))):
        for value in pairs.values():
            _check_value(value)
    return pairs


def _is_value(kind: type[Any]) -> bool:
    """Whether all values of a type may be in a map; the fields of a frozen struct are checked when it is defined."""
    return kind in _PLAIN_VALUES or (issubclass(kind, msgspec.Struct) and kind.__struct_config__.frozen)


def _check_value(value: object) -> None:
    """Raise TypeError unless `value` is immutable."""
    if _is_value(type(value)) or isinstance(value, Enum):
        return
    if isinstance(value, tuple):
        for part in value:
            _check_value(part)
    else:
        raise TypeError(
            f"{type(value).__name__} is no value of a Map: values are scalars, str, bytes, Blob, Map, "
            "and tuples and frozen structs of these"
        )
