"""A node for one benchmark: written as YAML, started as `up` starts it, stopped and removed afterwards.

The supervisor is attached, as in `up` without `-d`: it ends with this process, even if that is killed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from host.config.load import load_node
from host.live.control.client import Client
from host.live.control.instances import running_instance
from host.live.control.launch import Launch
from host.live.control.protocol import ControlError, TypedField

READY_NS: Final = 20_000_000_000
ROUND_NS: Final = 30_000_000_000
"""Bound of one exchange with the node; a round takes about a second."""


@contextmanager
def live_node(text: str) -> Iterator[Client]:
    """The node that `text` describes, ready. It ends with the block, also after an error."""
    with tempfile.TemporaryDirectory(prefix="enginehost-bench-") as folder:
        config = Path(folder, "node.yaml")
        config.write_text(text)
        with Launch(load_node(config), attached=True) as launch:
            try:
                for progress in launch.progress(READY_NS):
                    if progress.error:
                        raise ControlError(progress.error, progress.message, progress.items)
                instance = running_instance(str(config))
                assert instance is not None, "a node that is ready listens"
                with Client(instance.control) as client:
                    yield client
            finally:
                launch.process.terminate()
                launch.stop()


def exchange(client: Client, engine: str, tag: str, fields: dict[str, Any], wait: str = "") -> dict[str, Any]:
    """Send a message to an engine; with `wait`, returns the fields of the first answer of that type."""
    written = {name: TypedField("json", value) for name, value in fields.items()}
    args = {"engine": engine, "tag": tag, "fields": written, "wait": wait or None, "timeout_ns": ROUND_NS}
    return dict(client.request("send", args, timeout_ns=ROUND_NS).items[0])
