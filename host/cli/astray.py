"""Finds running nodes outside the expected runtime folder, by the locks that they hold, and waits for them.

Causes, and how each is handled:

    the runtime folder was removed       wait: the supervisor makes it again within a second
    another XDG_RUNTIME_DIR or TMPDIR    the lock contains the runtime folder
    the node file or its folder moved    the node is identified by its data folder, or by its old path
    a link on the path was switched      the node is identified by the path given to `up`
"""

from __future__ import annotations

import os
import time
from typing import Final

from host.cli.output import diagnose
from host.cli.problem import CliError
from host.live.control.holders import holders, is_same_folder
from host.live.control.instances import Instance, known_instances, listening_pid

RESTORED_S: Final = 3.0
"""A healthy supervisor makes its runtime folder again within this time: it checks once a second."""

LOOK_S: Final = 0.05


def find_astray(config: str) -> Instance | None:
    """The running node of this node file, if it is astray. Does not wait."""
    real, given = os.path.realpath(config), given_path(config)
    found = holders()
    by_path = (i for i in found if i.config == real or (i.given and i.given == given))
    if (instance := next(by_path, None)) is not None or not found:
        return instance
    data = _data_of(config)
    return next((i for i in found if data and is_same_folder(i.data, data)), None)


def find_switched(config: str) -> Instance | None:
    """The running node that was started by this path when the path led to another file."""
    real, given = os.path.realpath(config), given_path(config)
    found = (i for i in known_instances() if i.given == given and i.config != real)
    return next((i for i in found if listening_pid(i.control) is not None), None)


def given_path(config: str) -> str:
    """The absolute path without following links, including links in the shell's current folder."""
    here = os.environ.get("PWD", "")
    if not os.path.isabs(here) or not is_same_folder(here, "."):
        here = os.getcwd()
    return os.path.normpath(os.path.join(here, config))


def await_reachable(instance: Instance) -> Instance:
    """Wait until the socket of a node of `find_astray` exists. Raises `CliError`."""
    until_s = time.monotonic() + RESTORED_S
    found: Instance | None = instance
    while found is not None and listening_pid(found.control) is None:
        if time.monotonic() > until_s:
            who = f"node {instance.node} (pid {instance.pid}, started as {instance.config}) runs but cannot be reached"
            advice = f"kill -TERM {instance.pid} shuts it down in order"
            raise CliError("timeout", f"{who}: nothing listens in {found.folder}; {advice}")
        time.sleep(LOOK_S)
        found = next((i for i in holders() if i.pid == instance.pid), None)
    if found is None:
        raise CliError("not_running", f"node {instance.node} (pid {instance.pid}) has ended")
    if not os.path.exists(found.config):
        diagnose(f"node {found.node} (pid {found.pid}) was started as {found.config}, which no longer exists")
    return found


def _data_of(config: str) -> str:
    """The data folder that a node file names; "" if the file is missing or wrong."""
    from host.config.load import load_node
    from host.config.problems import ConfigErrors

    try:
        return load_node(config).data
    except ConfigErrors:
        return ""
