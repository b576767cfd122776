"""Selects the node of a command, and makes one exchange with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any

import click

from host.cli.astray import await_reachable, find_astray
from host.cli.output import Items, emit
from host.cli.problem import CliError
from host.cli.settings import settings
from host.live.control.client import REQUEST_NS, Client
from host.live.control.holders import all_instances
from host.live.control.instances import Instance, running_instance, running_instances
from host.live.control.protocol import ControlError, Response

NAMED_MAX = 3
"""How many nodes elsewhere an error names."""

Render = Callable[[Items], str]

PROJECT_MARKS = (".git", "pyproject.toml")

COMPLETION_NS = 500_000_000
"""Completion is interactive; a slower node gives no suggestions."""

MARGIN_NS = 1_000_000_000
"""The node enforces the time-out itself and reports it better; ours comes this much later."""


def select_instance() -> Instance:
    """The node of `--file`, else the one that `choose_instance` finds from the current folder.

    Raises `CliError`: `not_running` when there is none, `conflict` with a list when there are several.
    """
    config = settings().file
    if config is not None:
        return _instance_of(config)
    here, project = os.getcwd(), project_of(os.getcwd())
    try:
        return choose_instance(running_instances(), here, project)
    except CliError as error:
        if error.problem.error != "not_running":
            raise
        return await_reachable(choose_instance(all_instances(), here, project))


def choose_instance(instances: Sequence[Instance], folder: str, project: str | None = None) -> Instance:
    """The only one of `instances` that a command in `folder` can mean. Raises like `select_instance`.

    Candidates are the nodes at or below the folder; if there are none, those directly in the nearest folder above that
    has any. At the top of the project that contains the folder, all nodes below are candidates.
    """
    place = here = os.path.realpath(folder)
    found = _below(here, instances)
    while not found and place != (above := os.path.dirname(place)):
        place = above
        found = _below(place, instances) if place == project else _directly_in(place, instances)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{i.node} ({os.path.relpath(i.config, here)})" for i in found)
        advice = "choose one with -f CONFIG, or down --all"
        items = tuple({"node": i.node, "config": i.config, "pid": i.pid} for i in found)
        raise CliError("conflict", f"{len(found)} nodes run here: {names}; {advice}", items)
    raise CliError("not_running", f"no node runs at or below {here}{_elsewhere(instances)}")


def instances_below(folder: str) -> list[Instance]:
    """Every running node at or below the folder, reachable or not. Raises `CliError` if there is none."""
    instances = all_instances()
    return _below(os.path.realpath(folder), instances) or [choose_instance(instances, folder)]


def _elsewhere(instances: Sequence[Instance]) -> str:
    if not instances:
        return ""
    names = [f"{i.node} ({i.config}, pid {i.pid})" for i in instances[:NAMED_MAX]]
    more = ["…"] if len(instances) > NAMED_MAX else []
    return f" ({len(instances)} elsewhere: {', '.join([*names, *more])}; name one with -f CONFIG)"


def project_of(folder: str) -> str | None:
    """The nearest folder, from `folder` up, that is marked as the top of a project."""
    place = os.path.realpath(folder)
    while not any(os.path.exists(os.path.join(place, mark)) for mark in PROJECT_MARKS):
        place, before = os.path.dirname(place), place
        if place == before:
            return None
    return place


def _below(folder: str, instances: Sequence[Instance]) -> list[Instance]:
    """Nodes whose file is there, or was there at their start, or whose data is there now."""
    return [i for i in instances if any(os.path.commonpath([folder, place]) == folder for place in i.places)]


def _directly_in(folder: str, instances: Sequence[Instance]) -> list[Instance]:
    return [i for i in instances if any(os.path.dirname(place) == folder for place in i.places)]


def ask(op: str, args: dict[str, Any] | None = None, *, timeout_ns: int = REQUEST_NS) -> Response:
    """The node's answer to one operation. Raises `CliError`, `ControlError`."""
    with Client(select_instance().control) as client:
        return client.request(op, args, timeout_ns=timeout_ns)


def complete_engine(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Engines of the command's node that begin with `incomplete`, for the shell; none without a node."""
    with contextlib.suppress(CliError, ControlError, OSError), ctx.scope(cleanup=False):
        items = ask("ps", timeout_ns=COMPLETION_NS).items
        return [i["engine"] for i in items if i["engine"].startswith(incomplete)]
    return []


def show(response: Response, render: Render) -> None:
    """Print an answer."""
    emit(response.kind, response.items, render)


def show_stream(op: str, args: dict[str, Any], kind: str, render: Render) -> None:
    """Print one answer; with `follow` in `args`, print answers as they come, until the node ends.

    If no node runs, and without `follow`, print the contents of its data folder.

    A followed stream may pause for any time; empty batches are not printed.
    """
    following = args["follow"]
    try:
        instance = select_instance()
    except CliError as error:
        if following:
            raise
        show_left_behind(op, args, kind, render, error)
        return
    with Client(instance.control) as client:
        for response in client.follow(op, args, timeout_ns=None if following else REQUEST_NS):
            if response.items or not following:
                emit(kind, response.items, render)


def show_left_behind(op: str, args: dict[str, Any], kind: str, render: Render, error: CliError) -> None:
    """Print the same from the data folder of the node, if it does not run; for any other reason raises `error`."""
    if error.problem.error != "not_running":
        raise error
    from host.cli.left_behind import read_left_behind

    emit(kind, read_left_behind(op, args, error), render)


def _instance_of(config: str) -> Instance:
    instance = running_instance(config)
    if instance is not None:
        return instance
    astray = find_astray(config)
    if astray is not None:
        return await_reachable(astray)
    if not os.path.exists(config):
        raise CliError("not_found", f"{config}: no such file")
    raise CliError("not_running", f"{config} is not running (start it: enginehost up {config} -d)")
