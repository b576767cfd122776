"""Entry point of `enginehost` and `python -m host`. For `up`, it starts the supervisor first.

The command line takes 50 ms to import and to read its arguments, and a supervisor takes as long to start. So the needs
of `up` are guessed from its arguments. A wrong guess costs one process that exits at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from host import program

if TYPE_CHECKING:
    from host.live.control.begin import Begun

INTERRUPTED: Final = 130
"""Exit code of `host.cli.main` after Ctrl-C; repeated here because that module is not imported yet."""

OTHERWISE: Final = frozenset({"-h", "--help", "--inline"})
"""With these, `up` starts no supervisor."""


def main() -> NoReturn:
    """Run the command line of this process."""
    program.begin()
    try:
        begun = guess(sys.argv[1:])
        from host.cli.main import main
    except KeyboardInterrupt:
        sys.stderr.write("enginehost: interrupted\n")
        sys.exit(INTERRUPTED)
    main(begun)


def guess(argv: Sequence[str]) -> Begun | None:
    """A started supervisor for `up`; None for other commands, and after an error: `up` tries again and reports it."""
    if not argv or argv[0] != "up" or OTHERWISE.intersection(argv):
        return None
    from host.live.control.begin import begin

    try:
        return begin(attached=not {"-d", "--detach"}.intersection(argv))
    except OSError:
        return None
