"""Large messages in parts and read in place: what is on the wire, and what a state keeps, is as with any message."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.model import (
    Arrived,
    Become,
    Blob,
    Box,
    Configuration,
    Delivery,
    Effects,
    Family,
    Message,
    Store,
    Value,
    birth,
    encode,
    in_parts,
    rule,
    step,
)
from engines.model.large import LARGE_BYTES


class Page(Message):
    number: int
    content: Blob
    title: str = "untitled"
    cover: Blob | None = None
    back: Blob = Blob(b"back")


class Count(Message):
    number: int


class Deep(Message):
    pages: tuple[Blob, ...]


class Kept(Value):
    content: Blob = Blob()


BOX = Box(0, accepts=Page | Count | Deep)

sizes = st.sampled_from([0, 1, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, 65535, 65536, 100_000])
blobs = sizes.map(lambda size: Blob(bytes(range(256)) * (size // 256) + bytes(size % 256)))
pages = st.builds(Page, st.integers(0, 2**40), blobs, st.text(max_size=5), st.none() | blobs, blobs)


@given(pages)
def test_parts_are_the_encoded_message(page: Page) -> None:
    """If false, a receiver would get another message because of how it was sent."""
    parts = in_parts(page)
    is_large = any(blob is not None and len(blob) >= LARGE_BYTES for blob in (page.content, page.cover, page.back))
    assert (parts is not None) == is_large
    if parts is not None:
        assert b"".join(parts) == encode(page)
        assert page.content.view in parts or len(page.content) < LARGE_BYTES


@given(st.one_of(pages, st.builds(Count, st.integers(0, 9)), st.builds(Deep, st.tuples(blobs, blobs))))
def test_reading_in_place_gives_the_same_message(message: Message) -> None:
    """If false, a message would mean something else when it is large."""
    encoded = encode(message)
    read = BOX.decode(memoryview(encoded))
    assert read == message == BOX.decode(encoded)
    assert type(read) is type(message)


def test_a_large_field_is_not_copied() -> None:
    """If false, reading in place would be a copy."""
    encoded = encode(Page(1, Blob(bytes(100_000))))
    page = BOX.decode(memoryview(encoded))
    assert page.content.view.obj is encoded
    assert page.content.view.readonly


def test_wrong_bytes_are_refused_in_the_same_way() -> None:
    """If false, a large message of a wrong type would not be a dead letter."""
    for wrong in (encode([1, 2]), encode(["Page", 1]), encode(["Page", "x", b""]), b"\xc1", encode(["Other"])):
        with pytest.raises(msgspec.DecodeError):
            BOX.decode(memoryview(wrong))
        with pytest.raises(msgspec.DecodeError):
            BOX.decode(wrong)


@rule
def keep(page: Page, t: Arrived[Page, None, Kept]) -> Effects[Kept, None]:
    """State: the content. Messages, timers, engines: none."""
    return [Become(Kept(page.content))]


@rule
def keep_plainly(page: Page, t: Arrived[Page, None, Kept]) -> Kept:
    """State: the content. Messages, timers, engines: none."""
    return Kept(page.content)


KEEPER = Family("keeper", state=Kept(), accepts=Page).rules(keep)
PLAIN_KEEPER = Family("plain-keeper", state=Kept(), accepts=Page).rules(keep_plainly)


@rule
def store(page: Page, t: Arrived[Page, None, Kept]) -> Effects[Kept, None]:
    """State: none. Stored: the page. Messages, timers, engines: none."""
    return [Store()]


STORER = Family("storer", state=Kept(), accepts=Page).rules(store)


@pytest.mark.parametrize("family", [KEEPER, PLAIN_KEEPER])
def test_a_state_never_changes_under_its_engine(family: Family) -> None:  # type: ignore[type-arg]
    """If false, the memory of a message could be used again while a state still looks at it."""
    memory = bytearray(encode(Page(1, Blob(b"before" * 10_000))))
    page = BOX.decode(memoryview(memory).toreadonly())
    configuration = Configuration("node", "keeper")
    outcome = step(family, configuration, birth(family, configuration, now_ns=0), Delivery("a", 0, page), 1)
    memory[:] = bytes(len(memory))
    assert outcome.env.state.content == b"before" * 10_000  # type: ignore[union-attr]


def test_a_stored_message_never_changes() -> None:
    """If false, a message that waits in the environment could change under it."""
    memory = bytearray(encode(Page(1, Blob(b"before" * 10_000))))
    page = BOX.decode(memoryview(memory).toreadonly())
    configuration = Configuration("node", "storer")
    outcome = step(STORER, configuration, birth(STORER, configuration, now_ns=0), Delivery("a", 0, page), 1)
    memory[:] = bytes(len(memory))
    assert outcome.env.mailboxes[0].stored[0].message.content == b"before" * 10_000  # type: ignore[union-attr]
