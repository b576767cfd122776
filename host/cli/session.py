"""Which node a command speaks to, and one exchange with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from host.cli.output import Items, emit
from host.cli.problem import CliError
from host.cli.settings import settings
from host.live.control.client import REQUEST_NS, Client
from host.live.control.instances import Instance, running_instance, running_instances
from host.live.control.protocol import Response

Render = Callable[[Items], str]

PROJECT_MARKS = (".git", "pyproject.toml")

MARGIN_NS = 1_000_000_000
"""The node keeps the time-out itself and says more about it; ours comes this much later."""


def select_instance() -> Instance:
    """The node of `--file`, else the one that `choose_instance` finds from the current folder.

    Raises `CliError`: `not_running` when there is none, `conflict` with a list when there are several.
    """
    config = settings().file
    if config is not None:
        return _instance_of(config)
    return choose_instance(running_instances(), os.getcwd(), project_of(os.getcwd()))


def choose_instance(instances: Sequence[Instance], folder: str, project: str | None = None) -> Instance:
    """The only one of `instances` that is meant in `folder`. Raises as `select_instance`.

    Those at or below the folder; else, going up from it, those directly in the first folder that has any. At the top
    of the project that the folder belongs to, all below that are meant.
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
        items = tuple({"node": i.node, "config": i.config, "pid": i.pid} for i in found)
        raise CliError("conflict", f"{len(found)} nodes run here: {names}; choose one with -f CONFIG", items)
    elsewhere = f" ({len(instances)} elsewhere; name one with -f CONFIG)" if instances else ""
    raise CliError("not_running", f"no node runs at or below {here}{elsewhere}")


def project_of(folder: str) -> str | None:
    """The nearest folder, from `folder` up, that is marked as the top of a project."""
    place = os.path.realpath(folder)
    while not any(os.path.exists(os.path.join(place, mark)) for mark in PROJECT_MARKS):
        place, before = os.path.dirname(place), place
        if place == before:
            return None
    return place


def _below(folder: str, instances: Sequence[Instance]) -> list[Instance]:
    return [i for i in instances if os.path.commonpath([folder, i.config]) == folder]


def _directly_in(folder: str, instances: Sequence[Instance]) -> list[Instance]:
    return [i for i in instances if os.path.dirname(i.config) == folder]


def ask(op: str, args: dict[str, Any] | None = None, *, timeout_ns: int = REQUEST_NS) -> Response:
    """The node's answer to one operation. Raises `CliError`, `ControlError`."""
    with Client(select_instance().control) as client:
        return client.request(op, args, timeout_ns=timeout_ns)


def show(response: Response, render: Render) -> None:
    """Print an answer."""
    emit(response.kind, response.items, render)


def show_stream(op: str, args: dict[str, Any], kind: str, render: Render) -> None:
    """Print one answer, or with `follow` in `args` answers as they come, until the node ends.

    A followed stream has gaps of any length; empty batches are not printed.
    """
    following = args["follow"]
    with Client(select_instance().control) as client:
        for response in client.follow(op, args, timeout_ns=None if following else REQUEST_NS):
            if response.items or not following:
                emit(kind, response.items, render)


def _instance_of(config: str) -> Instance:
    if not os.path.exists(config):
        raise CliError("not_found", f"{config}: no such file")
    instance = running_instance(config)
    if instance is None:
        raise CliError("not_running", f"{config} is not running (start it: enginehost up {config} -d)")
    return instance
