"""The simulator: whole nodes in one process, in virtual time, with one seeded source of chance.

The same node core that a worker runs, with simulated surroundings. What runs here as it runs live: the order of a
cycle (`host.node.cycle`), scheduler, turns, outbox, arrivals, back-pressure and the relief of circles; the machine of a
slot and of a reload (`slot_plan`, `reload_plan`), groups, restarts and their limits, poison; the records of a log, its
reader and the revival of its engines (`host.node.journal`, `host.node.journaled`). What is simulated: processes, lanes,
the control socket, the disk, the clock.

States, and who owns each of them:

| state                                   | owner                                          | outlives            |
|-----------------------------------------|------------------------------------------------|---------------------|
| time, and what happens next             | `agenda.Agenda`                                | the run             |
| chance, a stream for each place of use  | `agenda.Chance`                                | the run             |
| which faults happen                     | `faults.Faults`                                | the run             |
| engines, waiting mail, held outputs     | `process.SimProcess`                           | nothing             |
| lanes: frames published, not released   | `lanes.Lanes`                                  | any process         |
| log: segments, snapshot, what is synced | `log.Disk`, one a slot                         | everything          |
| control page: the message in flight     | `page.Page`, one a slot                        | any process         |
| slots, directory, restarts, quarantine  | `node.SimNode`                                 | any process         |
| letters, notes, events, the trace       | `record.RunRecord`                                | the run             |

A process does nothing between two cycles, so it is killed in one. Its crash points, by the name a fault has, and what
the slot's next process finds (as the head of `host/node/cycle.py` has it for a live one):

| killed at | after                                  | the next process finds                                          |
|---------|--------------------------------------|-----------------------------------------------------------------|
| run       | some transitions                       | the mail in its lanes; the page names the message in flight     |
| commit    | all transitions                        | the mail in its lanes                                           |
| append    | a part of the batch is in the log      | the same; the torn end of the log is cut                        |
| sync      | the batch is in the log, not synced    | the turns; mail that comes again is dropped by marks            |
| heads     | the batch is synced, where promised    | the same                                                        |
| born      | heads moved                            | the turns, its children and outputs, which leave again; volatile|
|           |                                        | engines lose the mail that they took                            |
| publish   | outputs are in open frames             | the same: an open frame is the process's own memory             |
| show      | outputs are published                  | outputs not acknowledged leave again and are dropped by marks   |

A process may be killed in its start as well: once its log has a segment for it, or its engines are revived. The next
one does the same again. A loss of power kills all processes at once, empties the lanes, and cuts each log anywhere
behind what was synced.

The awkward case is chance. A fault that is left out must not change which others happen, or no failure could be shrunk.
So each place of use (a lane, a slot) draws from a stream of its own, once for each occasion, whether or not a fault
comes of it; and what a fault does in detail is drawn from a stream named after it.

Ideas: FoundationDB's simulation (Zhou et al., SIGMOD 2021) and TigerBeetle's VOPR (the production code between
simulated ends; a stream of chance for each component), AnySystem (scripts for people), etcd's raft (text in, trace
out).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from host.sim.world import World

__all__ = ["World"]


def __getattr__(name: str) -> Any:
    if name != "World":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from host.sim.world import World

    return World
