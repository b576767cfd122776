"""The process that has inspected a node's families, and that its workers are forked from.

It is forked from the zygote, imports the families, checks and reports them like any other inspecting child
(`inspect_child`), and then stays: a worker forked from here finds its family imported, which saves it 3 ms and 2 MiB,
and with a cryptographic library 9 ms and 5 MiB. Families that others spawn are kept too, and what their engines would
make at birth and with their first messages is made here. It reports the files it runs, with digests of their text. Once
the node is up, the supervisor compares these before each birth. If one has changed, or a module was added beside, the
template is released; later workers, after a crash or a spawn, are forked from the zygote and import the families
themselves: edited code is the code that runs. A reload releases it too. A file that a module reads at its import, and a
library outside the roots, stay as they were at the node's start, until the first reload.

A fork copies memory and the one thread that forks, nothing else. So a module that started a thread or a program, or
opened a descriptor, at its import has to do that again in each process: then this process exits after its report
(`Done.stays` is false), and workers come from the zygote.

Crash points: it dies while it inspects: `supervisor.inspection` asks another one about the rest. It dies later: the
zygote repeats the births requested from it. The supervisor dies, or releases it: it exits at the end of file.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from importlib import import_module
from typing import Final

import msgspec

from engines.model import Family
from engines.model.store.load import sources_run
from host.live.inspection.inspect_child import look, read_inquiry, send
from host.live.inspection.inspect_records import Done, digest, digest_of
from host.live.packets import Channel
from host.live.spawn.title import show_title
from host.live.spawn.zygote import Fork, serve
from host.live.worker.loading import keep_for_forks

DEVICES: Final = "host.live.worker.device_loop"
"""What workers of devices need in addition: an event loop library, 6 MiB."""


def main(fd: int) -> None:
    """Answer the one inquiry read from `fd`, then fork workers until the supervisor hangs up."""
    supervisor, opened, writes_bytecode = os.getppid(), _descriptors(), not sys.dont_write_bytecode
    inquiry = read_inquiry(fd)
    families = look(inquiry, fd, is_silent=False)
    if not all(isinstance(family, Family) for family in families.values()):
        import_module(DEVICES)
    threads = len(os.listdir("/proc/self/task"))
    stays = len(families) == len(set(inquiry.families)) and threads == 1 and opened == _descriptors()
    if stays and not _has_children():
        keep_for_forks(families)
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.dont_write_bytecode = not writes_bytecode
        gc.freeze()
        show_title("enginehost: template", "template")
        send(fd, Done(True, _sources(inquiry.roots)))
        serve(Channel(socket.socket(fileno=fd), msgspec.msgpack.Decoder(Fork)), supervisor)
    else:
        send(fd, Done())


def _sources(roots: tuple[str, ...]) -> dict[str, bytes]:
    """Digests of the sources that this process runs, as read, and of the folders that could hold others instead."""
    texts = sources_run()
    folders = {*roots, *(os.path.dirname(path) for path in texts)}
    return {path: digest(text) for path, text in texts.items()} | {path: digest_of(path) for path in folders}


def _descriptors() -> list[str]:
    """The open descriptors; the one used for this listing is the same each time."""
    return sorted(os.listdir("/proc/self/fd"))


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
