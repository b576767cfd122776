/* Mail that waits for engines here, in a cycle in C: as `Scheduler.run`, a stride for each engine in turn.
 *
 * Only mail of neighbours waits while C runs. A batch has no frame; its place is kept in one nevertheless, so that
 * cycle_frame.h runs both.
 */
#ifndef ENGINEHOST_WAITING_MAIL_H
#define ENGINEHOST_WAITING_MAIL_H

#include "cycle_frame.h"

/* Finds everything that the first batch in an engine's mailbox needs, and its place in it as a frame. DONE, HAND_OVER
 * or FAILED. */
static int run_waiting_begin(Cycle *self, struct run *run, PyObject *cell, struct lane_frame *frame)
{
    PyObject *inbox = get(cell, Cell_only_inbox);
    if (inbox == Py_None || !may_run(cell) || number_in(inbox, Inbox_depth) == 0)
        return HAND_OVER;
    int verdict = run_know(self, run, cell);
    if (verdict != DONE)
        return verdict;
    run->inbox = Py_NewRef(inbox);
    run->mailbox = Py_NewRef(get(inbox, Inbox_number));
    run->batch = PySequence_GetItem(get(inbox, Inbox_batches), 0);
    if (run->batch == NULL || run->known->kept != NULL || get(run->batch, Batch_is_encoded) != Py_False)
        return hand_over();
    unsigned long long position = number_in(run->batch, Batch_position);
    unsigned long long left = (unsigned long long)PyList_GET_SIZE(get(run->batch, Batch_payloads)) - position;
    unsigned long long stride = number_in(cell, Cell_stride);
    *frame = (struct lane_frame){.mailbox = (uint32_t)PyLong_AsUnsignedLong(run->mailbox),
                                 .count = (uint32_t)(left < stride ? left : stride),
                                 .epoch = number_in(run->batch, Batch_epoch),
                                 .first_n = number_in(run->batch, Batch_first_n) + position,
                                 .sender = get(run->batch, Batch_sender),
                                 .target = get(cell, Cell_name)};
    return run_set(self, run, frame);
}

/* The stride of a cell that took all of it, as `Scheduler._run_next`. 0, or -1 with an exception. */
static int set_stride(Cycle *self, PyObject *cell, uint32_t stride)
{
    int64_t began_ns = self->now_ns;
    if (read_clock(self) < 0)
        return -1;
    return put_number(cell, Cell_stride, next_stride(stride, self->now_ns - began_ns));
}

/* Gives the first engine in the queue a stride of its mail, and lets it queue again if more waits. Verdicts as of
 * `run_all`; HAND_OVER: it is still the first in the queue. Adds to `*taken`. */
static int run_first(Cycle *self, int *taken)
{
    struct run run = {0};
    struct lane_frame frame;
    PyObject *cell = PySequence_GetItem(self->ready, 0);
    int verdict = cell == NULL ? FAILED : run_waiting_begin(self, &run, cell, &frame);
    if (verdict == DONE) {
        uint32_t count = frame.count;
        put(cell, Cell_is_queued, Py_NewRef(Py_False));
        verdict = deque_do(self->ready, str_popleft, NULL) < 0 ? FAILED : run_all(self, &run, &frame);
        if (verdict == DONE && count == number_in(cell, Cell_stride) && set_stride(self, cell, count) < 0)
            verdict = FAILED;
        *taken += (int)(count - frame.count);
        if (verdict != FAILED && number_in(run.inbox, Inbox_depth) > 0 &&
            queue(self, cell, verdict == HAND_OVER) < 0)
            verdict = FAILED;
    }
    Py_XDECREF(cell);
    run_clear(&run);
    return verdict;
}

/* Runs the mail that waits for engines here. Verdicts as of `run_all`; DONE also when it took long. */
static int run_waiting(Cycle *self, int *taken)
{
    int verdict = DONE;
    while (verdict == DONE && *taken < CYCLE_MESSAGES_MAX && PyObject_Size(self->ready) > 0 &&
           (self->cycle_ns == 0 || self->now_ns - self->cycle_ns < RUN_NS_MAX))
        verdict = run_first(self, taken);
    return verdict;
}

#endif
