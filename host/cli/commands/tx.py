"""`enginehost tx`: submit signed transactions to a node, follow them, and query the state they leave.

The commands are clients of the engine of `--door` (family `engines.interaction.door:DOOR`). What they send is signed
here, with a key of the key file; the node has no keys of users.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import click
from msgspec.structs import replace

from engines.crypto.keys import IDENTITY_BYTES, SecretKey, identity_of, public_of
from engines.execution.programs import ProgramError, candidate
from engines.execution.transactions import GAS_MAX
from engines.interaction.client import bytes_of, signed_fields, text_of
from engines.interaction.messages import TXS_MAX, Refusal, Submission
from engines.mempool.acknowledgement import is_acknowledged_by
from engines.mempool.messages import TransactionAck
from engines.model import encode
from host.cli.commands.key import hex_of
from host.cli.keyring import named, opened, with_keys
from host.cli.output import emit
from host.cli.problem import CliError
from host.cli.session import MARGIN_NS, ask
from host.cli.settings import common
from host.cli.subcommands import SubcommandGroup
from host.cli.transactions import change_of, outcome_of, render_changes, render_outcomes, render_value, value_of
from host.cli.units import duration
from host.config.convert import to_typed
from host.live.control.protocol import ControlError, TypedField

TIMEOUT_NS: Final = 30_000_000_000
WATCH_NS: Final = 5_000_000_000
"""How long one request of `watch` waits for news."""
NUMBER_MAX: Final = 2**63 - 1


class BytesType(click.ParamType):  # type: ignore[type-arg, unused-ignore] # generic since click 8.4
    """Type of an argument of a program, and of a key."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """The bytes of a text such as `a`, `0x1337` or `num:5`."""
        if isinstance(value, bytes):
            return value
        try:
            return bytes_of(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error} (text:… for literal text)", param, ctx)


BYTES: Final = BytesType()
key_option: Final = click.option("--key", metavar="NAME", help="The key that signs; by default the only one there is.")
door_option: Final = click.option("--door", default="door", metavar="ENGINE", help="The engine to talk to (door).")
node_option: Final = click.option(
    "--node", metavar="IDENTITY", help="Fail unless the node with this identity signed that it took the transactions."
)
timeout_option: Final = click.option(
    "--timeout", type=duration, default=TIMEOUT_NS, metavar="DURATION", help="Time limit for the answer (30s)."
)


@click.group("tx", cls=SubcommandGroup, no_args_is_help=False)
def command() -> None:
    """Submit signed transactions, follow them, and query the state they leave."""


@command.command("submit")
@key_option
@with_keys
@click.option("--program", required=True, metavar="NAME", help="Program of the registry, such as increment.")
@click.option("--arg", "args", type=BYTES, multiple=True, metavar="VALUE", help="An argument; repeat it, in order.")
@click.option("--gas", type=click.IntRange(0, NUMBER_MAX), default=GAS_MAX, help=f"Most gas it may use ({GAS_MAX}).")
@click.option(
    "--number",
    type=click.IntRange(min=0, max=NUMBER_MAX),
    help="Number of the submission; the same number is done once. By default the time.",
)
@click.option(
    "--count", type=click.IntRange(1, TXS_MAX), default=1, help="How many times to run it, each a transaction."
)
@click.option("--no-wait", is_flag=True, help="Return once it is accepted, before it has run.")
@node_option
@door_option
@timeout_option
@common
def submit(
    key: str | None,
    path: str | None,
    passphrase: str | None,
    program: str,
    args: Sequence[bytes],
    gas: int,
    number: int | None,
    count: int,
    no_wait: bool,
    node: str | None,
    door: str,
    timeout: int,
) -> None:
    """Sign a transaction, submit it, and print its id, height and outcome.

    \b
    a  hello        text in UTF-8
    0x1337          bytes in hex
    num:5           a number, as programs write numbers
    text:0x13       literal text

    Exit code 1 if the transaction failed; nothing of it is in force then.
    """
    identity = _identity(node)
    number = time.time_ns() if number is None else number
    try:
        tx = candidate(program, *args)
    except ProgramError as error:
        raise click.UsageError(str(error)) from error
    nonces = (f"{number} {one}".encode() for one in range(count))
    txs = tuple(encode(replace(tx, nonce=nonce, gas=gas)) for nonce in nonces)
    body, commitment = signed_fields(_secret(key, path, passphrase), Submission(number, txs))
    fields = {
        "body": TypedField("bytes", body),
        "commitment": TypedField("json", commitment),
        "waits": TypedField("json", not no_wait),
    }
    _show_receipt(_answer(door, "Instruction", fields, "Receipt|Refusal", timeout), identity)


@command.command("status")
@click.argument("number", type=click.IntRange(min=0, max=NUMBER_MAX))
@key_option
@with_keys
@click.option("--wait", is_flag=True, help="Wait until it has run.")
@node_option
@door_option
@timeout_option
@common
def status(
    number: int,
    key: str | None,
    path: str | None,
    passphrase: str | None,
    wait: bool,
    node: str | None,
    door: str,
    timeout: int,
) -> None:
    """What became of a submission, by its number."""
    identity = _identity(node)
    fields = {
        "user": TypedField("bytes", _user(key, path, passphrase)),
        "number": TypedField("json", number),
        "waits": TypedField("json", wait),
    }
    _show_receipt(_answer(door, "SubmissionQuery", fields, "Receipt|Refusal", timeout), identity)


@command.command("query")
@click.argument("name", metavar="KEY", type=BYTES)
@click.option(
    "--at", "height", type=click.IntRange(1, NUMBER_MAX), default=None, metavar="HEIGHT", help="By default the newest."
)
@click.option("--wait", is_flag=True, help="With --at: wait for a height that is still to come.")
@key_option
@with_keys
@door_option
@timeout_option
@common
def query(
    name: bytes,
    height: int | None,
    wait: bool,
    key: str | None,
    path: str | None,
    passphrase: str | None,
    door: str,
    timeout: int,
) -> None:
    """Print the value of KEY, or `absent`.

    With --key, the newest value has all of that user's transactions that were answered.
    """
    fields = {
        "key": TypedField("bytes", name),
        "height": TypedField("json", height or 0),
        "user": TypedField("bytes", b"" if key is None else _user(key, path, passphrase)),
        "waits": TypedField("json", wait),
    }
    try:
        item = _answer(door, "StateQuery", fields, "QueryAnswer|QueryRefused", timeout)
    except CliError as error:
        if height is None or error.problem.error != "timeout":
            raise
        raise CliError("timeout", f"{door}: height {height} was not there within {timeout / 1e9:g} s") from error
    if item["type"] == "QueryRefused":
        raise CliError("refused", f"{text_of(name)}: {item['reason']}")
    emit("value", [{"key": name, "height": item["height"], **value_of(item["datum"])}], render_value)


@command.command("watch")
@click.argument("names", metavar="[KEY]...", type=BYTES, nargs=-1)
@click.option(
    "--after", type=click.IntRange(0, NUMBER_MAX), default=0, metavar="CURSOR", help="Go on after this cursor (0)."
)
@click.option("--once", is_flag=True, help="Print what is there, and end.")
@door_option
@common
def watch(names: Sequence[bytes], after: int, once: bool, door: str) -> None:
    """Print each transaction that changes one of the KEYs, or any; Ctrl-C ends it.

    The first column is the cursor: --after goes on from there, after any interruption.
    """
    while True:
        fields = {
            "after": TypedField("json", after),
            "keys": TypedField("json", ["0x" + name.hex() for name in names]),
            "limit": TypedField("json", 100),
            "patience_ns": TypedField("json", 0 if once else WATCH_NS),
        }
        item = _answer(door, "Watch", fields, "Changes|Refusal", WATCH_NS + TIMEOUT_NS)
        _raise_refusal(item)
        for change in item["changes"]:
            emit("change", [change_of(change)], render_changes)
        if once and not item["changes"]:
            return
        after = item["cursor"]


def _secret(key: str | None, path: str | None, passphrase: str | None) -> SecretKey:
    with opened(path, passphrase) as disk:
        record = named(disk, key)
    if not record.secret.signing:
        raise CliError("refused", f"{record.name} can decrypt only")
    return record.secret


def _user(key: str | None, path: str | None, passphrase: str | None) -> bytes:
    return identity_of(public_of(_secret(key, path, passphrase)))


# --- one exchange -----------------------------------------------------------------------------------------------------


def _answer(door: str, tag: str, fields: dict[str, TypedField], wait: str, timeout: int) -> dict[str, Any]:
    """Send a message to the door; the answer as plain data."""
    args = {"engine": door, "tag": tag, "fields": fields, "wait": wait, "timeout_ns": timeout}
    try:
        response = ask("send", args, timeout_ns=timeout + MARGIN_NS)
    except ControlError as error:
        raise CliError(error.error, f"{door}: {error.message}", tuple(error.items)) from error
    for item in response.items:
        if "type" in item:
            return dict(item)
    raise CliError("failed", f"{door}: the node gave no answer")


def _raise_refusal(item: dict[str, Any]) -> None:
    if item["type"] == Refusal.__name__:
        raise CliError("refused", f"{item['code']}: {item['reason']}", (item,))


def _identity(node: str | None) -> bytes | None:
    return None if node is None else hex_of(node, "IDENTITY", (IDENTITY_BYTES,))


def _signer(ack: dict[str, Any] | None, node: bytes | None) -> bytes | None:
    """The identity that signed the acknowledgement; None without a signature. Checks the one of `node`."""
    fields = {name: value for name, value in (ack or {}).items() if name != "type"}
    made: TransactionAck | None = to_typed(fields, TransactionAck) if ack is not None else None
    signer = None if made is None or made.signature is None else identity_of(made.signature.key)
    is_signed = made is not None and signer is not None and is_acknowledged_by(signer, made)
    if node is not None and (signer != node or not is_signed):
        raise CliError("violated", f"0x{node.hex()} has not signed that it took the transactions")
    return signer if is_signed else None


def _show_receipt(item: dict[str, Any], node: bytes | None) -> None:
    _raise_refusal(item)
    signer = _signer(item["ack"], node)
    outcomes = [outcome_of(one) for one in item["outcomes"]]
    if not item["is_done"]:
        done = {one["tx"] for one in outcomes}
        outcomes += [{"tx": one, "state": "accepted"} for one in item["tx_hashes"] if one not in done]
    items = [{"number": item["number"], **one, "acknowledged_by": signer} for one in outcomes]
    emit("transactions", items, render_outcomes)
    if any(one["state"] == "failed" for one in items):
        raise SystemExit(1)
