"""A key store: the one place where secret keys are. Engines hold names of keys and ask it to sign, seal and open.

The driver keeps all keys in one file (`engines/crypto/key_disk.py`), which is replaced and synced before an answer says
that a key exists or is gone. Keys, and the chance in them and in sealed boxes, are the device's own: no message, no
answer to a roll and no state contains them. Its process writes no core dumps. Python gives no way to clear memory for
certain, so a wiped key is gone from the disk at once and from memory when its process ends.

A key belongs to the engine whose message made it: that engine, its descendants, and their later births may use it and
delete it. Everybody may seal and list, which needs public parts only. Asking twice is harmless: `GenerateKey` with the
name, owner and capabilities of a key that is there answers with that key, and `DeleteKey` of a missing one that it is
deleted. So an engine that got no answer asks again.

`respond` is the behaviour of both, driver and twin. The twin derives its keys from a seed in its parameters, so they
are no secret; its state holds none, and counts the orders that used chance.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal, Protocol, TypeAlias

import msgspec
from msgspec import Meta

from engines.crypto.key_disk import KeyDisk, make_passphrase, open_keys, read_passphrase
from engines.crypto.key_file import NAME_CHARS_MAX, RECORDS_MAX, KeyFileError, KeyRecord
from engines.crypto.keys import (
    KEY_BYTES,
    SECRET_CHANCE_BYTES,
    PublicKey,
    Signed,
    identity_of,
    public_of,
    seal,
    secret_from,
    sign,
    unseal,
)
from engines.model import (
    Arrived,
    Become,
    Config,
    Device,
    DeviceHost,
    Effects,
    Family,
    Map,
    Message,
    Ref,
    Send,
    Value,
    rule,
)

LOCK_WAIT_S: Final = 3
"""How long a driver waits for the file while a command, or the process before it, has it."""

READERS_MAX: Final = 256
"""Keys to which one message is sealed."""

SEALED_BYTES_MAX: Final = 32 << 20
"""Bytes of data in all boxes of one answer; half of what a message may have."""

Capabilities: TypeAlias = Literal["commit", "decrypt", "both"]
Reason: TypeAlias = Literal["not found", "already exists", "not available", "denied", "full", "damaged"]
KeyName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]


class KeyFile(Config):
    """The file of the keys, and the source of its passphrase: `file:PATH`, `env:NAME` or `made:PATH`.

    `made:PATH` is as `file:PATH`, but the file is made with a random passphrase when the file of the keys is. Who can
    read both has the keys, so keep copies of them apart. A relative path begins at the folder in which the node was
    started. Descriptors of `up` do not reach a worker, so `fd:NUMBER` is for commands only. `twin_seed` is the seed of
    the twin's keys; the device does not use it.
    """

    path: str
    passphrase: str
    twin_seed: bytes = b""


class GenerateKey(Message):
    """Make a key under a new name."""

    name: KeyName
    capabilities: Capabilities
    destination: Ref[KeyGenerated | KeyRefused]
    request: int = 0


class KeyGenerated(Message):
    """The key is in the file; this is its public part."""

    name: str
    key: PublicKey
    request: int


class SignData(Message):
    """Sign `data` with a key."""

    name: str
    data: bytes
    destination: Ref[DataSigned | KeyRefused]
    request: int = 0


class DataSigned(Message):
    """The signature."""

    signed: Signed
    request: int


class SealData(Message):
    """Seal `data` to each of these keys."""

    readers: Annotated[tuple[PublicKey, ...], Meta(min_length=1, max_length=READERS_MAX)]
    data: bytes
    destination: Ref[DataSealed | KeyRefused]
    request: int = 0


class DataSealed(Message):
    """A sealed box for each reader, by external identity."""

    sealed: Map[bytes, bytes]
    request: int


class OpenSealed(Message):
    """Open a sealed box with a key."""

    name: str
    sealed: bytes
    destination: Ref[SealedOpened | KeyRefused]
    request: int = 0


class SealedOpened(Message):
    """What was in the box."""

    data: bytes
    request: int


class ListKeys(Message):
    """Send the public parts of all keys."""

    destination: Ref[KeyList]
    request: int = 0


class ListedKey(Value):
    """A key, without its secret."""

    name: str
    owner: str
    key: PublicKey


class KeyList(Message):
    """All keys, by name."""

    keys: tuple[ListedKey, ...]
    request: int


class DeleteKey(Message):
    """Wipe a key; with an `identity`, only if the key has that one: the name may have another key by now."""

    name: str
    destination: Ref[KeyDeleted | KeyRefused]
    request: int = 0
    identity: bytes = b""


class KeyDeleted(Message):
    """The key is not in the file."""

    name: str
    request: int


class KeyRefused(Message):
    """Nothing was done, for this reason."""

    reason: Reason
    detail: str
    request: int


Order: TypeAlias = GenerateKey | SignData | SealData | OpenSealed | ListKeys | DeleteKey
Answer: TypeAlias = KeyGenerated | DataSigned | DataSealed | SealedOpened | KeyList | KeyDeleted | KeyRefused


class Response(msgspec.Struct, frozen=True):
    """What an order comes to: the answer, and the record to add or the name to remove before it is sent."""

    answer: Answer
    added: KeyRecord | None = None
    removed: str | None = None


class Chance(Protocol):
    """Gives `size` random bytes; others for each `piece` of an order."""

    def __call__(self, size: int, piece: int = 0) -> bytes:
        """The bytes."""
        ...


def respond(order: Order, sender: str, now_ns: int, records: Mapping[str, KeyRecord], chance: Chance) -> Response:
    """The response to an order."""
    match order:
        case GenerateKey():
            return _generate(order, owner_of(sender), now_ns, records, chance)
        case SealData():
            return Response(_seal(order, chance))
        case ListKeys():
            listed = (ListedKey(name, one.owner, public_of(one.secret)) for name, one in sorted(records.items()))
            return Response(KeyList(tuple(listed), order.request))
    record = records.get(order.name)
    if record is not None and record.owner != owner_of(sender):
        return _refused(order, "denied", f"{order.name} belongs to {record.owner or 'a person'}")
    if isinstance(order, DeleteKey):
        is_there = record is not None and order.identity in (b"", identity_of(public_of(record.secret)))
        return Response(KeyDeleted(order.name, order.request), removed=order.name if is_there else None)
    if record is None:
        return _refused(order, "not found", f"there is no key {order.name}")
    return Response(_use(order, record))


def owner_of(sender: str) -> str:
    """The engine that a sender descends from, whichever its birth: `wallet~2/signer.1` to `wallet`."""
    return sender.partition("#")[0].partition("/")[0].partition("~")[0]


def _refused(order: Order, reason: Reason, detail: str) -> Response:
    return Response(KeyRefused(reason, detail, order.request))


def _generate(
    order: GenerateKey, owner: str, now_ns: int, records: Mapping[str, KeyRecord], chance: Chance
) -> Response:
    can_sign, can_decrypt = order.capabilities != "decrypt", order.capabilities != "commit"
    if (record := records.get(order.name)) is not None:
        public = public_of(record.secret)
        if (record.owner, bool(public.verifying), bool(public.encrypting)) != (owner, can_sign, can_decrypt):
            return _refused(order, "already exists", f"there is another key {order.name}")
        return Response(KeyGenerated(order.name, public, order.request))
    if len(records) >= RECORDS_MAX:
        return _refused(order, "full", f"there are {RECORDS_MAX} keys")
    secret = secret_from(chance(SECRET_CHANCE_BYTES), can_sign=can_sign, can_decrypt=can_decrypt)
    made = KeyRecord(order.name, owner, secret, now_ns)
    return Response(KeyGenerated(order.name, public_of(secret), order.request), added=made)


def _seal(order: SealData, chance: Chance) -> Answer:
    if len(order.data) * len(order.readers) > SEALED_BYTES_MAX:
        return KeyRefused("full", f"all boxes together may have {SEALED_BYTES_MAX} bytes", order.request)
    try:
        boxes = [seal(key, order.data, chance(KEY_BYTES, piece)) for piece, key in enumerate(order.readers)]
    except ValueError as error:
        return KeyRefused("not available", str(error), order.request)
    return DataSealed(Map(zip(map(identity_of, order.readers), boxes, strict=True)), order.request)


def _use(order: SignData | OpenSealed, record: KeyRecord) -> Answer:
    secret = record.secret
    if isinstance(order, SignData):
        if not secret.signing:
            return KeyRefused("not available", f"{order.name} cannot sign", order.request)
        return DataSigned(sign(secret, order.data), order.request)
    if not secret.decrypting:
        return KeyRefused("not available", f"{order.name} cannot decrypt", order.request)
    try:
        return SealedOpened(unseal(secret, order.sealed), order.request)
    except ValueError as error:
        return KeyRefused("damaged", str(error), order.request)


class KeyStore:
    """The driver: one order after the other; file and key derivation in a thread."""

    async def run(self, host: DeviceHost) -> None:
        """Run until cancelled. Raises KeyFileError when file or passphrase cannot be used, OSError for the disk."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        disk = await asyncio.to_thread(_open, host.config)
        try:
            records = {record.name: record for record in disk.records}
            while True:
                mail = await host.receive()
                response = respond(mail.message, mail.sender, host.now_ns(), records, _system_chance)
                if response.added is not None or response.removed is not None:
                    records = changed(records, response)
                    await asyncio.to_thread(disk.save, tuple(records.values()))
                await host.send_when_writable(mail.message.destination, response.answer)
        finally:
            disk.close()


