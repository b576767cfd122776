"""`enginehost storage`: files in the chunk store of a running node.

A file is encrypted here, with keys made of its own content, and an ID is all it takes to read it: `ADDRESS.KEY`. With
`--reader` the key is sealed to the readers instead, and the ID is the address alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from host.cli.commands.key import hex_of
from host.cli.keyring import Decorated, named, opened, with_keys
from host.cli.output import emit
from host.cli.problem import CliError
from host.cli.progress import moving
from host.cli.session import select_instance
from host.cli.settings import common
from host.cli.subcommands import SubcommandGroup
from host.cli.table import Column, render_table
from host.cli.units import duration
from host.live.control.protocol import TypedField

if TYPE_CHECKING:
    from engines.crypto.keys import PublicKey, SecretKey
    from engines.storage.chunk import ReadKey
    from host.cli.chunks import ChunkClient

ENGINE: Final = "chunks"
VERIFIED_AT_ONCE: Final = 32
SECRET_BYTES_MAX: Final = 1024
NAME_CHARS_MAX: Final = 100


def with_engine(command: Decorated) -> Decorated:
    """Add the option that names the chunk store."""
    return click.option("--engine", default=ENGINE, show_default=True, help="The chunk store of the node.")(command)


@click.group("storage", cls=SubcommandGroup, no_args_is_help=False)
def command() -> None:
    """Store files as encrypted chunks in a running node, and get them back."""


@command.command("put")
@click.argument("source", type=click.Path(), metavar="FILE")
@click.option("--name", help="The pin's name; default: the file's.")
@click.option("--reader", "readers", multiple=True, metavar="PUBLIC", help="Who may read: PUBLIC of `key ls`; repeat.")
@click.option("--key", "key", metavar="NAME", help="With --reader: your key, which signs the list of readers.")
@click.option("--secret", type=click.Path(dir_okay=False), metavar="FILE", help="A file whose content keys the chunks.")
@with_keys
@with_engine
@common
def put(
    source: str,
    name: str | None,
    readers: tuple[str, ...],
    key: str | None,
    secret: str | None,
    path: str | None,
    passphrase: str | None,
    engine: str,
) -> None:
    """Store FILE, or standard input (-), and pin it. Prints its ID, which is all it takes to read it.

    With --reader, only the owners of these keys can read it, and the ID is no secret.
    The same content is stored once. Somebody who has the node's files can check whether a content that they know is
    among them; --secret prevents that, and keeps apart what is stored with different secrets.
    """
    from engines.storage.chunk import access_chunk

    if bool(readers) != (key is not None):
        raise click.UsageError("--reader and --key go together")
    pin = (name or os.path.basename(source) or source)[:NAME_CHARS_MAX]
    public, own = [public_key(reader) for reader in readers], secret_key(key, path, passphrase)
    with client_of(engine) as client:
        read, size = _put(client, source, secret_of(secret))
        shown = f"{read.address.hex()}.{read.key.hex()}"
        if own is not None:
            chunk, read = access_chunk(read, tuple(public), own, os.urandom(32 * len(public)))
            client.put_chunk(chunk)
            shown = read.address.hex()
        mark(client, "Pin", read.address, pin)
    emit("stored", [{"id": shown, "name": pin, "size_bytes": size}], lambda _: shown)


def _put(client: ChunkClient, path: str, secret: bytes) -> tuple[ReadKey, int]:
    try:
        with click.open_file(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size if path != "-" else 0
            with moving(f"put {path}", size) as moved:
                read = client.put_file(file, secret, moved)
                return read, moved.total
    except OSError as error:
        raise CliError("not_found", f"{path}: {error.strerror}") from None


@command.command("get")
@click.argument("id_", metavar="ID")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="The file to write.")
@click.option("--key", metavar="NAME", help="Your key, for an ID without one.")
@with_keys
@with_engine
@common
def get(id_: str, output: str, key: str | None, path: str | None, passphrase: str | None, engine: str) -> None:
    """Get the file ID. It appears when it is complete and every chunk has been checked."""
    from engines.storage.chunk import ChunkError, ReadKey, head_of, opened_access

    address, _, read_key = id_.partition(".")
    if bool(read_key) == (key is not None):
        raise click.UsageError("an ID is ADDRESS.KEY, or ADDRESS with --key")
    own = secret_key(key, path, passphrase)
    with client_of(engine) as client:
        try:
            if own is None:
                read = ReadKey(hex_of(address, "ADDRESS", (32,)), hex_of(read_key, "KEY", (32,)))
            else:
                read = opened_access(head_of(client.get_chunk(hex_of(address, "ADDRESS", (32,)))), own)
            size = _get(client, read, output)
        except ChunkError as error:
            raise CliError("violated", str(error)) from None
    emit("file", [{"path": output, "size_bytes": size}], lambda _: f"{output}: {size} bytes")


def _get(client: ChunkClient, read: ReadKey, output: str) -> int:
    """Write to a file beside the output, and rename it once it is complete."""
    from engines.storage.tree import size_of

    part = f"{output}.part"
    try:
        size = size_of(read, client.get_chunk(read.address))
        with open(part, "wb") as file, moving(f"get {output}", size) as moved:
            client.get_file(read, file, moved)
        os.replace(part, output)
        return size
    except OSError as error:
        raise CliError("failed", f"{output}: {error.strerror}") from None
    finally:
        if os.path.exists(part):
            os.unlink(part)


def _pinning(name: str, tag: str, text: str) -> None:
    @command.command(name, help=text)
    @click.argument("id_", metavar="ID")
    @click.argument("name")
    @with_engine
    @common
    def pin(id_: str, name: str, engine: str) -> None:
        change_pin(engine, tag, id_, name)


_pinning("pin", "Pin", "Keep the chunk ID, and all below it, under NAME.")
_pinning("unpin", "Unpin", "Remove the pin NAME of the chunk ID; the next `collect` may drop the chunk.")


@command.command("commit")
@click.argument("id_", metavar="ID")
@click.option("--key", required=True, metavar="NAME", help="Your key, which signs.")
@click.option("--for", "lasting_ns", required=True, type=duration, metavar="DURATION", help="For how long: 10s, 24h.")
@with_keys
@with_engine
@common
def commit(id_: str, key: str, lasting_ns: int, path: str | None, passphrase: str | None, engine: str) -> None:
    """Promise to keep the chunk ID, and all below it, for DURATION. The promise is signed and cannot be taken back."""
    from engines.crypto.keys import sign
    from engines.model import view
    from engines.storage.chunk import ChunkCommitment, promise

    address, own = hex_of(id_.partition(".")[0], "ID", (32,)), secret_key(key, path, passphrase)
    assert own is not None
    expiry_ns = time.time_ns() + lasting_ns
    try:
        made = ChunkCommitment(address, expiry_ns, sign(own, promise(address, expiry_ns)))
    except ValueError as error:
        raise CliError("refused", f"{key}: {error}") from None
    with client_of(engine) as client:
        client.ask("Commit", "Marked", commitment=TypedField("json", view(made)))
    emit("commitment", [{"address": address.hex(), "node": made.node, "expiry_ns": expiry_ns}], lambda _: "")


@command.command("ls")
@with_engine
@common
def ls(engine: str) -> None:
    """List the pins, with addresses."""
    found: list[dict[str, Any]] = []
    with client_of(engine) as client:
        for answer in pages(client, "ListPins", "Pins"):
            found += ({"name": one["name"], "address": one["address"][2:]} for one in answer["pins"])
    rows = [[one["name"], one["address"]] for one in found]
    emit("pin", found, lambda _: render_table((Column("NAME"), Column("ADDRESS")), rows) if rows else "no pins")


@command.command("verify")
@with_engine
@common
def verify(engine: str) -> None:
    """Compare every chunk on the disk with its hash. Exit code 8, with chunk and file, if one is damaged."""
    count, size, damaged = 0, 0, list[dict[str, Any]]()
    with client_of(engine) as client, moving("verify", 0) as moved:
        for answer in pages(client, "Verify", "FilesVerified", count=TypedField("text", str(VERIFIED_AT_ONCE))):
            count, size = count + answer["count"], size + answer["size_bytes"]
            damaged += [{**one, "address": one["address"][2:]} for one in answer["damaged"]]
            moved(size)
    if damaged:
        lines = (f"chunk {one['address']}\n  {one['path']}\n  {one['detail']}" for one in damaged)
        raise CliError("violated", f"{len(damaged)} of {count} chunks are damaged", tuple(damaged), "\n".join(lines))
    emit("verified", [{"count": count, "size_bytes": size}], lambda _: f"{count} chunks, {size} bytes: all good")


@command.command("collect")
@with_engine
@common
def collect(engine: str) -> None:
    """Drop the chunks that have neither a pin nor a commitment."""
    from host.cli.chunks import COLLECT_NS

    with client_of(engine) as client:
        answer = client.ask("Collect", "Collected", COLLECT_NS)
    item = {name: answer[name] for name in ("dropped", "dropped_bytes", "kept")}
    emit(
        "collected",
        [item],
        lambda _: f"{item['dropped']} chunks dropped, {item['dropped_bytes']} bytes; {item['kept']} kept",
    )


def pages(client: ChunkClient, tag: str, wait: str, **fields: TypedField) -> Iterator[dict[str, Any]]:
    """All answers to a request that is answered in parts."""
    first = b""
    while True:
        answer = client.ask(tag, wait, first=TypedField("bytes", first), **fields)
        yield answer
        if (first := bytes.fromhex(answer["following"][2:])) == b"":
            return


def change_pin(engine: str, tag: str, id_: str, name: str) -> None:
    """Pin or unpin by ID."""
    address = hex_of(id_.partition(".")[0], "ID", (32,))
    with client_of(engine) as client:
        mark(client, tag, address, name)
    emit("pin", [{"name": name, "address": address.hex()}], lambda _: "")


def mark(client: ChunkClient, tag: str, address: bytes, name: str) -> None:
    """Pin or unpin. Raises CliError."""
    fields = {"address": TypedField("bytes", address), "name": TypedField("bytes", name.encode())}
    if client.ask(tag, "Marked|ChunkNotFound", **fields)["type"] == "ChunkNotFound":
        raise CliError("not_found", f"chunk {address.hex()} is not here")


def client_of(engine: str) -> ChunkClient:
    """A client of the chosen node's chunk store."""
    from host.cli.chunks import ChunkClient

    return ChunkClient(select_instance().control, engine)


def public_key(text: str) -> PublicKey:
    """The key that a reader decrypts with. Raises UsageError."""
    from engines.crypto.keys import PublicKey

    both = hex_of(text, "PUBLIC", (64,))
    return PublicKey(both[:32], both[32:])


def secret_key(name: str | None, path: str | None, passphrase: str | None) -> SecretKey | None:
    """The key of that name; None without a name. Raises CliError."""
    if name is None:
        return None
    with opened(path, passphrase) as disk:
        return named(disk, name).secret


def secret_of(path: str | None) -> bytes:
    """The content of the file with the secret. Raises CliError."""
    if path is None:
        return b""
    try:
        with open(path, "rb") as file:
            secret = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise CliError("not_found", f"{path}: {error.strerror}") from None
    if not 1 <= len(secret) <= SECRET_BYTES_MAX:
        raise CliError("failed", f"{path}: a secret has 1 to {SECRET_BYTES_MAX} bytes")
    return secret
