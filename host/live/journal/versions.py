"""The code of a log: the texts of every version that ran turns in it, one file a version, `<version>.code`.

A turn can be run again only by the code that ran it, and the sources change. So a process keeps its versions beside the
log before the first turn of theirs is in it; a candidate that follows does so before the cut. Only these write here;
`unpack_texts` refuses a file with any other texts than those that the version in its name is the digest of. An export
of a log has no code in it.

Who needs a version: the log's segments. A file's time is that of the newest segment that its version wrote turns to:
the writer sets it when it begins a segment. A version is removed once it is not in force and every segment left is
younger, by more than `SLACK_NS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from engines.model import Declaration, Family, LoadError, load_family
from engines.model.store.load import texts_of, use_kept
from engines.model.store.module_sets import SOURCES, ModuleSet
from engines.model.store.texts import ModuleText, pack_texts, unpack_texts
from host.live.journal.folder import replace_file

SUFFIX: Final = ".code"

SLACK_NS: Final = 60_000_000_000
"""Far above the time from a new segment to the next look of `Tending`."""


class Versions:
    """Mutable, one a writer: the versions in force."""

    def __init__(self, folder: str, clock: Callable[[], int]) -> None:
        self._folder = folder
        self._clock = clock
        self._segment = -1
        self._kept: set[str] = set()

    def keep(self, families: Iterable[Declaration[Any, Any, Any]]) -> None:
        """Keep these versions, if they are not kept yet. Raises OSError."""
        for family in families:
            if family.version not in self._kept:
                keep_version(self._folder, family)
                self._kept.add(family.version)
                self._date(family.version)

    def begin_segment(self, number: int) -> None:
        """Note, at any later time, that the segment with this number is being written."""
        if number != self._segment:
            self._segment = number
            for version in self._kept:
                with suppress(OSError):
                    self._date(version)

    def _date(self, version: str) -> None:
        now_ns = self._clock()
        os.utime(version_path(self._folder, version), ns=(now_ns, now_ns))

    def collect(self, oldest_ns: int) -> None:
        """Remove what no segment needs; the oldest one left was made at `oldest_ns`. Raises OSError."""
        with os.scandir(self._folder) as entries:
            found = {entry.name: entry.stat().st_mtime_ns for entry in entries if entry.name.endswith(SUFFIX)}
        for name in superseded(found, self._kept, oldest_ns):
            os.unlink(os.path.join(self._folder, name))


def superseded(found: Mapping[str, int], in_force: Iterable[str], oldest_ns: int) -> list[str]:
    """The files, of those found with their times, that no segment made at `oldest_ns` or later has turns of."""
    kept = {version + SUFFIX for version in in_force}
    return [name for name, at_ns in found.items() if name not in kept and at_ns + SLACK_NS < oldest_ns]


def version_path(folder: str, version: str) -> str:
    """The file of a version."""
    return os.path.join(folder, version + SUFFIX)


def keep_version(folder: str, family: Declaration[Any, Any, Any]) -> None:
    """Write the texts of a family's version into a folder, unless they are there. Raises OSError."""
    path = version_path(folder, family.version)
    if not os.path.exists(path):
        replace_file(path, pack_texts(texts_of(family)))


def use_version(path: str, roots: Sequence[str] = ()) -> None:
    """Import the families of a kept version from its file from now on, as in `use_kept`. Raises OSError, ValueError."""
    use_kept(*_texts_in(path), roots)


def _texts_in(path: str) -> tuple[tuple[ModuleText, ...], str]:
    """The texts in the file of a version, and what is shown as their folder. Raises OSError, ValueError."""
    with open(path, "rb") as file:
        data = file.read()
    place = path.removesuffix(SUFFIX)
    return unpack_texts(data, os.path.basename(place)), place


class LogCode:
    """Mutable, one a process: the families of logs, each in the version that made the turns at hand.

    They come from the code kept beside the log; the sources below the roots stand in for a version that is not there.
    `present`: they stand in for every version. Only a reader that writes nothing may have one.

    `not_kept` are the versions that the present sources stand in for although they are others.
    """

    def __init__(self, roots: Sequence[str], *, present: bool = False) -> None:
        self.not_kept: dict[str, None] = {}
        self._roots = roots
        self._present = present
        self._sets: dict[str, ModuleSet] = {}
        self._looked_for: set[tuple[str, str]] = set()
        self._families: dict[tuple[str, ModuleSet | None], Declaration[Any, Any, Any]] = {}

    @property
    def note(self) -> str:
        """Which versions are not there, and what to do; "" if all are."""
        if not self.not_kept:
            return ""
        what = f"version{'s' * (len(self.not_kept) > 1)} {', '.join(self.not_kept)}"
        return f"the code of {what} is not kept here: with its sources below the roots, all turns can be run again"

    def of(self, folder: str) -> Callable[[str, str], Declaration[Any, Any, Any]]:
        """For the log in a folder: the family of a reference in a version, whose modules are then in use. It raises
        LoadError."""
        return lambda ref, version: self._family(folder, ref, version)

    def _family(self, folder: str, ref: str, version: str) -> Declaration[Any, Any, Any]:
        modules = None if self._present else self._sets.get(version) or self._found(folder, ref, version)
        (modules or SOURCES).use()
        known = self._families.get((ref, modules))
        if known is None:
            known = load_family(ref, self._roots) if modules is None else modules.load(ref, version)
            if isinstance(known, Family):
                known.interface()  # it resolves annotations, and is asked for when another set may be in use
            self._families[ref, modules] = known
        if known.version != version and not self._present:
            self.not_kept[version] = None
        return known

    def _found(self, folder: str, ref: str, version: str) -> ModuleSet | None:
        """What a log has kept of a version; it is looked for once in each."""
        if (folder, version) in self._looked_for:
            return None
        self._looked_for.add((folder, version))
        try:
            self._sets[version] = ModuleSet(*_texts_in(version_path(folder, version)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise LoadError(ref, str(error)) from error
        return self._sets[version]
