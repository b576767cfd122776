"""`enginehost key`: keys of the user, in a key file of their own; no node takes part."""

from __future__ import annotations

import os
import time
from typing import IO, TYPE_CHECKING, Any, Final

import click

from host.cli.keyring import named, opened, with_keys
from host.cli.output import Items, emit
from host.cli.problem import CliError
from host.cli.settings import common_without_node
from host.cli.subcommands import SubcommandGroup
from host.cli.table import Column, render_table

if TYPE_CHECKING:
    from engines.crypto.key_file import KeyRecord

KINDS: Final = {"sign": (True, False), "decrypt": (False, True), "both": (True, True)}
DATA_BYTES_MAX: Final = 1 << 30
"""Data that is signed at once; it is held in memory."""

COLUMNS = (Column("NAME"), Column("KIND"), Column("IDENTITY"), Column("PUBLIC"))


@click.group("key", cls=SubcommandGroup, no_args_is_help=False)
def command() -> None:
    """Make, list and use your own keys. They are in a file encrypted with a passphrase (argon2id)."""


@command.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)), default="both", show_default=True, help="What it can do.")
@with_keys
@common_without_node
def new(name: str, kind: str, path: str | None, passphrase: str | None) -> None:
    """Make a key called NAME; the first one makes the file. Prints the identity and the public key."""
    from engines.crypto.key_file import NAME_CHARS_MAX, KeyRecord
    from engines.crypto.keys import SECRET_CHANCE_BYTES, secret_from

    if not 1 <= len(name) <= NAME_CHARS_MAX or not name.isprintable():
        raise click.UsageError(f"a name has 1 to {NAME_CHARS_MAX} printable characters")
    with opened(path, passphrase, create=True) as disk:
        if any(record.name == name for record in disk.records):
            raise CliError("conflict", f"{disk.path} has a key {name}")
        can_sign, can_decrypt = KINDS[kind]
        secret = secret_from(os.urandom(SECRET_CHANCE_BYTES), can_sign=can_sign, can_decrypt=can_decrypt)
        made = KeyRecord(name, "", secret, time.time_ns())
        disk.save((*disk.records, made))
        emit("key", [item_of(made)], render_keys)


@command.command("ls")
@click.argument("name", required=False)
@with_keys
@common_without_node
def ls(name: str | None, path: str | None, passphrase: str | None) -> None:
    """List the keys, or the key NAME, with identities and public parts."""
    with opened(path, passphrase) as disk:
        records = sorted(disk.records, key=lambda record: record.name) if name is None else [named(disk, name)]
        emit("key", [item_of(record) for record in records], lambda items: render_keys(items) if items else "no keys")


@command.command("sign")
@click.argument("name")
@click.argument("file", type=click.File("rb"), default="-")
@with_keys
@common_without_node
def sign_file(name: str, file: IO[bytes], path: str | None, passphrase: str | None) -> None:
    """Sign FILE, or standard input, with the key NAME. Prints the Ed25519 signature."""
    from engines.crypto.keys import sign

    with opened(path, passphrase) as disk:
        record = named(disk, name)
        if not record.secret.signing:
            raise CliError("refused", f"{name} can decrypt only")
        signature = sign(record.secret, data_of(file)).signature
        emit("signature", [item_of(record) | {"signature": signature}], lambda _: f"0x{signature.hex()}")


@command.command("verify")
@click.argument("public")
@click.argument("signature")
@click.argument("file", type=click.File("rb"), default="-")
@common_without_node
def verify(public: str, signature: str, file: IO[bytes]) -> None:
    """Check that SIGNATURE over FILE, or standard input, was made with PUBLIC, as `key ls` shows it.

    Exit code 8 if it was not. Needs no key file.
    """
    from engines.crypto.keys import KEY_BYTES, SIGNATURE_BYTES, PublicKey, Signed, is_valid

    verifying = hex_of(public, "PUBLIC", (KEY_BYTES, 2 * KEY_BYTES))[:KEY_BYTES]
    signed = Signed(PublicKey(verifying), hex_of(signature, "SIGNATURE", (SIGNATURE_BYTES,)))
    if not is_valid(signed, data_of(file)):
        raise CliError("violated", "the signature does not hold")
    emit("verified", [{"public": public, "signature": signature, "valid": True}], lambda _: "the signature holds")


def item_of(record: KeyRecord) -> dict[str, Any]:
    """A key without its secret."""
    from engines.crypto.keys import identity_of, public_of

    public = public_of(record.secret)
    kind = next(kind for kind, can in KINDS.items() if can == (bool(public.verifying), bool(public.encrypting)))
    return {
        "name": record.name,
        "kind": kind,
        "identity": identity_of(public),
        "public": public.verifying + public.encrypting,
        "created_ns": record.created_ns,
    }


def data_of(file: IO[bytes]) -> bytes:
    """What is signed. Raises CliError beyond `DATA_BYTES_MAX`."""
    data = file.read(DATA_BYTES_MAX + 1)
    if len(data) > DATA_BYTES_MAX:
        raise CliError("failed", f"{file.name} has more than {DATA_BYTES_MAX} bytes; sign its hash instead")
    return data


def hex_of(text: str, name: str, sizes: tuple[int, ...]) -> bytes:
    """The bytes of an argument. Raises UsageError for anything but one of these sizes in hexadecimal."""
    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        data = b""
    if len(data) not in sizes:
        wanted = " or ".join(str(size) for size in sizes)
        raise click.UsageError(f"{name} is {wanted} bytes in hexadecimal")
    return data


def render_keys(items: Items) -> str:
    """A table."""
    rows = [[item["name"], item["kind"], f"0x{item['identity'].hex()}", f"0x{item['public'].hex()}"] for item in items]
    return render_table(COLUMNS, rows)
