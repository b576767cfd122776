"""The protocol of the store: bytes in any pieces give the same replies, and what is no reply is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.agents.bridge.resp import DEPTH_MAX, ProtocolError, Replies, StoreError, command

REPLIES = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=40),
    lambda of: st.lists(of, max_size=4),
    max_leaves=12,
)


def encoded(reply: object) -> bytes:
    """A reply as a server writes it."""
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    assert isinstance(reply, list)
    return b"*%d\r\n%b" % (len(reply), b"".join(map(encoded, reply)))


def depth(reply: object) -> int:
    """Levels of arrays."""
    return 1 + max(map(depth, reply), default=0) if isinstance(reply, list) else 0


@given(st.lists(REPLIES.filter(lambda one: depth(one) <= DEPTH_MAX), max_size=5), st.lists(st.integers(1, 30)))
def test_replies_are_read_from_any_pieces(replies: list[object], sizes: list[int]) -> None:
    """False if where the network cuts the bytes changes what is read."""
    data = b"".join(map(encoded, replies))
    reader, found = Replies(), []
    for size in [*sizes, len(data)]:
        found += reader.feed(data[:size])
        data = data[size:]
    assert found == replies


def test_a_command_is_an_array_of_its_words() -> None:
    """False if a word can be read as more than one, or as something else."""
    assert command("SET", "a\r\n$1", b"\0", 7) == b"*4\r\n$3\r\nSET\r\n$5\r\na\r\n$1\r\n$1\r\n\0\r\n$1\r\n7\r\n"


def test_an_error_is_a_value() -> None:
    """False if the refusal of one command is taken for the end of the connection."""
    [error, after] = Replies().feed(b"-NOPERM no such right\r\n+OK\r\n")
    assert isinstance(error, StoreError)
    assert (error.code, after) == ("NOPERM", b"OK")


@pytest.mark.parametrize("data", [b"HTTP/1.1 400\r\n", b"$x\r\n", b"$99999999999\r\n", b"*1\r\n" * (DEPTH_MAX + 1)])
def test_what_is_no_reply_is_refused(data: bytes) -> None:
    """False if another kind of server is taken for a store, or a reply can exhaust the memory."""
    with pytest.raises(ProtocolError):
        Replies().feed(data)
