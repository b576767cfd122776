"""What is being measured, as one line on a terminal that is gone at the end.

The line changes when it is told to and never by itself: a thread that refreshed it would be measured too, since two of
the peers run their consumer in this very process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def progress_line(console: Console) -> Iterator[Callable[[str], None]]:
    """Yields what sets the line; it is cleared when the block is left, also by an error. No terminal: no line."""
    if not console.is_terminal:
        yield lambda _line: None
        return
    from rich.live import Live
    from rich.text import Text

    with Live(
        console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as live:
        yield lambda line: live.update(Text(line, style="dim", overflow="ellipsis", no_wrap=True), refresh=True)
