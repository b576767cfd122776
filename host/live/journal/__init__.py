"""The journal's files: their writers and readers, and the order in which data reaches the disk.

A data folder holds, for each slot that has journaled engines, a folder `journal/<slot's name>`:

    00000012.log     segments in force, the last one written to
    00000007.arc     segments of history, kept until `journal.retain`
    54708e743543.code  the source of a version that ran turns in them
    0000004096.snap  snapshots by the position they were taken at, two in force
    *.new            under construction; removed by the next writer

and beside it `.newest-<slot's name>.json`, the number of its newest segment (`newest`).

One writer: the data folder is locked by the supervisor (`runtime_dir.lock_data`), the slot belongs to one worker.
Readers need no lock: they see a batch being written as torn. Commands that change a log take the lock of the data
folder.

Crash points: what each step leaves behind if the process, the machine or the disk stops in it:

    a new segment   a temporary file, or a whole head that is on the disk (crash mode: or less, which is torn)
    append          a torn batch
    sync            nothing; if it fails nothing is acknowledged any more, the writer has stopped (`LogStopped`)
    a snapshot      a temporary file; a snapshot that fails verification and is not used
    archiving       some files renamed; the next snapshot's plan does the rest

A worker opens its log in `host.live.worker.own_log`, before any lane is drained. What a cycle writes, and when, is
defined in `host.node.cycle` and performed by `host.live.worker.journaled`. A write may raise `LogStopped`: nothing of
that cycle is acknowledged, and the process reports it and exits. If the log itself is gone (`journal.is_gone`), the
process first writes its state to a new one (`rescue`).

`Folder` is the seam to files. Tests have one that simulates a loss of power; one list of tests holds for both.
"""
