"""Exceptions from an author's code as text, whatever the exception does when it is rendered.

An exception may have a `__str__` that raises, a class whose name raises, or a message that is not UTF-8 (file names
need not be). None of that may harm the code that reports it.
"""

from __future__ import annotations

from typing import Any

_name_of: Any = type.__dict__["__name__"].__get__
"""The name a class was given, bypassing any metaclass."""

traceback_of: Any = BaseException.__dict__["__traceback__"].__get__
"""The traceback of an exception, bypassing its own attributes."""


def blame(error: BaseException) -> tuple[str, str]:
    """An exception as a line, `Type: text`, and with its traceback. Both can be encoded as UTF-8.

    The last line of the traceback says the exception too: a group, a note or a text of several lines ends otherwise.
    """
    import traceback

    line = _line(error)
    try:
        text = "".join(traceback.format_exception(error))
    except BaseException:
        text = "".join(traceback.format_tb(traceback_of(error))) + line
    said = line.partition("\n")[0]
    if not text.rstrip().endswith(said):
        text = f"{text.rstrip()}\n{said}"
    return clean(line), clean(text)


def without_frames(error: BaseException, frames: int) -> BaseException:
    """The exception, its traceback without the `frames` outermost ones: those above the author's code."""
    traceback = traceback_of(error)
    for _ in range(frames):
        traceback = traceback and traceback.tb_next
    return BaseException.with_traceback(error, traceback)


def _line(error: BaseException) -> str:
    name = _name_of(type(error))
    try:
        text = str.__str__(str(error))  # of a subclass of str the plain text
    except BaseException as other:
        text = f"(its text cannot be had: {_name_of(type(other))})"
    return f"{name}: {text}" if text else str(name)


def clean(text: str) -> str:
    """Text that can be encoded as UTF-8: lone surrogates are written out."""
    return text.encode(errors="backslashreplace").decode()
