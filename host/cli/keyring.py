"""The user's key file, for commands: where it is, its passphrase, and a key by its name.

The file has the format of a key store's (`engines/crypto/key_file.py`). Its place is --keys, else $ENGINEHOST_KEYS,
else `enginehost/keys` in $XDG_DATA_HOME or ~/.local/share. The passphrase comes from --passphrase, else from
$ENGINEHOST_PASSPHRASE, else from the terminal, if there is one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from host.cli.problem import CliError

if TYPE_CHECKING:
    from engines.crypto.key_disk import KeyDisk
    from engines.crypto.key_file import KeyRecord

VARIABLE: Final = "ENGINEHOST_PASSPHRASE"

Decorated = Callable[..., None]


def with_keys(command: Decorated) -> Decorated:
    """Add the options that say where the keys are."""
    file = click.option(
        "--keys",
        "path",
        type=click.Path(dir_okay=False),
        envvar="ENGINEHOST_KEYS",
        metavar="FILE",
        help="The key file.",
    )
    passphrase = click.option(
        "--passphrase",
        metavar="SOURCE",
        help=f"file:PATH, env:NAME or fd:NUMBER; default: ${VARIABLE}, else the terminal.",
    )
    return file(passphrase(command))


@contextmanager
def opened(path: str | None, source: str | None, create: bool = False) -> Iterator[KeyDisk]:
    """The key file; `create`: to be written, and made if it is missing. Raises CliError."""
    from engines.crypto.key_disk import open_keys
    from engines.crypto.key_file import KeyFileError

    place = path or default_path()
    if not create and not os.path.exists(place):
        raise CliError("not_found", f"{place}: there is no key file; `enginehost key new NAME` makes one")
    try:
        disk = open_keys(place, lambda is_new: passphrase_of(source, is_new), writable=create, create=create)
        try:
            yield disk
        finally:
            disk.close()
    except KeyFileError as error:
        raise CliError("failed", str(error)) from None


def named(disk: KeyDisk, name: str | None) -> KeyRecord:
    """The key of that name; for None, the only key. Raises CliError."""
    if name is None and len(disk.records) == 1:
        return disk.records[0]
    if name is None:
        names = ", ".join(sorted(record.name for record in disk.records)) or "none"
        raise CliError("conflict", f"{disk.path} has {len(disk.records)} keys ({names}); choose one with --key NAME")
    for record in disk.records:
        if record.name == name:
            return record
    raise CliError("not_found", f"{disk.path} has no key {name}")


def default_path() -> str:
    """The user's key file."""
    data = os.environ.get("XDG_DATA_HOME", "")
    return os.path.join(data if os.path.isabs(data) else os.path.expanduser("~/.local/share"), "enginehost", "keys")


def passphrase_of(source: str | None, is_new: bool) -> bytes:
    """The passphrase; a terminal is asked only if there is one, and twice for a new file."""
    from engines.crypto.key_disk import read_passphrase
    from engines.crypto.key_file import KeyFileError

    if source is not None or VARIABLE in os.environ:
        return read_passphrase(source or f"env:{VARIABLE}")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise KeyFileError(f"passphrase: there is no terminal; give --passphrase or ${VARIABLE}")
    given: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new, err=True)
    return given.encode()
