"""An answer on the command line looks like the same value in a state."""

from __future__ import annotations

from enum import Enum
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engines.examples
from engines.model import Blob, Declaration, Device, Map, Message, Ref, Value, encode, view
from engines.model.check.samples import Samples
from engines.model.device import DeviceHost
from host.live.supervisor.serving.shown import show_message


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Point(Value):
    x: int
    y: float = 0.5


class Circle(Value, tag=True):
    middle: Point
    radius: int


class Square(Value, tag=True):
    corners: tuple[Point, Point]


class Inner(Message):
    names: Map[str, int]


class Answer(Message):
    hash: bytes
    counts: Map[str, int]
    places: Map[int, Point]
    nested: tuple[Map[str, Map[str, bytes]], ...]
    pair: tuple[int, Map[str, int]]
    shape: Circle | Square
    inner: Inner
    colour: Colour
    blob: Blob
    maybe: Map[str, Point] | None
    number: int | str | None
    to: Ref[Inner] | None = None


class Silence:
    async def run(self, host: DeviceHost) -> None:
        return


TELLER: Device[Inner, None, Answer | Inner] = Device("teller", accepts=Inner, emits=Answer | Inner, driver=Silence)


def families() -> list[Declaration[Any, Any, Any]]:
    modules = [import_module(f"engines.examples.{found.name}") for found in iter_modules(engines.examples.__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Declaration)]
    return [*found, TELLER]


@given(st.integers(0, 2**32))
def test_an_answer_is_shown_as_the_value_itself(seed: int) -> None:
    """False if a `Map` were an object in a state and pairs in an answer, or a struct a list."""
    samples = Samples(seed=seed)
    for family in families():
        interface = family.interface()  # type: ignore[attr-defined]
        for kind in sorted(family.emits_types, key=str):
            message = samples.of(kind)
            assert show_message(interface, encode(message)) == view(message)


def test_an_empty_map_is_an_object_and_an_empty_tuple_a_list() -> None:
    """False if both, which are the same on the wire, looked the same."""
    payload = encode(Inner(Map()))
    assert show_message(TELLER.interface(), payload) == {"type": "Inner", "names": {}}
    payload = msgspec.msgpack.encode(["Answer", b"", [], [], []])
    shown = show_message(TELLER.interface(), payload)
    assert shown == {"type": "Answer", "hash": "0x", "counts": {}, "places": {}, "nested": []}


@pytest.mark.parametrize("wrong", [7, [["a"]], [1, 2], {"a": 1}, [["a", 1, 2]]])
def test_what_does_not_fit_its_type_is_shown_as_it_came(wrong: Any) -> None:
    """False if a message of another version could not be looked at."""
    payload = msgspec.msgpack.encode(["Inner", wrong, b"\x01"])
    assert show_message(TELLER.interface(), payload) == {"type": "Inner", "names": wrong, "field1": "0x01"}


def test_without_an_interface_fields_have_numbers() -> None:
    """False if the answer of an engine that has gone could not be shown."""
    payload = msgspec.msgpack.encode(["Inner", [["a", 1]], b"\x01"])
    assert show_message(None, payload) == {"type": "Inner", "field0": [["a", 1]], "field1": "0x01"}
