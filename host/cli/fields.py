"""The syntax of `send`: `ENGINE[#MAILBOX]` and `field=value`.

The way a value is written decides how it is sent; `send --help` lists the ways. The node knows the message's types and
converts it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from host.config.scalars import INTEGER_MAX, INTEGER_MIN
from host.live.control.protocol import TypedField

NESTED_MAX: Final = 100
"""Depth of JSON. No message is deeper, and much deeper text would end in a `RecursionError`."""

MAILBOX_DIGITS_MAX: Final = 9
"""No engine has a mailbox with a longer number."""

HEX: Final = re.compile(r"0x[0-9a-fA-F]*", re.ASCII)


class FieldError(click.UsageError):
    """A malformed field; the text says what was expected."""


class NotJson(ValueError):
    """A text that is not JSON, or cannot be sent; the message says why."""


def parse_target(text: str) -> tuple[str, int]:
    """Engine and mailbox number of `ENGINE[#MAILBOX]`; mailbox 0 when left out. Raises `FieldError`."""
    engine, hash_sign, number = text.partition("#")
    if not engine:
        raise FieldError(f"{text!r} names no engine: write ENGINE or ENGINE#MAILBOX")
    if hash_sign and not (number.isascii() and number.isdigit() and len(number) <= MAILBOX_DIGITS_MAX):
        raise FieldError(f"{text!r}: a mailbox is a number, as in {engine}#1")
    return engine, int(number or 0)


def parse_fields(arguments: Iterable[str]) -> dict[str, TypedField]:
    """All `field=value` arguments of a command line. Raises `FieldError`, also for a field given twice."""
    fields: dict[str, TypedField] = {}
    for argument in arguments:
        name, value = parse_field(argument)
        if name in fields:
            raise FieldError(f"field {name} is given twice")
        fields[name] = value
    return fields


def parse_field(argument: str) -> tuple[str, TypedField]:
    """Name and value of one `field=value`. Reads the file of `@file`. Raises `FieldError`."""
    name, equals, text = argument.partition("=")
    if not equals or not name.isidentifier():
        raise FieldError(f"{argument!r} is not field=value")
    return name, parse_value(name, text)


def parse_value(name: str, text: str) -> TypedField:
    """The form and the value of `text`. `name` is for the error."""
    if text.startswith("text:"):
        return TypedField("text", text[len("text:") :])
    if text.startswith("b64:"):
        return TypedField("bytes", _from_base64(name, text[len("b64:") :]))
    if text.startswith("@"):
        return TypedField("bytes", _from_file(name, text[1:]))
    if text.startswith(("{", "[", '"')):
        return TypedField("json", _from_json(name, text))
    return TypedField("hex" if HEX.fullmatch(text) else "text", text)


def parse_message(text: bytes) -> tuple[str | None, dict[str, TypedField]]:
    """A message as a JSON object: its tag when it has a `type`, and its fields. Raises `FieldError`."""
    try:
        body = _decoded(text)
    except NotJson as e:
        raise FieldError(f"standard input: {e}") from e
    if not isinstance(body, dict):
        raise FieldError("standard input is not a JSON object of fields")
    tag = body.pop("type", None)
    if tag is not None and not isinstance(tag, str):
        raise FieldError("standard input: `type` is the name of a message, in quotes")
    return tag, {name: TypedField("json", value) for name, value in body.items()}


def _from_base64(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError) as e:
        raise FieldError(f"{name}: not base 64 after b64: ({e})") from e


def _from_file(name: str, path: str) -> bytes:
    """The content, unless it is larger than any message."""
    from transport.port import MESSAGE_BYTES_MAX

    try:
        with Path(path).open("rb") as file:
            content = file.read(MESSAGE_BYTES_MAX + 1)
    except OSError as e:
        raise FieldError(f"{name}: {path or 'no file named after @'}: {e.strerror}") from e
    if len(content) > MESSAGE_BYTES_MAX:
        raise FieldError(f"{name}: {path} is larger than {MESSAGE_BYTES_MAX >> 20} MiB")
    return content


def _from_json(name: str, text: str) -> Any:
    try:
        return _decoded(text)
    except NotJson as e:
        raise FieldError(f"{name}: {e} (text that begins like JSON: {name}=text:…)") from e


def _decoded(text: str | bytes) -> Any:
    """The value of a JSON text, as a request can carry it. Raises `NotJson`."""
    try:
        return _carried(msgspec.json.decode(text), NESTED_MAX)
    except (msgspec.MsgspecError, UnicodeEncodeError) as e:
        raise NotJson(f"not JSON: {e}") from e
    except RecursionError as e:
        raise NotJson(f"nested deeper than {NESTED_MAX} levels") from e
    except OverflowError as e:
        raise NotJson("not JSON: Number out of range") from e


def _carried(value: Any, depth: int) -> Any:
    """`value` with whole numbers beyond 64 bits as floats: only float fields accept them."""
    if depth == 0:
        raise RecursionError
    match value:
        case int() if not INTEGER_MIN <= value <= INTEGER_MAX:
            return float(value)
        case dict():
            return {key: _carried(item, depth - 1) for key, item in value.items()}
        case list():
            return [_carried(item, depth - 1) for item in value]
        case _:
            return value
