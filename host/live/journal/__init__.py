"""The journal's files: their writers and readers, and the order in which data reaches the disk.

A data folder holds, for each slot that has journaled engines, a folder `journal/<slot's name>`:

    00000012.log     segments in force, the last one written to
    00000007.arc     segments of history, kept until `journal.retain`
    0000004096.snap  snapshots by the position they were taken at, two in force
    *.new            under construction; removed by the next writer

One writer: the data folder is locked by the supervisor (`runtime_dir.lock_data`), the slot belongs to one worker.
Readers need no lock: they see a batch being written as torn. Commands that change a log take the lock of the data
folder.

Crash points: what each step leaves behind if the process, the machine or the disk stops in it:

    a new segment   a temporary file, or a whole head that is on the disk (crash mode: or less, which is torn)
    append          a torn batch
    sync            nothing; if it fails nothing is acknowledged any more, the writer has stopped (`LogStopped`)
    a snapshot      a temporary file; a snapshot that fails verification and is not used
    archiving       some files renamed; the next snapshot's plan does the rest

A worker's loop, with the order that each call depends on:

    found = recover(log_folder(data, slot), node, load, boot_id())    before any lane is drained; changes nothing
    clock = engine_clock(offset, found.clock_ns)                      time never goes back
    journal = begin(folder, found, boot_id(), clock, durable=…)       engines have the epochs of this life
    for each stream: `go_on`; send `unacked` again with its numbers; spawn `children` again

    journal.record(name, kept.image("birth", now_ns))                 before the first mail of an engine
    journal.frame(name, raw)                                          drained, before its first turn; also a neighbour's
    journal.turn(…) or run(…)                                         each transition, and each skipped message
    journal.record(name, Answered | Asked | Resumed | DueTurn | …)    an answer, and the turn that used it, in one batch
    if tending.is_resting: tending.stir()                             something is about to be appended
    journal.append()                                                  then, and only then, heads move
    if journal.batch.is_full: journal.append()                        between two frames, when large messages came
    if journal.is_durable: journal.sync()                             once a cycle; then, and only then, outputs leave
    journal.record(name, Acked(target, mailbox, next_n))              some time after a receiver sent stable
    snapshots = Snapshots(folder, journal, clock, retain_bytes, retain_ns, found.turns)
    if snapshots.is_due: snapshots.start(state); snapshots.poll()     between two batches
    tending.tend()                                                    between two cycles, once `tending.alarm` rang
    tending.finish(); journal.close()                                 a normal exit
    journal.stop("handed over")                                       the exit in a reload: `host.live.worker.handover`

Any of them may raise `LogStopped`: nothing of this cycle is acknowledged; the process reports that and exits. If the
log itself is gone (`journal.is_gone`), the process first writes its state to a new one (`rescue`).

`folder` is the seam to files: `DiskFolder` for real ones; tests have one that simulates a loss of power.
"""
