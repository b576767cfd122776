"""Builds the native extensions. They are optional: without a compiler or Python.h, local links use ZeroMQ.

`ENGINEHOST_NATIVE=require` makes a failed build an error, `off` builds none. `enginehost doctor` shows the result.
"""

import os
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036, fails before pip tries many versions of each dependency
    sys.exit(f"enginehost needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}")

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = os.environ.get("ENGINEHOST_NATIVE", "auto")
ROOT = Path(__file__).parent
EXTENSIONS = (
    "engines.model._conform",
    "transport._lane",
    "host.check._visited",
    "host.live.cycle._cycle",
    "host.live.journal._sums",
    "bench._raw",
)
HEADERS = ("engines/model", "transport", "host/live/cycle", "host/live/journal")
WARNINGS = ["-Wall", "-Wextra", "-Wno-missing-field-initializers"]
# Without a table of jumps between these modules and Python's library, `bench oneway` takes 2 % less time.
COMPILE_ARGS = ["-std=gnu11", "-O2", "-fno-plt", "-fno-strict-aliasing", *WARNINGS]


class BuildOptional(build_ext):
    """Reports a failed build in a notice, instead of one line among many."""

    def run(self) -> None:
        """Build all extensions; a missing compiler causes a notice, or an error if they are required."""
        try:
            super().run()
        except Exception as error:
            self.give_up("the native extensions", error)

    def build_extension(self, ext: Extension) -> None:
        """Build one extension in the same way."""
        try:
            super().build_extension(ext)
        except Exception as error:
            self.give_up(ext.name, error)

    def give_up(self, what: str, error: Exception) -> None:
        """Raise if the extensions are required; otherwise print a notice."""
        if NATIVE == "require":
            raise error
        print(
            f"\nNOTICE: {what} could not be built ({error}).\n"
            "NOTICE: local links will use ZeroMQ, which is slower. Install gcc and the Python headers and reinstall.\n",
            file=sys.stderr,
        )


def extension(name: str) -> Extension:
    """The extension with this name: one C file, and the headers of all extensions."""
    path = name.replace(".", "/")
    return Extension(
        name,
        [f"{path}.c"],
        depends=[str(header.relative_to(ROOT)) for folder in HEADERS for header in (ROOT / folder).glob("*.h")],
        extra_compile_args=COMPILE_ARGS,
    )


def extensions() -> list[Extension]:
    """The extensions to build; those without a source file are left out."""
    if NATIVE == "off":
        return []
    return [extension(name) for name in EXTENSIONS if (ROOT / f"{name.replace('.', '/')}.c").exists()]


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildOptional})
