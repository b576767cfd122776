"""Tokens of an agent: each message of a session log counts once, whatever the number of lines and files it is in.

Lines are of one message if their message ids are equal, and their request ids too, or one of these is missing. Of them
the one with the most output counts. So a line adds what it has more than the lines before it. A line of a sub-agent
counts for use and cost, not for the context; the context is that of the last message of the main chain, by time.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from engines.model import Map, Value

from .session_records import LogRecord, Usage

REMEMBERED: Final = 50_000
"""Messages of an agent whose repeats are known, at least."""


class Counted(Value):
    """A message that was counted: its request ids, "" for a missing one, each with what was counted."""

    of: tuple[tuple[str, Usage], ...]


class ContextUse(Value):
    """How full the context is. `is_estimated` after a compaction, until the next message."""

    tokens: int
    time_ns: int
    model: str = ""
    is_estimated: bool = False


class Tokens(Value):
    """The messages counted, in two generations; the sum of all; the context, None before the first message. Messages
    without any id are not counted, but their number is.
    """

    counted: Map[str, Counted] = Map()
    counted_before: Map[str, Counted] = Map()
    total: Usage = Usage()
    context: ContextUse | None = None
    compactions: int = 0
    repeats: int = 0
    unnamed: int = 0
    tools: int = 0
    tool_errors: int = 0

    def add(self, record: LogRecord) -> tuple[Tokens, Usage]:
        """With a record; and the tokens that it adds."""
        if record.kind != "message":
            return self._added(record), Usage()
        if not record.message:
            return replace(self, unnamed=self.unnamed + 1), Usage()
        known = self.counted.get(record.message) or self.counted_before.get(record.message) or Counted(())
        index, before = _same(known, record)
        usage = record.usage if index is None or record.usage.output > before.output else before
        request = record.request or (known.of[index][0] if index is not None else "")
        entry = (request, usage)
        entries = (*known.of, entry) if index is None else (*known.of[:index], entry, *known.of[index + 1 :])
        added = usage.minus(before)
        after = self._remember(record.message, Counted(entries))
        repeats = self.repeats + (index is not None)
        return replace(after, total=self.total.plus(added), context=self._context(record), repeats=repeats), added

    def _remember(self, message: str, counted: Counted) -> Tokens:
        young = self.counted.set(message, counted)
        if len(young) < REMEMBERED:
            return replace(self, counted=young)
        return replace(self, counted=Map(), counted_before=young)

    def _context(self, record: LogRecord) -> ContextUse | None:
        known = self.context
        is_newer = known is None or record.time_ns >= known.time_ns
        if record.is_sidechain or not record.usage.context or not is_newer:
            return known
        return ContextUse(record.usage.context, record.time_ns, record.model)

    def _added(self, record: LogRecord) -> Tokens:
        """A compaction, or results of tools; each once, by the id of its line."""
        name = record.message
        if name and (self.counted.get(name) or self.counted_before.get(name)):
            return replace(self, repeats=self.repeats + 1)
        after = self._remember(name, Counted(())) if name else self
        if record.kind == "compaction":
            return after._compacted(record)
        return replace(after, tools=self.tools + record.count, tool_errors=self.tool_errors + record.failed)

    def _compacted(self, record: LogRecord) -> Tokens:
        known = self.context
        if record.is_sidechain or (known is not None and record.time_ns < known.time_ns):
            return replace(self, compactions=self.compactions + (not record.is_sidechain))
        context = ContextUse(record.usage.input, record.time_ns, known.model if known else "", is_estimated=True)
        return replace(self, context=context, compactions=self.compactions + 1)

    def begun_anew(self) -> Tokens:
        """At a new conversation: the context is empty, until its first message."""
        return replace(self, context=None, compactions=0)


def _same(known: Counted, record: LogRecord) -> tuple[int | None, Usage]:
    """Which entry is of the message in this record, and what was counted for it."""
    for index, (request, usage) in enumerate(known.of):
        if not request or not record.request or request == record.request:
            return index, usage
    return None, Usage()
