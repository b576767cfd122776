"""What a client outside the node does: it makes and signs instructions, and writes values as text. Pure."""

from __future__ import annotations

from engines.crypto.keys import SecretKey, sign
from engines.execution.nouns import NounError, cue, jam
from engines.model import encode, view

from .messages import Reply, Submission, signed_text

NUMBER = "num:"
HEX = "0x"
TEXT = "text:"


def signed_fields(secret: SecretKey, statement: Submission | Reply) -> tuple[bytes, object]:
    """The body of an instruction, and its commitment as JSON has it. Raises ValueError for a key that cannot sign."""
    body = encode(statement)
    commitment = sign(secret, signed_text(body))
    return body, view(commitment)


def bytes_of(text: str) -> bytes:
    """An argument or a key as it is typed: `0x…` bytes in hex, `num:5` a number of programs, else the text in UTF-8.

    `text:` before a text that looks like one of these. Raises ValueError.
    """
    if text.startswith(TEXT):
        return text[len(TEXT) :].encode()
    if text.startswith(NUMBER):
        number = int(text[len(NUMBER) :])
        if number < 0:
            raise ValueError("programs have no negative numbers")
        return jam(number)
    if text.startswith(HEX):
        return bytes.fromhex(text[len(HEX) :])
    return text.encode()


def text_of(datum: bytes) -> str:
    """A key or a value for people: a number of programs in digits, printable UTF-8 in quotes, else hex."""
    if (number := number_of(datum)) is not None:
        return str(number)
    try:
        text = datum.decode()
    except UnicodeDecodeError:
        return "0x" + datum.hex()
    return f'"{text}"' if text.isprintable() else "0x" + datum.hex()


def number_of(datum: bytes) -> int | None:
    """The number that a value is, as programs write numbers; None for any other value."""
    try:
        noun = cue(datum)
    except NounError:
        return None
    return noun if isinstance(noun, int) and jam(noun) == datum else None