def _system_chance(size: int, piece: int = 0) -> bytes:
    return os.urandom(size)


def _open(config: KeyFile) -> KeyDisk:
    kind, _, path = config.passphrase.partition(":")
    if kind == "fd":
        raise KeyFileError("passphrase: a device's source is file:PATH, env:NAME or made:PATH")

    def passphrase(is_new: bool) -> bytes:
        if kind != "made":
            return read_passphrase(config.passphrase)
        if is_new:
            make_passphrase(path)
        return read_passphrase(f"file:{path}")

    return open_keys(config.path, passphrase, create=True, wait_s=LOCK_WAIT_S)


def changed(records: dict[str, KeyRecord], response: Response) -> dict[str, KeyRecord]:
    """The records after a response."""
    after = {name: record for name, record in records.items() if name != response.removed}
    return after if response.added is None else after | {response.added.name: response.added}


class Origin(Value):
    """How the twin made a key: for whom, when, with which capabilities, and by which order."""

    owner: str
    created_ns: int
    can_sign: bool
    can_decrypt: bool
    order: int


class Derived(Value):
    """State of the twin: its keys, and the number of orders that used chance."""

    keys: Map[str, Origin] = Map()
    orders: int = 0


def chance_of(seed: bytes, order: int) -> Chance:
    """The twin's chance for the order of that number."""
    key = blake2b(seed, digest_size=32).digest()

    def chance(size: int, piece: int = 0) -> bytes:
        return blake2b(order.to_bytes(8, "big") + piece.to_bytes(8, "big"), key=key, digest_size=size).digest()

    return chance


