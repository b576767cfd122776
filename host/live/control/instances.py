"""The nodes running on this machine, seen from outside: read-only, and without touching the supervisors' locks.

An instance belongs to its node file: its folder is `<root>/<hash of the file's real path>`, where the root is
`$XDG_RUNTIME_DIR/enginehost`, else `<temporary folder>/enginehost-<uid>`. Both roots are searched: a node started from
a login shell must be found from a cron job.

A node runs if a process listens on its control socket. Trying the supervisor's lock instead would hold it for an
instant, and a node that starts in that instant would find its own folder taken. A socket file without a listener is
left behind by a kill; it counts as not running, and the next supervisor replaces it.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

import msgspec

CONTROL: Final = "control"
"""Name of the control socket in an instance's folder."""

PROBE_S: Final = 1.0
"""A listener with a full backlog makes `connect` block; after this time the node counts as running but deaf."""


class Instance(msgspec.Struct, frozen=True):
    """The `node.json` that a supervisor wrote into its folder. `started` is in nanoseconds since the epoch.

    `config` is the real path of the node file, `given` the path given to `up`, absolute, links not followed. `data`:
    the data folder's present path, for a node found by it (`host.live.control.holders`), else "".
    """

    node: str
    config: str
    digest: str
    pid: int
    started: int
    folder: str = ""
    given: str = ""
    data: str = ""

    @property
    def places(self) -> list[str]:
        """Paths that a user may name it by: of its node file, and of its data folder if that is known."""
        return [path for path in (self.config, self.given, self.data) if path]

    @property
    def control(self) -> str:
        """Path of the control socket."""
        return os.path.join(self.folder, CONTROL)


def instance_folders(config: str) -> list[str]:
    """The possible folders of this node file's instance, the likelier one first."""
    from hashlib import blake2b  # brings OpenSSL with it: 3 ms that most commands need not spend

    name = blake2b(os.path.realpath(config).encode(), digest_size=8).hexdigest()
    return [os.path.join(root, name) for root in runtime_roots()]


def runtime_roots() -> list[str]:
    """The roots of this user's instances, the one for new instances first."""
    temporary = os.path.join(_absolute("TMPDIR") or "/tmp", f"enginehost-{os.getuid()}")
    run = _absolute("XDG_RUNTIME_DIR")
    return [os.path.join(run, "enginehost"), temporary] if run else [temporary]


def _absolute(variable: str) -> str:
    """A folder named by the environment; "" for a relative path, which would differ from command to command."""
    path = os.environ.get(variable, "")
    return path if os.path.isabs(path) else ""


def running_instances() -> list[Instance]:
    """Every running node of this user, sorted by node file."""
    return sorted((i for i in known_instances() if listening_pid(i.control) is not None), key=lambda i: i.config)


def known_instances() -> list[Instance]:
    """As `running_instances`, including those that a kill left behind."""
    found = (read_instance(folder) for root in runtime_roots() for folder in _subfolders(root))
    return [instance for instance in found if instance is not None]


def running_instance(config: str) -> Instance | None:
    """The running node of this node file."""
    found = (read_instance(folder) for folder in instance_folders(config))
    return next((i for i in found if i and listening_pid(i.control) is not None), None)


def read_instance(folder: str) -> Instance | None:
    """The content of `node.json` in `folder`; None if there is none, or one cut short by a full disk."""
    try:
        with open(os.path.join(folder, "node.json"), "rb") as file:
            instance = msgspec.json.decode(file.read(), type=Instance)
    except (OSError, msgspec.MsgspecError):
        return None
    return msgspec.structs.replace(instance, folder=folder)


def listening_pid(path: str) -> int | None:
    """The process that listens on the socket at `path` (0: outside our process namespace); None if there is none.

    Connects and hangs up; to a ZeroMQ listener that is a peer that closed before its handshake.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(path)
        except TimeoutError:
            return 0
        except OSError:
            return None
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[0])


def _subfolders(root: str) -> list[str]:
    try:
        return sorted(entry.path for entry in os.scandir(root) if entry.is_dir())
    except OSError:
        return []
