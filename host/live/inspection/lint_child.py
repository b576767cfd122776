"""The child process of `lint`: it imports families, reads and tries them, and writes records.

A rule under trial gets made-up values, so it may loop for ever or ask for all memory. Therefore a transition has a
bound of processor time, and the process one of memory; a transition that meets one is not repeated. The caller bounds
the whole. What a family prints is dropped.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from types import FrameType
from typing import Any, Final

from engines.model import Family, step
from engines.model.check.impure import KINDS
from engines.model.check.lint import FamilyLint, LintFinding, may_run
from engines.model.check.text import SourceText
from engines.model.declaration import Declaration
from engines.model.device import Device
from engines.model.outcome import Failed, Outcome
from engines.model.store.load import LoadError, families_in, load_family, module_at, sources_run
from host.config.convert import ConversionError
from host.config.engine_values import convert_engine
from host.live.inspection.child import end_after, isolate, silence
from host.live.inspection.inspect_child import send
from host.live.inspection.inspect_records import Begin, Done
from host.live.inspection.lint_records import Absent, Cases, Linted, LintOrder, Remark

CASE_S: Final = 0.5
"""Processor time of one transition."""

CASE_S_MIN: Final = 0.02
"""The same, after others were too slow: each halves it, so a family that always loops costs a few seconds."""

AGAIN_S: Final = 0.02
"""Processor time from one end of a transition to the next: a finalizer, a callback or a rule may drop an exception."""

MEMORY_BYTES_MAX: Final = 1 << 30
"""Address space of the process beyond what it has at its start."""

_texts: Final[dict[str, SourceText]] = {}


class TooSlow(BaseException):
    """A transition used up its processor time."""


def answer(order: LintOrder, fd: int) -> None:
    """Look at everything that was ordered, and write records to `fd`. Changes this process permanently."""
    isolate(order.deadline_ns)
    silence()
    _bound_memory()
    seen: set[str] = set()
    for target in order.targets:
        _begin(target, order, fd)
        for ref in _families(target, order, fd):
            if ref not in seen:
                seen.add(ref)
                _begin(ref, order, fd)
                _look(ref, order, fd)
    send(fd, Done())


def _begin(ref: str, order: LintOrder, fd: int) -> None:
    end_after(order.deadline_ns)
    send(fd, Begin(ref))


def _bound_memory() -> None:
    """An allocation beyond the bound raises MemoryError."""
    with open("/proc/self/statm", encoding="ascii") as file:
        most = int(file.read().split()[0]) * resource.getpagesize() + MEMORY_BYTES_MAX
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _families(target: str, order: LintOrder, fd: int) -> tuple[str, ...]:
    """The families that a target names; the twin of a device stands for it."""
    module = target
    if target.startswith("/"):
        module = _module_at(target, order.roots)
        if not module:
            known = ", ".join((*order.roots, "engines"))
            send(fd, Absent(target, f"{target} lies outside the code roots ({known}): add its folder with --root"))
            return ()
    if ":" in module:
        return (module,)
    try:
        found = families_in(module, order.roots)
    except LoadError as error:
        _report(module, error, fd)
        return ()
    there = sys.modules[module].__file__ or ""
    if target != module and os.path.realpath(there) != os.path.realpath(target):
        send(fd, Absent(target, f"{target} cannot be imported: {module} is {there}"))
        return ()
    if not found:
        send(fd, Absent(target, f"{module} defines no family", is_empty=True))
    return found


def _module_at(path: str, roots: tuple[str, ...]) -> str:
    """The module of a file, whichever links lead to it or to its root."""
    return module_at(path, roots) or module_at(os.path.realpath(path), tuple(map(os.path.realpath, roots)))


def _look(ref: str, order: LintOrder, fd: int) -> None:
    """Everything about one family. Whatever goes wrong is reported, since silence would mean that nothing was found."""
    try:
        declared = load_family(ref, order.roots)
        _look_at(ref, declared, order, fd)
    except LoadError as error:
        _report(ref, error, fd)
    except Exception as error:
        known, text = KINDS["unsearched"], " ".join(f"{type(error).__name__}: {error}".split())
        found = LintFinding(ref, 0, "unsearched", f"the reading failed: {text}", known.why, known.remedy, "", ref)
        send(fd, Linted(ref, (found,)))


def _look_at(ref: str, declared: Declaration[Any, Any, Any], order: LintOrder, fd: int) -> None:
    family = declared.twin if isinstance(declared, Device) else declared
    if not isinstance(family, Family):
        send(fd, Linted(ref, ()))
        return
    lint = FamilyLint(family, {path: _text(path) for path in declared.files})
    findings = lint.read()
    send(fd, Linted(ref, tuple(findings)))
    if not order.runs:
        return
    if not may_run(findings):
        send(fd, Remark(f"{ref} was not run, since its rules act on the world outside"))
        return
    configs, states = _values(ref, declared, order, fd)
    send(fd, Linted(ref, tuple(lint.overlaps(configs=configs, states=states))))
    runner = _Runner()
    cases, unsearched = lint.trials(configs=configs, states=states, run=runner.run)
    if runner.dropped and not cases:
        unsearched += lint.unsearched(f"each of {runner.dropped} transitions took too much time or memory")
    elif runner.dropped:
        text = f"{ref}: {runner.dropped} of {len(cases) + runner.dropped} transitions took too much time or memory"
        send(fd, Remark(f"{text}, and were not run again"))
    send(fd, Linted(ref, tuple(unsearched)))
    if family.ref:
        send(fd, Cases(ref, family.place.file, family.place.line, tuple(cases)))


def _values(ref: str, declared: Declaration[Any, Any, Any], order: LintOrder, fd: int) -> tuple[list[Any], list[Any]]:
    """Parameters and first states that a node file gives the engines of a family."""
    configs, states = [], []
    for engine in order.engines:
        if engine.family == ref:
            try:
                params, state = convert_engine(declared, engine.params, engine.state)
            except ConversionError as error:
                send(fd, Remark(f"{engine.entry}: its values are not used: {error}"))
                continue
            configs.append(params)
            states += [] if state is None else [state]
    return configs, states


def _report(ref: str, error: LoadError, fd: int) -> None:
    """A family that cannot be loaded: findings where it has a place, else a target that is not there."""
    known = KINDS["definition"]
    problems = [(one.file, one.line, one.text) for one in error.problems]
    if not problems and error.file and error.line:
        problems = [(error.file, error.line, " ".join(error.reason.split()))]
    if not problems:
        send(fd, Absent(ref, " ".join(str(error).split())))
        return
    found = [
        LintFinding(file, line, "definition", text, known.why, known.remedy, "", ref) for file, line, text in problems
    ]
    send(fd, Linted(ref, tuple(found)))


def _text(path: str) -> SourceText:
    """A file as it was compiled, parsed once."""
    if path not in _texts:
        source = sources_run().get(path)
        if source is None:
            with open(path, "rb") as file:
                source = file.read()
        _texts[path] = SourceText(path, source)
    return _texts[path]


class _Runner:
    """Runs transitions within their bounds; `dropped` counts those that met one."""

    def __init__(self) -> None:
        self.dropped = 0
        self._bound_s = CASE_S
        self._is_late = False
        signal.signal(signal.SIGVTALRM, self._stop)

    def run(self, *arguments: Any) -> Outcome[Any] | None:
        """As `step`, or None."""
        self._is_late = False
        outcome: Outcome[Any] | None = None
        signal.setitimer(signal.ITIMER_VIRTUAL, self._bound_s, AGAIN_S)
        try:
            outcome = step(*arguments)
        except TooSlow:
            pass  # `_stop` has noted it
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if self._is_late or (isinstance(outcome, Failed) and "MemoryError" in outcome.error):
            self.dropped += 1
            self._bound_s = max(CASE_S_MIN, self._bound_s / 2)
            return None
        return outcome

    def _stop(self, _: int, frame: FrameType | None) -> None:
        """End what `run` has called, never `run` itself: there an exception between two statements would escape."""
        self._is_late = True
        caller = frame and frame.f_back
        while caller and caller.f_code is not _Runner.run.__code__:
            caller = caller.f_back
        if caller:
            raise TooSlow
