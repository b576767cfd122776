"""The journal, pure: the bytes of a log, and the state of the engines that they make. No files here.

A log belongs to a slot. Its writer, the slot's worker, does the following in order, for each batch of triggers:

    1 append    frames of journaled receivers and a TURN a transition, in one write (`Batch`)
    2 heads     move past what was appended; from here on that mail is in the log only
    3 sync      when a durable engine took part
    4 release   outputs leave; answers are acknowledged

A replayed engine is a `Cell`, run by the transitions of a live slot; its recorder compares where a journal writes
(`checking`). States of its stream (`Stream`): *running* (an environment), *asked* (it waits for a choice; its cause and
the answers so far are kept), *ended* (a tombstone). Owners: the worker writes, a recovery reads before there is a
worker, commands read a copy or a log that has no writer.

Crash points, and the reader's findings:

    within 1       a torn batch, cut; the mail is still in its lane and comes again
    1 to 2         the mail is in the log and comes again from its lane: a repeat by its mark, dropped
    2 to 3         the mail is in the log; if power is lost too, it is not, and its sender sends it again: nothing that
                   was derived from it had left
    3 to 4         outputs are recomputed and sent; their receivers drop those they have
    in a snapshot  a temporary file that is never read; or one that fails its verification: the older one is used

Ids. A message is (sender, epoch, n), counted per sender, target and mailbox at commit, so that a replay counts alike
(`numbering`). The frames in a receiver's log make its marks, so marks are part of what it committed (`marks`).

Layouts are defined in `layout`, the meaning of records in `records`, the verdicts torn and damaged in `scan`.
"""
