"""What the commands that ask the engine share: arguments that are texts, files or JSON, and the question itself."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable

from engines.agents.bridge.misfit import Misfit
from engines.agents.bus import REQUEST_BYTES_MAX
from engines.agents.names import TYPE_CHECKING
from host.aism.call import Call
from host.aism.client import EMPTY, AgentClient, new_request_id
from host.aism.output import Failure, Outcome
from host.aism.usage import Misuse, seconds

if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

Shown: TypeAlias = "Callable[[dict[str, Any], str], str]"
"""An answer as text; the agent that an operator asks about, or ""."""

WAIT_GRACE_S: Final = 5.0
"""How much longer than the engine the command waits."""

DONE: Final = '{"success":true,'
"""The beginning of an answer that is printed as it came: reading and writing JSON would take 8 ms."""


def ask(
    call: Call, op: str, fields: dict[str, Any] | None = None, wait_s: float = 0.0, shown: Shown | None = None
) -> Outcome:
    """Put a request and give its answer to be printed, as text by `shown`. Fields that are None are left out.

    Raises Failure.
    """
    text = _put(call, op, fields, wait_s)
    if call.options.is_json and text.startswith(DONE) and text.isascii():
        return Outcome({"success": True}, json=text)
    import json

    answer = json.loads(text)
    if shown is None or call.options.is_json:
        return Outcome(answer)
    return Outcome(answer, shown(answer, call.arguments.get("--agent") or call.arguments.get("agent")))


def answer_to(call: Call, op: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    """As `ask`, for a command that looks into the answer."""
    import json

    answer: dict[str, Any] = json.loads(_put(call, op, fields, 0.0))
    return answer


def _put(call: Call, op: str, fields: dict[str, Any] | None, wait_s: float) -> str:
    found = {name: one for name, one in (fields or {}).items() if one is not None}
    if "--agent" in call.arguments:
        found["agent"] = call.arguments["--agent"]
    timeout_s = max(call.options.timeout_s, wait_s + WAIT_GRACE_S if wait_s else 0.0)
    with AgentClient() as client:
        return client.ask_as_text(op, _body(found), call.options.request_id or new_request_id(), timeout_s)


def _body(fields: dict[str, Any]) -> str:
    if not fields:
        return EMPTY
    import json

    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def text_argument(word: str, what: str) -> str:
    """A text: the word itself, what is in the file after `@`, or standard input for `-`; `@@` begins a text with `@`.

    Raises Failure if it is too large, no UTF-8, or has NUL.
    """
    if word == "-":
        data = sys.stdin.buffer.read(REQUEST_BYTES_MAX + 1)
    elif word.startswith("@@"):
        data = os.fsencode(word[1:])
    elif word.startswith("@"):
        data = _read_file(word[1:], what)
    else:
        data = os.fsencode(word)
    return _decoded(data, what)


def word_argument(word: str, what: str) -> str:
    """A text as it is. Raises Failure as `text_argument`."""
    return _decoded(os.fsencode(word), what)


def object_argument(word: str, what: str) -> dict[str, Any]:
    """A JSON object, in a text as above. Raises Failure."""
    from engines.agents.bridge.json_body import read_body

    try:
        return read_body(text_argument(word, what))
    except Misfit as misfit:
        raise _wrong(misfit.code, misfit.message.replace("the body", what)) from None


def pairs_argument(words: list[str], what: str) -> dict[str, Any]:
    """From `name=value` words; a value that is JSON is that, any other is text. Raises Failure."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise Misuse(f"{what} {word[:80]!r} is not NAME=VALUE")
        if name in found:
            raise _wrong("duplicate_key", f"{what} {name!r} is given twice")
        found[name] = value_argument(text, name)
    return found


def value_argument(word: str, what: str) -> Any:
    """A value: JSON if it is that, else the text. Raises Failure for JSON beyond the bounds."""
    text = text_argument(word, what)
    if text[:1] not in '{["-0123456789tfnNI':
        return text
    from engines.agents.bridge.json_body import read_body

    try:
        return read_body(f'{{"value":{text}}}')["value"]
    except Misfit as misfit:
        if misfit.code == "not_json":
            return text
        raise _wrong(misfit.code, misfit.message.replace("the body", what)) from None


def count_argument(word: str, what: str) -> int:
    """A count. Raises Misuse."""
    if not word.isdecimal() or not word.isascii() or len(word) > 18:
        raise Misuse(f"{what} {word[:40]!r} is no count")
    return int(word)


def duration_argument(word: str, _what: str = "") -> int:
    """A duration in nanoseconds. Raises Misuse."""
    return int(seconds(word) * 1e9)


def _decoded(data: bytes, what: str) -> str:
    if len(data) > REQUEST_BYTES_MAX:
        raise _wrong("too_large", f"{what} has more than {REQUEST_BYTES_MAX:,} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _wrong("not_utf8", f"{what} is not UTF-8") from None
    if "\0" in text:
        raise _wrong("not_text", f"{what} has NUL")
    return text


def _read_file(path: str, what: str) -> bytes:
    """Of a regular file: a pipe or a device could keep the command waiting."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _wrong("no_file", f"{what}: {path}: {getattr(error, 'strerror', error)}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _wrong("no_file", f"{what}: {path} is no regular file")
        return os.read(fd, REQUEST_BYTES_MAX + 1)
    finally:
        os.close(fd)


def _wrong(code: str, message: str) -> Failure:
    return Failure("usage", code, message)
