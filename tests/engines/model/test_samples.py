"""`Samples`: values of any declared type, the same for the same seed."""

from enum import Enum
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
import pytest

from engines.model.blob import Blob
from engines.model.check.samples import Dice, Samples, constants_of
from engines.model.map import Map
from engines.model.ref import Ref

T = TypeVar("T")
Small = Annotated[int, msgspec.Meta(ge=0, le=3)]


class Colour(Enum):
    RED = 1
    BLUE = 2


class Tree(msgspec.Struct, frozen=True):
    label: str
    left: "Tree | None" = None
    right: "Tree | None" = None


class Pair(msgspec.Struct, Generic[T], frozen=True):
    first: T
    rest: tuple[T, ...]


EVERY = [
    *(int, str, bytes, float, bool, None, Colour, Tree, Small),
    *(int | None, Literal["a", "b"], tuple[int, ...], tuple[int, str], Pair[int], tuple[Pair[str] | None, ...]),
]


@pytest.mark.parametrize("declared", EVERY)
def test_a_sample_is_of_its_type(declared: Any) -> None:
    """A search would try what no engine can hold, and report it."""
    samples = Samples(seed=1)
    for _ in range(100):
        value = samples.of(declared)
        assert msgspec.convert(msgspec.to_builtins(value), declared) == value


@pytest.mark.parametrize("declared", EVERY)
def test_the_same_seed_gives_the_same_sequence(declared: Any) -> None:
    """A finding could not be repeated from its seed."""
    first, second, other = Samples(seed=7), Samples(seed=7), Samples(seed=8)
    values = [first.of(declared) for _ in range(50)]
    assert values == [second.of(declared) for _ in range(50)]
    if declared is not None:
        assert values != [other.of(declared) for _ in range(50)]


def test_maps_and_blobs_have_samples() -> None:
    """A family with a Map in its state could not be searched."""
    samples = Samples(seed=1)
    maps = [samples.of(Map[str, tuple[int, ...]]) for _ in range(50)]
    assert {len(found) for found in maps} >= {0, 1, 2}
    assert all(type(key) is str and type(value) is tuple for found in maps for key, value in found.items())
    assert isinstance(samples.of(Blob), Blob)


LIMIT = 815


def helper(n: int) -> bool:
    return n < LIMIT and str(n) != "needle"


def test_constants_of_the_code_are_tried() -> None:
    """`== 4711` in a guard would never be met."""

    closed_over = 31337

    def guard(n: int) -> bool:
        return ((lambda m: m == 4711)(n) and helper(n)) or n == closed_over

    assert set(constants_of(guard)) >= {4711, 31337, "needle", LIMIT}
    samples = Samples(seed=1, constants=constants_of(guard))
    assert {4710, 4711, 4712} <= {samples.of(int) for _ in range(300)}
    assert "needle" in {samples.of(str) for _ in range(300)}


def test_what_has_no_samples_is_named() -> None:
    """A search would pass because it tried nothing."""
    with pytest.raises(TypeError, match="object"):
        Samples(seed=1).of(object)
    with pytest.raises(TypeError, match="bounds"):
        Samples(seed=1).of(Annotated[int, msgspec.Meta(ge=5000, le=5001)])


def test_dice_are_even() -> None:
    """A search would rarely reach some branches: chi-square with 5 degrees of freedom, 1 in 1,000,000 exceeds 36."""
    dice = Dice(1)
    counts = [0] * 6
    for _ in range(60_000):
        counts[dice.below(6)] += 1
    assert sum((count - 10_000) ** 2 / 10_000 for count in counts) < 36


@pytest.mark.parametrize(
    "kind", [Annotated[bytes, msgspec.Meta(min_length=33, max_length=33)], Annotated[str, msgspec.Meta(min_length=9)]]
)
def test_a_declared_length_is_kept(kind: Any) -> None:
    """If false, a family whose messages have hashes or keys cannot be checked alone."""
    assert msgspec.convert(Samples(1).of(kind), kind)


def test_a_reference_is_an_address() -> None:
    """If false, a constant that is no name is sent to, and the send fails as no message can make it."""
    samples = Samples(1, ["#", "a#b", "bob"])
    assert {samples.of(Ref[Any]) for _ in range(200)} & {"#", "a#b"} == set()
