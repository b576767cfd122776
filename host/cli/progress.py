"""What a long command does now, as one line on the terminal, removed at the end.

The line changes only by a call: a refreshing thread would disturb a measurement, because two peers of `bench` run their
consumer in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def progress_line(console: Console) -> Iterator[Callable[[str], None]]:
    """Yields a function that sets the line, which is cleared at the end, also after an error.

    Without a terminal that can rewrite a line, none is shown.
    """
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda _line: None
        return
    from rich.live import Live
    from rich.text import Text

    with Live(
        console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as live:
        yield lambda line: live.update(Text(line, style="dim", overflow="ellipsis", no_wrap=True), refresh=True)