def derived_record(seed: bytes, name: str, origin: Origin) -> KeyRecord:
    """The twin's key."""
    chance = chance_of(seed, origin.order)(SECRET_CHANCE_BYTES)
    secret = secret_from(chance, can_sign=origin.can_sign, can_decrypt=origin.can_decrypt)
    return KeyRecord(name, origin.owner, secret, origin.created_ns)


Ordered = Arrived[GenerateKey | SignData | SealData | OpenSealed | ListKeys | DeleteKey, KeyFile, Derived]


@rule
def serve(order: Order, t: Ordered) -> Effects[Derived, Any]:
    """Twin. State: its keys, and the chance used. Messages: the answer, to the destination. Timers, engines: none."""
    seed, keys = t.config.twin_seed, t.env.state.keys
    number = t.env.state.orders + isinstance(order, GenerateKey | SealData)
    records = {name: derived_record(seed, name, origin) for name, origin in keys.items()}
    response = respond(order, t.sender, t.now_ns, records, chance_of(seed, number))
    if response.removed is not None:
        keys = keys.without(response.removed)
    if (made := response.added) is not None:
        can_sign, can_decrypt = bool(made.secret.signing), bool(made.secret.decrypting)
        keys = keys.set(made.name, Origin(made.owner, made.created_ns, can_sign, can_decrypt, number))
    destination: Ref[Any] = order.destination
    return [Become(Derived(keys, number)), Send(destination, response.answer)]


TWIN = Family("key-store-twin", config=KeyFile, state=Derived(), accepts=Order, emits=Answer).rules(serve)
KEY_STORE = Device("key-store", config=KeyFile, accepts=Order, emits=Answer, driver=KeyStore, twin=TWIN)
