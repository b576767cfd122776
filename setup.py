"""Builds the native extensions, which are optional: without a compiler or Python.h, local links go over ZeroMQ.

`ENGINEHOST_NATIVE=require` makes a failing build an error, `off` builds none. `enginehost doctor` says what is there.
"""

import os
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036, refused before pip tries one version of each dependency after the other
    sys.exit(f"enginehost needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}")

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = os.environ.get("ENGINEHOST_NATIVE", "auto")
ROOT = Path(__file__).parent
EXTENSIONS = ("transport._lane", "host.live.cycle._cycle", "host.live.journal._sums", "bench._raw")
HEADERS = ("transport", "host/live/cycle", "host/live/journal")
COMPILE_ARGS = ["-std=gnu11", "-O2", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Wno-missing-field-initializers"]


class BuildOptional(build_ext):
    """Says aloud what could not be built, instead of leaving it to a line among many."""

    def run(self) -> None:
        """Build all extensions; a missing compiler is a notice, or an error when they are required."""
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
        """Raise when native is required; otherwise a notice on standard error."""
        if NATIVE == "require":
            raise error
        print(
            f"\nNOTICE: {what} could not be built ({error}).\n"
            "NOTICE: local links will use ZeroMQ, which is slower. Install gcc and the Python headers and reinstall.\n",
            file=sys.stderr,
        )


def extension(name: str) -> Extension:
    """The extension of that name, in one C file and the headers beside it."""
    path = name.replace(".", "/")
    return Extension(
        name,
        [f"{path}.c"],
        depends=[str(header.relative_to(ROOT)) for folder in HEADERS for header in (ROOT / folder).glob("*.h")],
        extra_compile_args=COMPILE_ARGS,
    )


def extensions() -> list[Extension]:
    """What to build; one whose source is not there is left out."""
    if NATIVE == "off":
        return []
    return [extension(name) for name in EXTENSIONS if (ROOT / f"{name.replace('.', '/')}.c").exists()]


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildOptional})
