"""One check from beginning to end: the request, the search, and what is said of each property."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, Literal

import msgspec

from engines.model import BirthError, Family, load_family
from engines.model.system import NetworkKind, System, TimerKind
from engines.model.transition_system import TransitionSystem
from host.check.environment import SAMPLES, environment_of
from host.check.liveness import Graph, Lasso, never
from host.check.local import CheckError, Engines
from host.check.node_system import Given, node_system
from host.check.plain import AnySpace, PlainSpace
from host.check.properties import Claim, Property, PropertyError, properties_of
from host.check.reduction import searched
from host.check.search import UNBOUNDED, Bounds, Counts, Exploration, Findings, Violation
from host.check.space import Space
from host.check.subject import AnySystem, load_predicate, load_subject
from host.check.symmetry import symmetry_of
from host.check.walk import walk
from host.check.workers import Parallel
from host.config.spec import NodeSpec

LIVENESS: Final[tuple[Claim, ...]] = ("eventually", "leads_to")

INTERRUPTED: Final = "it was interrupted"

Decided = Literal["holds", "violated", "undecided"]


class CheckRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be checked, and how; names are import paths.

    `node`: the subject is this node, with `sends` in transit. Without any property those that the system states are
    checked. `network`, `timers`, `until_ns` None and no `ticks_ns`: the system's own. `symmetric`: groups of names that
    can be exchanged, besides those the system declares if `uses_declared_symmetry`.
    """

    subject: str
    node: NodeSpec | None = None
    sends: tuple[Given, ...] = ()
    params: Mapping[str, str] = {}
    roots: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()
    eventually: tuple[str, ...] = ()
    leads_to: tuple[tuple[str, str], ...] = ()
    network: NetworkKind | None = None
    faults: int = 0
    timers: TimerKind | None = None
    ticks_ns: tuple[int, ...] = ()
    until_ns: int | None = None
    bounds: Bounds = UNBOUNDED
    workers: int = 1
    reduces: bool = False
    walks: int = 0
    seed: int = 0
    samples: int = SAMPLES
    symmetric: tuple[tuple[str, ...], ...] = ()
    uses_declared_symmetry: bool = False
    ignores_idle: bool = False
    allows_failures: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """What is known of one property. `steps` to the first state in which something holds sometimes."""

    property: str
    decided: Decided
    steps: int | None = None


class CheckReport(msgspec.Struct, frozen=True):
    """The result of a check. `found.ended` says why it is not exhaustive; `is_shortest`: no way to a violation is
    shorter than the one found."""

    system: AnySystem
    space: AnySpace
    found: Findings
    verdicts: tuple[Verdict, ...]
    seconds: float
    is_shortest: bool

    @property
    def is_exhaustive(self) -> bool:
        """Whether every state that can be reached was looked at."""
        return not self.found.ended


def _system(request: CheckRequest) -> AnySystem:
    if request.node is not None:
        return node_system(request.node, [Given(*one) for one in request.sends], request.samples)
    subject = load_subject(request.subject, request.params, request.roots)
    return environment_of(subject, request.samples) if isinstance(subject, Family) else subject


def prepared(request: CheckRequest) -> tuple[AnySystem, tuple[Property, ...]]:
    """The system and its properties. Raises CheckError."""
    system = _system(request)
    if isinstance(system, TransitionSystem):
        _refuse_engine_options(request, system.name)
    elif request.network is not None:
        system = msgspec.structs.replace(system, network=request.network)
    load = partial(load_predicate, roots=request.roots)
    named = [
        *(Property("always", load(path)) for path in request.always),
        *(Property("sometimes", load(path)) for path in request.sometimes),
        *(Property("eventually", load(path)) for path in request.eventually),
        *(Property("leads_to", load(first), load(then)) for first, then in request.leads_to),
    ]
    return system, tuple(named) or properties_of(system)


def _refuse_engine_options(request: CheckRequest, name: str) -> None:
    """Raise CheckError for what only engines have."""
    given = {
        "--network": request.network is not None,
        "--crashes": request.faults > 0,
        "--timers": request.timers is not None,
        "--tick": bool(request.ticks_ns),
        "--until": request.until_ns is not None,
        "--por": request.reduces,
        "--ignore-idle": request.ignores_idle,
        "--allow-failures": request.allows_failures,
    }
    unfit = [option for option, is_given in given.items() if is_given]
    if unfit:
        raise CheckError(f"{unfit[0]} is about engines, and {name} is a plain transition system: leave it out")


