"""The journal's files: who writes them, who reads them, in which order things reach the disk.

A data folder holds, for each slot that has journaled engines, a folder `journal/<slot's name>`:

    00000012.log     segments in force, the last one written to
    00000007.arc     segments of history, kept until `journal.retain`
    0000004096.snap  snapshots by the position they were taken at, two in force
    *.new            under construction; removed by the next writer

One writer: the data folder is locked by the supervisor (`runtime_dir.lock_data`), the slot belongs to one worker.
Readers need no lock: a batch that is being written looks torn to them. Commands that change a log take the lock of the
data folder.

What every step leaves behind if the process, the machine or the disk stops in it:

    a new segment   a temporary file, or a whole head that is on the disk (crash mode: or less, which is torn)
    append          a torn batch
    sync            nothing; if it fails nobody acknowledges anything any more, the writer has stopped (`Stopped`)
    a snapshot      a temporary file; a snapshot that fails verification and is not used
    archiving       some files renamed; the next snapshot's plan does the rest

`folder` is the seam to files: `disk` for real ones; tests have one that simulates a loss of power.
"""
