"""Small values of a declared type, the same for the same seed: the material of a bounded search.

No random module here: chance is an argument, and the sequence is a function of the seed (SplitMix64; Steele, Lea and
Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). Scalars come from short pools, so that two fields
often hold the same value. The pools include the constants of the code under search, so that `== 4711` is met.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from types import CodeType, FunctionType, MethodType, NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from ..blob import Blob
from ..map import Map
from ..names import parse_address
from ..ref import ref_to

T = TypeVar("T")

ITEMS_MAX: Final = 3  # elements of a tuple, keys of a map
DEPTH_MAX: Final = 6  # below this depth optional parts are left out and collections are empty
TRIES_MAX: Final = 50  # values drawn until one keeps a declared bound (msgspec.Meta)

FOLLOWED_MAX: Final = 4  # how deep functions are followed from a guard, in the search for constants

_SCALARS: Final = (int, str, bytes, float)
_WORD: Final = 2**64 - 1
_INTS: Final = (0, 1, -1, 2, 3, 10, 100, 10**9, 2**31, 2**63 - 1)
_STRS: Final = ("", "a", "b", "engine", "engine#1", "é")
_BYTES: Final = (b"", b"\x00", b"a", b"\x13\x37", bytes(32))
_FLOATS: Final = (0.0, 1.0, -1.0, 0.5, 1e9)


class Dice:
    """Numbers that are a function of the seed. Each call advances the sequence; it belongs to one search."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _WORD

    def below(self, bound: int) -> int:
        """A number from 0 to bound - 1; the bias, bound / 2^64, is accepted."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _WORD
        mixed = ((self._state ^ (self._state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _WORD
        return (mixed ^ (mixed >> 31)) % bound

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.below(len(options))]


class Samples:
    """Values of declared types.

    Args:
        seed: the sequence is a function of it.
        constants: scalars to try besides the boundary values; see `constants_of`.
    """

    def __init__(self, seed: int, constants: Iterable[object] = ()) -> None:
        self._dice = Dice(seed)
        found = tuple(constants)
        near = {n + d for n in found if type(n) is int for d in (-1, 0, 1)}
        self._pools: dict[Any, tuple[Any, ...]] = {
            int: (*_INTS, *sorted(near)),
            str: (*_STRS, *(s for s in found if type(s) is str)),
            bytes: (*_BYTES, *(b for b in found if type(b) is bytes)),
            float: (*_FLOATS, *(f for f in found if type(f) is float)),
            bool: (False, True),
            NoneType: (None,),
            None: (None,),
        }
        self._addresses = tuple(filter(_is_address, self._pools[str]))

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return self._dice.pick(options)

    def below(self, bound: int) -> int:
        """A number from 0 to bound - 1."""
        return self._dice.below(bound)

    def of(self, declared: Any, depth: int = 0) -> Any:
        """A value of the declared type.

        Raises:
            TypeError: no value of this type can be made: it is unknown, or its bounds were missed TRIES_MAX times.
        """
        pool = self._pools.get(declared) if declared is None or isinstance(declared, type) else None
        if pool is not None:
            return self._dice.pick(pool)
        if isinstance(declared, type):
            return self._of_class(declared, depth)
        return self._of_form(declared, get_origin(declared), get_args(declared), depth)

    def _of_class(self, declared: type, depth: int) -> Any:
        if issubclass(declared, Enum):
            return self._dice.pick(tuple(declared))
        if declared is Blob:
            return Blob(self.of(bytes))
        if issubclass(declared, msgspec.Struct):
            return self._of_struct(declared, {}, depth)
        raise TypeError(f"no samples of {declared!r}")

    def _of_struct(self, declared: type[msgspec.Struct], bound: dict[Any, Any], depth: int) -> msgspec.Struct:
        hints = get_type_hints(declared, include_extras=True)
        return declared(**{n: self.of(_bind(hints[n], bound), depth + 1) for n in declared.__struct_fields__})

    def _of_form(self, declared: Any, origin: Any, parts: tuple[Any, ...], depth: int) -> Any:
        if origin is Annotated:
            return self._of_bounded(declared, parts[0], depth)
        if origin is Literal:
            return self._dice.pick(parts)
        if origin in (Union, UnionType):
            return None if depth > DEPTH_MAX and NoneType in parts else self.of(self._dice.pick(parts), depth)
        if origin is tuple:
            if parts[-1] is not Ellipsis:
                return tuple(self.of(part, depth + 1) for part in parts)
            return tuple(self.of(parts[0], depth + 1) for _ in range(self._items(depth)))
        if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
            return self._of_struct(origin, dict(zip(_parameters(origin), parts, strict=True)), depth)
        if origin is Map:
            return Map((self.of(parts[0], depth + 1), self.of(parts[1], depth + 1)) for _ in range(self._items(depth)))
        raise TypeError(f"no samples of {declared!r}")

    def _of_bounded(self, declared: Any, plain: Any, depth: int) -> Any:
        if ref_to(declared) is not None:
            return self._dice.pick(self._addresses)
        if not any(isinstance(mark, msgspec.Meta) for mark in declared.__metadata__):
            return self.of(plain, depth)
        for _ in range(TRIES_MAX):
            drawn = self.of(plain, depth)
            for value in (drawn, *_of_length(drawn, declared.__metadata__)):
                try:
                    return msgspec.convert(value, declared)
                except msgspec.ValidationError:
                    continue
        raise TypeError(f"no samples of {declared!r}: {TRIES_MAX} values were out of its bounds")

    def _items(self, depth: int) -> int:
        return 0 if depth > DEPTH_MAX else self._dice.below(ITEMS_MAX + 1)


def _of_length(value: Any, marks: Iterable[Any]) -> list[Any]:
    """Text or bytes, repeated and cut to a declared length."""
    least = max((mark.min_length or 0 for mark in marks if isinstance(mark, msgspec.Meta)), default=0)
    if not least or not isinstance(value, str | bytes):
        return []
    if isinstance(value, str):
        return [((value or "a") * least)[:least]]
    return [((value or b"a") * least)[:least]]


def _is_address(text: str) -> bool:
    try:
        parse_address(text)
    except ValueError:
        return False
    return True


def _parameters(generic: Any) -> tuple[Any, ...]:
    return tuple(getattr(generic, "__parameters__", ()))


def _bind(declared: Any, bound: dict[Any, Any]) -> Any:
    """The type with its type variables filled in."""
    if declared in bound:
        return bound[declared]
    free = _parameters(declared)
    return declared[tuple(bound[variable] for variable in free)] if bound and free else declared


def constants_of(function: object, depth: int = 0) -> Iterator[int | str | bytes | float]:
    """The scalars a function mentions: literals, values of global and closed-over names; also those of functions named.

    Its docstring is among them, which does no harm. Functions are followed FOLLOWED_MAX deep.
    """
    if isinstance(function, _SCALARS):
        yield function
    code = getattr(function, "__code__", None)
    if isinstance(function, FunctionType | MethodType) and code is not None and depth < FOLLOWED_MAX:
        yield from _written(code)
        plain = function.__func__ if isinstance(function, MethodType) else function
        cells = (cell.cell_contents for cell in getattr(plain, "__closure__", None) or ())
        named = (plain.__globals__.get(name) for name in code.co_names)
        for found in (*cells, *named):
            yield from constants_of(found, depth + 1)


def _written(code: CodeType) -> Iterator[int | str | bytes | float]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _written(constant)
        elif isinstance(constant, _SCALARS):
            yield constant