def space_of(request: CheckRequest, system: AnySystem) -> AnySpace:
    """The states of a system, none of them explored yet. Raises CheckError."""
    symmetric = (*request.symmetric, *(system.symmetric if request.uses_declared_symmetry else ()))
    space = PlainSpace(system) if isinstance(system, TransitionSystem) else _engine_space(request, system)
    if symmetric:
        space.canonical = symmetry_of(space, symmetric).canonical
    return space


def _engine_space(request: CheckRequest, system: System) -> Space:
    ticks_ns = request.ticks_ns or tuple(system.ticks_ns)
    until_ns = system.until_ns if request.until_ns is None else request.until_ns
    engines = Engines(request.timers or system.timers, ticks_ns, load_family, system.reloads, until_ns)
    try:
        return Space(system, engines, request.faults, request.ignores_idle)
    except (BirthError, ValueError) as error:
        raise CheckError(f"{system.name} cannot begin: {error}") from None


def check(request: CheckRequest, progress: Callable[[Counts], None] | None = None) -> CheckReport:
    """Check what is requested. Raises CheckError."""
    system, properties = prepared(request)
    started = time.perf_counter()
    space = space_of(request, system)
    later = [one for one in properties if one.claim in LIVENESS]
    if later and space.canonical is not None:
        raise CheckError(f"{later[0].name} is checked on the graph, where names count: leave --symmetry out")
    if isinstance(system, System) and system.record is not None and request.workers > 1:
        raise CheckError("a history is kept by one worker: leave --workers out")
    if request.walks and (request.workers > 1 or request.reduces or space.canonical is not None):
        raise CheckError("random walks go with neither --workers, --por nor --symmetry")
    if request.reduces and (later or request.workers > 1):
        raise CheckError("--por is for properties of single states, and for one worker")
    if request.walks:
        found = walk(
            space,
            properties,
            request.bounds,
            request.walks,
            request.seed,
            allows_failures=request.allows_failures,
            progress=progress,
        )
    else:
        found, graph = _searched(request, space, properties, later, progress)
        if later and not found.ended:
            _check_liveness(graph or Graph(space, found.states), found, later)
    verdicts = tuple(_verdict(one, found) for one in properties)
    is_shortest = not (request.walks or request.reduces)
    return CheckReport(system, space, found, verdicts, time.perf_counter() - started, is_shortest)


def _searched(
    request: CheckRequest,
    space: AnySpace,
    properties: Sequence[Property],
    later: Sequence[Property],
    progress: Callable[[Counts], None] | None,
) -> tuple[Findings, Graph | None]:
    """What is found, by one process, by several, or with a choice of steps; several make the graph for `later`."""
    make = partial(
        Exploration,
        space,
        properties,
        request.bounds,
        keeps_states=bool(later),
        allows_failures=request.allows_failures,
        progress=progress,
    )
    if request.reduces and isinstance(space, Space):
        return searched(space, lambda expand: make(expand=expand)).found, None
    search, graph = make(), None
    try:
        if request.workers > 1:
            predicates = [predicate for one in later for predicate in (one.holds, one.then) if predicate is not None]
            parallel = Parallel(search, space, request.workers, request.bounds, progress, predicates)
            parallel.run()
            graph = parallel.graph
        else:
            search.run()
    except KeyboardInterrupt:
        search.found.ended = INTERRUPTED
    return search.found, graph


def _check_liveness(graph: Graph, found: Findings, properties: Sequence[Property]) -> None:
    """Add a violation for each property that some fair run violates."""
    for one in properties:
        try:
            lasso = violated(graph, one)
        except PropertyError as error:
            found.violations.append(Violation(one.name, str(error)))
            continue
        if lasso is not None:
            before = graph.path(lasso.path[0])
            path = tuple(graph.prints[state] for state in (*before[:-1], *lasso.path))
            loop = None if lasso.loop is None else len(before) - 1 + lasso.loop
            what = "a fair run can end here" if loop is None else "a fair run can go round for ever"
            found.violations.append(Violation(one.name, f"does not hold: {what}", path, loop))


def violated(graph: Graph, one: Property) -> Lasso | None:
    """A fair run on which an `eventually` or `leads_to` does not hold; None if there is none. Raises PropertyError."""
    if one.then is None:
        return never(graph, [0], graph.where(one.holds))
    then = graph.where(one.then)
    begins = [number for number, holds_here in enumerate(graph.where(one.holds)) if holds_here and not then[number]]
    return never(graph, begins, then)


def _verdict(one: Property, found: Findings) -> Verdict:
    if any(violation.property == one.name for violation in found.violations):
        return Verdict(one.name, "violated")
    if one.name in found.witnesses:
        return Verdict(one.name, "holds", len(found.witnesses[one.name]) - 1)
    return Verdict(one.name, "undecided" if found.ended else "holds")
