"""Nouns: atoms (whole numbers) and cells (pairs of nouns), with `jam` and `cue`, their bytes.

A noun is an `int` that is not negative, or a `tuple` of two nouns; nothing else. Code that crosses a boundary (message,
state, key) takes the noun as its jam.

Nouns may be as deep as they are long, and may share parts, so that their tree is exponentially larger than they are.
Therefore nothing here recurs, compares or hashes a tuple: Python does these by recursion in C. Work is linear in the
number of distinct objects: `numbered` gives equal nouns the same number, from the leaves up.

The encoding is Urbit's: bits from the least significant one. `0` is an atom, `10` a cell, `11` a back reference to the
bit position where an equal noun began. A length is unary, then binary without its leading one.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Noun: TypeAlias = "int | tuple[Noun, Noun]"

JAM_BYTES_MAX: Final = 1 << 20
"""Bytes that `cue` reads: a noun of this size still fits a message."""


class NounError(ValueError):
    """Bytes that are no jam, or a value that is no noun of the wanted shape."""


def _object(noun: Noun) -> int:
    """Tells objects apart, so that a shared one is looked at once. No result depends on which number it is."""
    return id(noun)  # lint: accept identity: only whether two are the same counts


def numbered(noun: Noun, numbers: dict[Any, int], seen: dict[int, int]) -> int:
    """The number of a noun: equal nouns have the same. `numbers` and `seen` (by object) are kept between calls."""
    todo: list[Noun] = [noun]
    while todo:
        one = todo[-1]
        if isinstance(one, int):
            seen[_object(one)] = numbers.setdefault(one, len(numbers))
        else:
            head, tail = one
            missing = [part for part in (head, tail) if _object(part) not in seen]
            if missing:
                todo += missing
                continue
            seen[_object(one)] = numbers.setdefault((seen[_object(head)], seen[_object(tail)]), len(numbers))
        todo.pop()
    return seen[_object(noun)]


def is_equal(one: Noun, other: Noun) -> bool:
    """Whether two nouns are equal. Linear in the number of their distinct objects."""
    if one is other:
        return True
    if isinstance(one, int) or isinstance(other, int):
        return type(one) is type(other) and one == other
    numbers: dict[Any, int] = {}
    seen: dict[int, int] = {}
    return numbered(one, numbers, seen) == numbered(other, numbers, seen)


def jam(noun: Noun) -> bytes:
    """The bytes of a noun, the least significant first."""
    if isinstance(noun, int):
        return _jam_of_atom(noun)
    numbers: dict[Any, int] = {}
    seen: dict[int, int] = {}
    numbered(noun, numbers, seen)
    places: dict[int, int] = {}
    bits: list[str] = []
    place = 0
    todo: list[Noun] = [noun]
    while todo:
        one = todo.pop()
        before = places.setdefault(seen[_object(one)], place)
        if isinstance(one, int):
            parts = ["0", *_sized(one)]
            if before != place and before.bit_length() < one.bit_length():
                parts = ["11", *_sized(before)]
        elif before != place:
            parts = ["11", *_sized(before)]
        else:
            head, tail = one
            todo += (tail, head)
            parts = ["10"]
        bits += parts
        place += sum(map(len, parts))
    return _packed(bits)


def _jam_of_atom(atom: int) -> bytes:
    """The bits of `jam` for an atom, as one number: most values are atoms."""
    size = atom.bit_length()
    width = size.bit_length()
    if not width:
        return b"\x02"
    low = size ^ 1 << width - 1
    bits = 1 << width + 1 | low << width + 2 | atom << 2 * width + 1
    return bits.to_bytes((2 * width + size + 8) // 8, "little")


def _atom_of_jam(data: bytes) -> int | None:
    """The atom that these bytes are the jam of; None for other bytes."""
    bits = int.from_bytes(data, "little")
    width = (bits & -bits).bit_length() - 2
    if width <= 0:
        return 0 if data == b"\x02" else None
    rest = bits >> width + 2
    size = rest & (1 << width - 1) - 1 | 1 << width - 1
    atom = rest >> width - 1
    is_whole = atom.bit_length() <= size and len(data) == (2 * width + size + 8) // 8
    return atom if is_whole else None


def _sized(atom: int) -> tuple[str, ...]:
    """An atom with its length, as bits in the order of writing."""
    if not atom:
        return ("1",)
    size = atom.bit_length()
    width = size.bit_length()
    return ("0" * width, "1", bin(size)[3:][::-1], bin(atom)[2:][::-1])


def _packed(bits: list[str]) -> bytes:
    written = "".join(bits)
    return int(written[::-1], 2).to_bytes(-(-len(written) // 8), "little")


def cue(data: bytes) -> Noun:
    """The noun of these bytes. Raises NounError for bytes that are no jam, or over `JAM_BYTES_MAX`."""
    if len(data) > JAM_BYTES_MAX:
        raise NounError(f"{len(data)} bytes; a noun has at most {JAM_BYTES_MAX}")
    if (atom := _atom_of_jam(data)) is not None:
        return atom
    return _Reader(bin(int.from_bytes(data, "little") | 1 << 8 * len(data))[:2:-1]).noun()


class _Reader:
    """Reads one jam from bits written as text, in their order."""

    __slots__ = ("bits", "place")

    def __init__(self, bits: str) -> None:
        self.bits = bits
        self.place = 0

    def noun(self) -> Noun:
        """The noun, without recursion: an open cell waits in `cells` for its head, then for its tail."""
        cells: list[tuple[int, Noun | None]] = []
        places: dict[int, Noun] = {}
        while True:
            start = self.place
            if self._bit() == "0":
                value: Noun = self._sized()
                places[start] = value
            elif self._bit() == "0":
                cells.append((start, None))
                continue
            else:
                value = self._referred(places)
            while cells:
                start, head = cells.pop()
                if head is None:
                    cells.append((start, value))
                    break
                value = places[start] = (head, value)
            else:
                return self._ended(value)

    def _referred(self, places: dict[int, Noun]) -> Noun:
        try:
            return places[self._sized()]
        except KeyError as place:
            raise NounError(f"a back reference to bit {place}, where no noun began and ended before") from None

    def _ended(self, noun: Noun) -> Noun:
        if "1" in self.bits[self.place :] or len(self.bits) - self.place > 7:
            raise NounError("more bytes than one noun has")
        return noun

    def _bit(self) -> str:
        return self._taken(1)

    def _taken(self, count: int) -> str:
        first, self.place = self.place, self.place + count
        if self.place > len(self.bits):
            raise NounError("the bytes end within a noun")
        return self.bits[first : self.place]

    def _sized(self) -> int:
        one = self.bits.find("1", self.place)
        if one < 0:
            raise NounError("the bytes end within a length")
        width, self.place = one - self.place, one + 1
        if not width:
            return 0
        size = int("1" + self._taken(width - 1)[::-1], 2)
        return int(self._taken(size)[::-1], 2)


def text_atom(text: str) -> int:
    """A text as an atom (a cord): its UTF-8 bytes, the least significant first."""
    return int.from_bytes(text.encode(), "little")


def list_of(items: list[Noun]) -> Noun:
    """A list as a noun: cells, ended by 0."""
    noun: Noun = 0
    for item in reversed(items):
        noun = (item, noun)
    return noun


def items_of(noun: Noun) -> list[Noun]:
    """The items of a list. Raises NounError for a noun that is no list."""
    items: list[Noun] = []
    while not isinstance(noun, int):
        head, noun = noun
        items.append(head)
    if noun:
        raise NounError("a list ends with 0")
    return items
