"""What a long command does now, as one line on the terminal, removed at the end.

The line changes only by a call: a refreshing thread would disturb a measurement, because two peers of `bench` run their
consumer in this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from host.cli.units import show_bytes

if TYPE_CHECKING:
    from rich.console import Console

BAR_CHARS: Final = 30
SHOWN_S: Final = 0.1
"""Between two changes of a bar."""


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


class Moving:
    """Shows how many bytes have been moved."""

    def __init__(self, show: Callable[[str], None], what: str, size: int) -> None:
        self.total = 0
        self._show = show
        self._what = what
        self._size = size
        self._began_s = self._shown_s = time.monotonic()

    def __call__(self, total: int) -> None:
        """So many bytes so far."""
        self.total = total
        if (now_s := time.monotonic()) - self._shown_s >= SHOWN_S:
            self._shown_s = now_s
            self._show(moving_line(self._what, total, self._size, now_s - self._began_s))


def moving_line(what: str, total: int, size: int, taken_s: float) -> str:
    """The line; with a bar if the size is known."""
    done = f"{show_bytes(total)}, {show_bytes(round(total / max(taken_s, 1e-9)))}/s"
    if not size:
        return f"{what}: {done}"
    share = min(total / size, 1.0)
    full = round(share * BAR_CHARS)
    return f"{what}: [{'#' * full}{'-' * (BAR_CHARS - full)}] {share:.0%}, {done}"


@contextmanager
def moving(what: str, size: int) -> Iterator[Moving]:
    """Yields what shows the progress on standard error; 0: the size is not known."""
    from rich.console import Console

    with progress_line(Console(stderr=True)) as show:
        yield Moving(show, what, size)
