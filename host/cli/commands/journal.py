"""`enginehost journal`: verify, dump, repair, export or import the files of a journal."""

from __future__ import annotations

import click

from host.chart.escapes import one_line
from host.cli.journals import data_folder, locked, named_logs, told
from host.cli.output import Items, emit, envelope, write
from host.cli.problem import CliError
from host.cli.settings import common, settings
from host.cli.subcommands import SubcommandGroup
from host.cli.table import Column, leaf, render_items
from host.cli.units import show_time


@click.group("journal", cls=SubcommandGroup, no_args_is_help=False)
def command() -> None:
    """Verify, dump, repair, export or import the files of a journal.

    JOURNAL is the data folder of a node (`.enginehost/NODE` beside its file), or the folder of one log in it. With
    --file CONFIG it can be omitted.
    """


@command.command("verify")
@click.argument("journal", required=False, type=click.Path())
@common
def verify(journal: str | None) -> None:
    """Read every record of JOURNAL, and show what a start would do with each log. Changes nothing."""
    from host.live.journal import operations

    items = operations.verify(named_logs(journal))
    emit("journal", items, render_verified)
    if any(item["finding"] for item in items):
        raise CliError("failed", "a log is damaged", tuple(item for item in items if item["finding"]))


@command.command("dump")
@click.argument("journal", required=False, type=click.Path())
@click.option("--engine", help="Only records of this engine.")
@common
def dump(journal: str | None, engine: str | None) -> None:
    """Print every record of JOURNAL, one per line, with messages in their wire form."""
    from host.live.journal import operations

    with told():
        for item in operations.dump(named_logs(journal)):
            if engine is None or item["engine"] == engine:
                write(envelope("record", [item]) if settings().json else one_line(_line(item)))


@command.command("repair")
@click.argument("journal", required=False, type=click.Path())
@click.option("--yes", is_flag=True, help="Do it: move everything after the damage aside.")
@common
def repair(journal: str | None, yes: bool) -> None:
    """Cut each log in JOURNAL at its first damage; the files behind it are moved aside, not removed.

    Without --yes, only show the damage. Every epoch increases, because other engines may know of lost messages.
    """
    from host.live.journal import operations
    from host.live.journal.folder import Folder

    logs = named_logs(journal)
    damaged = [item for item in operations.verify(logs) if item["finding"]]
    if not yes or not damaged:
        emit("journal", damaged, lambda items: render_verified(items) if items else "nothing is damaged")
        return
    with locked(logs.data), told():
        places = logs.folders | logs.gone
        made = {i["log"]: Folder(places[i["log"]], make=True) for i in damaged}
        done = [{"log": name, **(operations.repair(folder) or {})} for name, folder in made.items()]
    emit("repair", done, lambda items: "\n".join(_repaired(item) for item in items))


@command.command("export")
@click.argument("output", type=click.Path(dir_okay=False))
@click.argument("journal", required=False, type=click.Path())
@common
def export(output: str, journal: str | None) -> None:
    """Write the logs of JOURNAL into a new tar file OUTPUT. The node may be running."""
    from host.live.journal import operations

    count = operations.export(named_logs(journal), output)
    emit("export", [{"file": output, "files": count}], lambda items: f"{count} files in {output}")


@command.command("import")
@click.argument("archive", type=click.Path(exists=True, dir_okay=False))
@click.argument("journal", required=False, type=click.Path())
@common
def import_(archive: str, journal: str | None) -> None:
    """Put the logs of ARCHIVE, made by export, into the data folder JOURNAL, which must have none.

    The logs do not contain messages sent since the export, so every epoch increases with the next start.
    """
    from host.live.journal import operations

    data = data_folder(journal)
    with locked(data), told():
        count = operations.import_logs(archive, data)
    emit("import", [{"data": data, "files": count}], lambda items: f"{count} files in {data}")


def render_verified(items: Items) -> str:
    """One line per log, then the choices for damaged ones."""
    columns = (
        Column("LOG", "log"),
        Column("BATCHES", "batches", number=True),
        Column("RECORDS", "records", number=True),
    )
    advice = [f"{i['log']}: {i['choices']}" for i in items if i["choices"]]
    return "\n".join([render_items((*columns, Column("FOUND", show=_found)), items), *advice])


def _found(item: dict[str, object]) -> str:
    if item["finding"]:
        where = f"{item['segment']} at offset {item['offset']}: " if item["segment"] else ""
        return f"{where}{item['finding']}"
    torn = [f"torn end, to be cut: {item['torn']}"] if item["torn"] else []
    refused = item["refused"]
    assert isinstance(refused, list)
    return "; ".join([*torn, *(f"passed over {one}" for one in refused)]) or "in order"


def _repaired(item: dict[str, object]) -> str:
    if not item.get("set_aside"):
        return f"{item['log']}: goes on without {item.get('segment')}"
    return f"{item['log']}: {item.get('segment')} from offset {item.get('offset')} on is in {item['set_aside']}"


def _line(item: dict[str, object]) -> str:
    known = {"log", "segment", "offset", "position", "kind", "engine"}
    head = f"{item['log']} {item['segment']}@{item['offset']} {item['kind']}"
    shown = [f"{k}={show_time(v) if k == 'now_ns' and isinstance(v, int) else leaf(v)}" for k, v in item.items()
             if k not in known]  # fmt: skip
    return "  ".join([head, str(item["engine"]), *shown])
