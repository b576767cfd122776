"""The journal, pure: what a log says, byte by byte, and what a node is that has read it. No files here.

A log belongs to a slot. Its writer, the slot's worker, does in this order, for each batch of triggers:

    1 append    frames of journaled receivers and a TURN a transition, in one write (`Batch`)
    2 heads     move past what was appended; from here on the log is the only place where that mail is
    3 sync      when a durable engine took part
    4 release   outputs leave; answers are acknowledged

States of an engine's stream (`Stream`): *running* (an environment), *asked* (stands at a choice, is its cause and the
answers so far), *ended* (a tombstone). Owners: the worker writes, a recovery reads before there is a worker, commands
read a copy or a log nobody writes.

Crash points, and what a reader finds:

    within 1       a torn batch, cut; the mail is still in its lane and comes again
    1 to 2         the mail is in the log and comes again from its lane: a repeat by its mark, dropped
    2 to 3         the mail is in the log; if power is lost too, it is not, and its sender sends it again: nothing that
                   was derived from it had left
    3 to 4         outputs are recomputed and sent; their receivers drop what they have
    in a snapshot  a temporary file that nobody reads; or one that fails its verification: the older one is used

Ids. A message is (sender, epoch, n), counted per sender, target and mailbox at commit, so that replay counts alike
(`numbering`). A receiver's marks are made by the frames in its log, so they are part of what it committed (`marks`).

Layouts stand in `layout`, the meaning of records in `records`, what is torn and what damaged in `scan`.
"""
