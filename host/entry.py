"""Where the program begins, as `enginehost` and as `python -m host`: for `up` the supervisor starts first.

The command line takes 50 ms to be imported and to read its arguments; a supervisor is as long in getting warm. What
`up` is going to want is guessed from its arguments: a wrong guess costs a process that leaves at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from host import program

if TYPE_CHECKING:
    from host.live.control.begin import Begun

INTERRUPTED: Final = 130
"""As `host.cli.main` ends after a Ctrl-C; repeated here because that is not imported yet."""

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
    """The supervisor of an `up`, begun; None for anything else, or where it fails: `up` tries again and says why."""
    if not argv or argv[0] != "up" or OTHERWISE.intersection(argv):
        return None
    from host.live.control.begin import begin

    try:
        return begin(attached=not {"-d", "--detach"}.intersection(argv))
    except OSError:
        return None
