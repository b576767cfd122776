"""Protocol files from disk, read within bounds, and the protocols beside them."""

from __future__ import annotations

import os
import stat
from typing import Final

from engines.agents.protocol.model import Protocol
from engines.agents.protocol.parse import BYTES_MAX, Reading, read_bytes
from host.aism.output import Failure

FILES_MAX: Final = 1000
"""A folder with more protocols is refused."""


def read_protocol(path: str) -> Reading:
    """What a file says. Raises Failure if there is no file to read, or no reader of markdown."""
    data = read_file(path)
    try:
        return read_bytes(data, path)
    except ModuleNotFoundError as error:
        message = f"reading protocols needs the package that has {error.name}"
        hint = "pip install 'enginehost[agents]'"
        raise Failure("unavailable", "no_package", message, suggestions=[hint]) from None


def read_file(path: str) -> bytes:
    """The bytes of a regular file; one byte too many if it is too big. Raises Failure."""
    try:
        # Opening a FIFO would wait for a writer.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Failure("unknown", "no_such_file", f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Failure("usage", "unreadable", f"{path}: {why}") from None
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise Failure("usage", "no_file", f"{path} is {kind}", suggestions=["name the protocol's .md file"])
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(BYTES_MAX + 1)
    except OSError as error:
        raise Failure("usage", "unreadable", f"{path}: {error.strerror}") from None
    finally:
        os.close(fd)


def paths_in(folder: str) -> list[str]:
    """The `.md` files in a folder, sorted. Raises Failure."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".md"))
    except FileNotFoundError:
        raise Failure("unknown", "no_such_folder", f"{folder}: no such folder") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Failure("usage", "unreadable", f"{folder}: {why}") from None
    if len(names) > FILES_MAX:
        raise Failure("limit", "too_many_files", f"{folder} has {len(names)} .md files, limit {FILES_MAX}")
    return [os.path.join(folder, name) for name in names]


def protocols_beside(path: str) -> dict[str, Protocol]:
    """The other protocols in the folder of a file, by name; files that are no protocols are left out."""
    found: dict[str, Protocol] = {}
    for other in paths_in(os.path.dirname(path) or "."):
        if os.path.basename(other) == os.path.basename(path):
            continue
        try:
            reading = read_protocol(other)
        except Failure:
            continue
        if is_protocol(reading):
            found.setdefault(reading.protocol.name, reading.protocol)
    return found


def is_protocol(reading: Reading) -> bool:
    """Whether a file has the heading of a protocol; any other markdown has not."""
    return any(one.text.startswith("Protocol:") for one in reading.document.titles)


def library_for(path: str, reading: Reading) -> dict[str, Protocol]:
    """The protocols that a file may refer to; the folder is read only if it does."""
    protocol = reading.protocol
    return protocols_beside(path) if protocol.uses or protocol.extends else {}
