"""The journal that a command names, and its errors as errors of the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from host.cli.problem import CliError
from host.cli.settings import settings
from host.live.journal.data_folder import Logs, NotAJournal, Occupied, find_logs
from host.node.journal.layout import Newer
from host.node.journal.scan import ADVICE, Damaged


def data_folder(argument: str | None) -> str:
    """The given path, else the data folder of the node file in `--file`, else that of the running node.

    Raises `CliError`, as `select_instance` too.
    """
    if argument is not None:
        return argument
    if settings().file is None:
        return _running_data()
    from host.cli.node_file import load_node_file, node_file

    return load_node_file(node_file(None)).data


def _running_data() -> str:
    from host.cli.session import ask

    try:
        return str(ask("status").items[0]["data"])
    except CliError as error:
        problem = error.problem
        advice = "name a JOURNAL (the data folder of a node, `.enginehost/NODE`), or its node file with -f"
        raise CliError(problem.error, f"{problem.message}: {advice}", problem.items) from error


def named_logs(argument: str | None) -> Logs:
    """The logs of that folder. Raises `CliError`."""
    with told():
        return find_logs(data_folder(argument))


def log_with(logs: Logs, engine: str) -> tuple[str, str]:
    """The log that has a stream of `engine`: its name and folder. Raises `CliError`."""
    from host.live.journal.operations import history

    for name, path in logs.folders.items():
        one = Logs(logs.data, logs.node, {name: path})
        with told():
            if name == engine or next(history(one, engine), None) is not None:
                return name, path
    raise CliError("not_found", f"no log in {logs.data} has turns of {engine}; its logs: {', '.join(logs.folders)}")


@contextmanager
def told() -> Iterator[None]:
    """Errors of a journal as `CliError`."""
    try:
        yield
    except NotAJournal as error:
        raise CliError("not_found", str(error)) from error
    except Occupied as error:
        raise CliError("conflict", str(error)) from error
    except Damaged as error:
        item = {"segment": error.segment, "offset": error.offset, "finding": error.finding}
        raise CliError("refused", f"{error} ({ADVICE})", (item,)) from error
    except Newer as error:
        raise CliError("refused", str(error)) from error


@contextmanager
def locked(data: str) -> Iterator[None]:
    """Holds the lock of the data folder, so no node runs on it. Raises `CliError`: `conflict`."""
    from host.live.supervisor.runtime_dir import FolderTaken, lock_data

    try:
        os.makedirs(data, exist_ok=True)
        lock = lock_data(data)
    except FolderTaken:
        raise CliError("conflict", f"a node runs on {data}: stop it first (enginehost down)") from None
    try:
        yield
    finally:
        os.close(lock)
