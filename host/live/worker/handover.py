"""The handover of a slot with a journal from one process to the next: what a reload adds to `host.node.reload_plan`.

The log owns every journaled engine. It is handed over as a *snapshot of the log*, taken by the old process at its
boundary and on the disk before anything else happens. So new code never runs a turn of old code: the next reader of the
log begins at that snapshot, and the new code migrates the environments in it. Volatile neighbours are in no log; they
cross in the memory file, as in any reload, but for environments that new made itself (`host.node.trigger_tail`).

| stage     | writes the log      | what the log has: after a kill of everything the node continues from it       |
|-----------|---------------------|-------------------------------------------------------------------------------|
| importing | old                 | turns of old code; an ordinary recovery, with what the sources then are       |
| following | old                 | the same; new reads it without a lock, and runs its turns                     |
| freezing  | old                 | the same                                                                      |
| dumping   | old: the snapshot   | the same before its rename; then images of old code, and nothing to run again |
| adopting  | no process          | the snapshot. New reads and migrates in memory, without a lock; old is frozen |
| retiring  | no process          | the same; old exits and writes nothing more                                   |
| going     | new: `Life`, images | the same, until the images of the new version are appended (durable: synced), |
|           |                     | which is before `Ready`; from then on those                                   |

One writer: old holds the lock of the folder until it is gone or passes the slot on, new takes it at `Go` or after the
token. What old adds to its batch while it
stands still (acknowledgements) is dropped if it exits, and repeated by the process that continues; if old thaws, the
batch is written.

The family to run: the image in the log decides, at every start, and the supervisor's directory follows what a process
reports. So a reload `--to` another family takes effect when the new images are in the log, for this node and the next;
the node file names the family an engine is born with. With the same reference and changed sources only the new code is
left: a life that begins between the snapshot and the images migrates as the candidate did.

New that *follows* needs no snapshot of the log: it has made the engines from the log with its own code, and the
rehearsal found that this leads to the migrated state. So `passing` replaces all stages from `freezing` on (where new
cannot be primed, these do the same in more steps):

| in `passing`  | writes the log | what the log has                                                                  |
|---------------|----------------|-----------------------------------------------------------------------------------|
| old stops     | old            | the rest of old's batch, synced if durable; then old gives up its lock            |
| new verifies  | no process     | the same; new runs the last turns without a lock. If one differs, old goes on     |
| token taken   | new: `Life`    | the same, until `Life` is in the log; then turns of the new version               |

The first record of new code is that `Life`: no image precedes it. A recovery
later does what new did, since it runs all turns behind the newest snapshot with the code that it finds. So this is for
the same reference only, and the next snapshot, soon due, is of new code.

A snapshot that cannot be written (a full disk) is reported as `EngineFailed`, and old continues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from engines.model import Declaration
from host.live import wire
from host.node.snapshot import Families, Revived, SlotImage, read_snapshot

if TYPE_CHECKING:
    from host.live.journal.recovery import Recovered
    from host.node.tail_following import Followed

Load = Callable[[str], Declaration[Any, Any, Any]]


class Inheritance(NamedTuple):
    """A slot to take over: the volatile engines and, with a journal, the content of its log."""

    image: SlotImage
    revived: list[Revived]
    found: Recovered | None = None


def read_inheritance(
    parts: Iterable[bytes],
    boot: wire.Boot,
    load: Load,
    families: Families,
    followed: Callable[[], Recovered] | None,
    engines: Mapping[str, Followed],
) -> Inheritance:
    """Read what `WorkerLog.hand_out` handed over, or a snapshot where there is no log. Changes nothing.

    `followed` gives the content of a log that was followed, `engines` are volatile ones that were. Raises as
    `read_snapshot`, `recover` and `followed`.
    """
    image, revived = read_snapshot(parts, boot.node, load, families, engines)
    if followed is not None:
        return Inheritance(image, revived, followed())
    if not boot.journal:
        return Inheritance(image, revived)
    from host.live.journal.folder import Folder
    from host.live.journal.recovery import boot_id, recover

    return Inheritance(image, revived, recover(Folder(boot.journal), boot.node, load, boot_id(), families))
