"""Files of the keeper: written whole, and below a folder without following links of agents out of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import stat
from typing import Any, Final

from host.live.journal.folder import sync_folder

SESSIONS_KEPT: Final = 5
"""Folders of noted sessions that an agent keeps, for their logs."""

TOKEN_BYTES: Final = 32


def write_whole(path: str, content: bytes, *, is_synced: bool = True) -> None:
    """Write a file of this content; a reader sees the old content or the new. On the disk when this returns, if
    `is_synced`."""
    folder = os.path.dirname(path)
    temporary = f"{path}.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, content)
        if is_synced:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)
    if is_synced:
        sync_folder(folder)


def write_json(path: str, value: Any, *, is_synced: bool = True) -> None:
    """As `write_whole`."""
    write_whole(path, json.dumps(value, ensure_ascii=False).encode(), is_synced=is_synced)


def read_json(path: str) -> dict[str, Any] | None:
    """The object in a file; None if there is none."""
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def identity(path: str) -> tuple[int, int] | None:
    """Which file or folder is at this path; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def session_folder(root: str, agent: str, session: int) -> str:
    """Where the files of a session are."""
    return os.path.join(root, "engine", "sessions", agent, str(session))


def session_folders(root: str) -> list[tuple[str, int, str]]:
    """Every agent, session and folder below a root, sorted."""
    top = os.path.join(root, "engine", "sessions")
    found = []
    for agent in _names(top):
        for name in _names(os.path.join(top, agent)):
            if name.isdigit():
                found.append((agent, int(name), os.path.join(top, agent, name)))
    return sorted(found)


def prune_sessions(root: str, agent: str) -> None:
    """Remove the oldest folders of noted sessions."""
    own = [folder for name, _session, folder in session_folders(root) if name == agent]
    noted = [folder for folder in own if os.path.exists(os.path.join(folder, "noted"))]
    for folder in noted[:-SESSIONS_KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


def make_workspace(path: str, uid: int | None) -> None:
    """Make the folder of an agent, which belongs to its user, and in it `.aism`, which belongs to the engine."""
    os.makedirs(path, exist_ok=True)
    with folder_fd(path) as fd:
        os.fchmod(fd, 0o700)
        if uid is not None:
            os.fchown(fd, uid, uid)
        _own_subfolder(fd)


def write_beneath(workspace: str, name: str, content: bytes, mode: int, uid: int | None = None) -> None:
    """Write `.aism/<name>` in a workspace, whole. The agent owns the workspace, so no link is followed."""
    with folder_fd(workspace) as top:
        _own_subfolder(top)
        inner = os.open(".aism", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    try:
        temporary = f".{name}.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=inner)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, mode, dir_fd=inner)
        try:
            os.write(fd, content)
            os.fchmod(fd, mode)
            if uid is not None:
                os.fchown(fd, uid, uid)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=inner, dst_dir_fd=inner)
    finally:
        os.close(inner)


def remove_beneath(workspace: str, name: str) -> None:
    """Remove `.aism/<name>`, if it is there."""
    with contextlib.suppress(OSError), folder_fd(workspace) as top:
        inner = os.open(".aism", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
        try:
            os.unlink(name, dir_fd=inner)
        finally:
            os.close(inner)


def mint_token(folder: str, workspace: str, session: int, uid: int | None) -> str:
    """Put a new token into the workspace, or keep the one of this session. Returns its SHA-256 in hex."""
    known = read_json(os.path.join(folder, "token.json"))
    token = known["token"] if known else f"{session}-{secrets.token_hex(TOKEN_BYTES)}"
    if not known:
        write_json(os.path.join(folder, "token.json"), {"token": token})
    write_beneath(workspace, "token", token.encode(), 0o400, uid)
    return hashlib.sha256(token.encode()).hexdigest()


@contextlib.contextmanager
def folder_fd(path: str) -> Any:
    """A descriptor of a folder that is no link."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _own_subfolder(top: int) -> None:
    """Have `.aism` in the folder: a real folder of ours. What an agent put in its place is moved aside."""
    for _ in range(2):
        try:
            found = os.stat(".aism", dir_fd=top, follow_symlinks=False)
        except FileNotFoundError:
            os.mkdir(".aism", 0o755, dir_fd=top)
            continue
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            return
        os.rename(".aism", f"aism-{secrets.token_hex(4)}", src_dir_fd=top, dst_dir_fd=top)
        os.mkdir(".aism", 0o755, dir_fd=top)


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []
