"""The frame layout in Python, and held against the one in C."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slot_memory import SlotMemory
from transport_worlds import NEEDS_NATIVE, LaneWorld, payloads

from transport.crc32c import crc32c
from transport.frames import CHECKED_FROM, HEADER, decode_frame, encode_frame, head_bytes, message_bytes
from transport.port import KIND_GO, KIND_MESSAGES, KIND_STOP, Broken, Frame

words = st.integers(0, 2**64 - 1)
names = st.text(max_size=20)
frames = st.builds(
    Frame,
    peer=st.just(1),
    kind=st.just(KIND_MESSAGES),
    sender=names,
    target=names,
    mailbox=st.integers(0, 2**32 - 1),
    epoch=words,
    first_n=words,
    payloads=st.lists(st.binary(max_size=200), max_size=10),
)
signals = st.builds(
    Frame,
    st.just(1),
    st.sampled_from([KIND_STOP, KIND_GO]),
    st.just(""),
    names,
    st.just(0),
    st.just(0),
    st.just(0),
    st.just([]),
)


@given(frames | signals, words)
def test_decoding_undoes_encoding(frame: Frame, position: int) -> None:
    """If false, a ZeroMQ link would deliver something else than was sent."""
    data = encode_frame(frame, position)
    assert decode_frame(data, 1, position) == frame
    names_bytes = head_bytes(frame.sender.encode(), frame.target.encode())
    assert len(data) == names_bytes + sum(message_bytes(len(payload)) for payload in frame.payloads)


@given(frames, st.data())
def test_a_changed_frame_is_broken(frame: Frame, data: st.DataObject) -> None:
    """If false, damage would be delivered as a message."""
    whole = encode_frame(frame, 5)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Broken):
        decode_frame(bytes(changed), 1, 5)
    with pytest.raises(Broken):
        decode_frame(whole[:at], 1, 5)
    with pytest.raises(Broken, match="position"):
        decode_frame(whole, 1, 6)


@given(frames, st.data())
def test_a_frame_that_lies_is_broken_or_whole(frame: Frame, data: st.DataObject) -> None:
    """If false, a peer with the right checksum could make the reader fail in another way than Broken."""
    whole = bytearray(encode_frame(frame, 5))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(CHECKED_FROM + 1, len(whole) - 1))] = data.draw(st.integers(0, 255))
    resign(whole)
    try:
        got = decode_frame(bytes(whole), 1, 5)
    except Broken:
        return
    assert sum(map(len, got.payloads)) < len(whole)


def resign(frame: bytearray) -> None:
    frame[8] = 2
    frame[4:8] = zlib.crc32(frame[CHECKED_FROM:]).to_bytes(4, "little")


def test_the_checksum_is_castagnolis() -> None:
    """If false, another implementation could not read our frames (check value of RFC 3720's appendix and others)."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"") == 0


@NEEDS_NATIVE
@given(st.binary(max_size=300), st.integers(0, 4000))
def test_both_checksums_agree(data: bytes, more: int) -> None:
    """If false, one build could not read what the other wrote."""
    from transport import _lane

    data += bytes(range(256)) * (more // 256) + data[: more % 256]
    assert _lane.crc32c(data) == crc32c(data)


@NEEDS_NATIVE
@given(st.lists(frames.filter(lambda frame: frame.payloads) | signals, max_size=8))
def test_the_lane_reads_what_python_writes(written: list[Frame]) -> None:
    """If false, the two definitions of the layout differ, or the lane does not read zlib's checksum."""
    world = LaneWorld()
    _, two = world.two()
    memory = SlotMemory(world.slots[1][0], world.lane_bytes)
    memory.append(2, written)
    assert two.drain(1000) == written
    two.release()
    assert two.drain(1000) == []
    memory.close()
    world.close()


@NEEDS_NATIVE
@given(frames.filter(lambda frame: frame.payloads))
def test_python_reads_what_the_lane_writes(frame: Frame) -> None:
    """If false, the two definitions of the layout differ."""
    world = LaneWorld()
    one, two = world.two()
    outlet = one.outlet(2, frame.sender, frame.target, frame.mailbox, frame.epoch, frame.first_n)
    for payload in frame.payloads:
        outlet.send(payload)
    one.flush()
    memory = SlotMemory(world.slots[1][0], world.lane_bytes)
    data = memory.frame(2, 0)
    assert decode_frame(data, 1, 0) == frame
    assert payloads(two.drain(1000)) == frame.payloads
    assert memory.tail(2) == (len(data) + 7 & ~7)
    assert data[HEADER.size :] == encode_frame(frame, 0)[HEADER.size :]
    memory.close()
    world.close()
