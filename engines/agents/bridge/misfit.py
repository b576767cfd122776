"""Why a request is not let in."""

from __future__ import annotations


class Misfit(Exception):
    """A request is not let in. `kind` is a key of `bus.EXITS`, `code` a word for programs."""

    def __init__(self, kind: str, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind, self.code, self.message, self.hint = kind, code, message, hint
