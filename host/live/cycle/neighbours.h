/* Mail between engines of this slot in a cycle in C, as host/node/neighbours.py has it: a message goes into its mailbox
 * when the outputs leave, and the next cycle runs it.
 *
 * It waits where Python would have put it: in a batch of the mailbox, with the engine in the scheduler's queue. So
 * Python may go on after any cycle, and whatever C does not take is Python's: a first message to a neighbour, one of a
 * type that the mailbox does not take, a mailbox that is to say stop, an engine that may not run, a slot with a journal.
 */
#ifndef ENGINEHOST_NEIGHBOURS_H
#define ENGINEHOST_NEIGHBOURS_H

#include "cycle.h"

/* The value of a dictionary under (name, mailbox): borrowed, or NULL, maybe with an exception. */
static PyObject *of_pair(PyObject *dictionary, PyObject *name, PyObject *mailbox)
{
    PyObject *key = PyTuple_Pack(2, name, mailbox);
    PyObject *found = key == NULL ? NULL : PyDict_GetItemWithError(dictionary, key);
    Py_XDECREF(key);
    return found;
}

/* Whether an engine may get a trigger (`Cell.is_runnable`, not ended). */
static int may_run(PyObject *cell)
{
    return get(cell, Cell_is_ended) == Py_False && get(cell, Cell_suspension) == Py_None &&
           get(cell, Cell_notify) == Py_None && PyDict_GET_SIZE(get(cell, Cell_held)) == 0;
}

/* Calls a method of a deque. 0, or -1 with an exception. */
static int deque_do(PyObject *deque, PyObject *method, PyObject *item)
{
    PyObject *done = PyObject_CallMethodObjArgs(deque, method, item, NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* The mailbox of `here` that takes this message now, with room to spare. Borrowed; NULL, maybe with an exception. */
static PyObject *open_inbox(PyObject *here, PyObject *way, PyObject *mailbox, PyObject *message)
{
    PyObject *inbox = get(way, Way_inbox);
    if (inbox == Py_None || PyDict_GetItemWithError(get(here, Cell_inboxes), mailbox) != inbox ||
        number_in(inbox, Inbox_depth) + 1 >= number_in(inbox, Inbox_stop_at))
        return NULL;
    PyObject *types = get(get(inbox, Inbox_box), Box_accepts_types);
    return PySet_Contains(types, (PyObject *)Py_TYPE(message)) == 1 ? inbox : NULL;
}

/* Whether the last batch of a mailbox goes on with this message. */
static int goes_on(PyObject *batch, PyObject *sender, PyObject *n)
{
    PyObject *payloads = get(batch, Batch_payloads);
    return get(batch, Batch_sender) == sender && get(batch, Batch_is_encoded) == Py_False &&
           number_in(batch, Batch_first_n) + (unsigned long long)PyList_GET_SIZE(payloads) ==
               PyLong_AsUnsignedLongLong(n);
}

/* A batch with this message, as `Arrivals.deliver_here` numbers it. NULL with an exception. */
static PyObject *new_batch(Cycle *self, PyObject *sender, PyObject *n, PyObject *message)
{
    PyObject *arrival = PyLong_FromUnsignedLongLong(number_in(self->arrivals, Arrivals_count) + 1);
    PyObject *payloads = arrival == NULL ? NULL : PyList_New(1), *batch = NULL;
    if (payloads != NULL) {
        PyList_SET_ITEM(payloads, 0, Py_NewRef(message));
        put(self->arrivals, Arrivals_count, Py_NewRef(arrival));
        PyObject *fields[] = {arrival, sender, self->epoch, n, payloads, Py_False};
        batch = PyObject_Vectorcall((PyObject *)Batch, fields, 6, NULL);
    }
    Py_XDECREF(arrival);
    Py_XDECREF(payloads);
    return batch;
}

/* The batches of a mailbox, for appending: an empty one gets a deque of its own. Borrowed; NULL with an exception. */
static PyObject *filling(Cycle *self, PyObject *inbox)
{
    PyObject *batches = get(inbox, Inbox_batches);
    if (batches != self->nothing)
        return batches;
    batches = self->spare != NULL ? self->spare : PyObject_CallNoArgs((PyObject *)Py_TYPE(self->nothing));
    self->spare = NULL;
    if (batches != NULL)
        put(inbox, Inbox_batches, batches);
    return batches;
}

/* Puts a message with number `n` into the mailbox, as `Inbox.add_message`. 0, or -1 with an exception. */
static int put_in(Cycle *self, PyObject *inbox, PyObject *sender, PyObject *n, PyObject *message)
{
    PyObject *batches = filling(self, inbox);
    if (batches == NULL)
        return -1;
    PyObject *last = number_in(inbox, Inbox_depth) == 0 ? NULL : PySequence_GetItem(batches, -1);
    int is_put;
    if (last != NULL && goes_on(last, sender, n))
        is_put = PyList_Append(get(last, Batch_payloads), message) == 0;
    else {
        PyObject *batch = PyErr_Occurred() ? NULL : new_batch(self, sender, n, message);
        is_put = batch != NULL && deque_do(batches, str_append, batch) == 0;
        Py_XDECREF(batch);
    }
    Py_XDECREF(last);
    return is_put ? add_number(inbox, Inbox_depth, 1) : -1;
}

/* Takes `count` messages of the first batch out of the mailbox, as `Inbox.advance`. 0, or -1 with an exception. */
static int take_out(Cycle *self, PyObject *inbox, PyObject *batch, uint32_t count)
{
    PyObject *batches = get(inbox, Inbox_batches);
    unsigned long long depth = number_in(inbox, Inbox_depth) - count;
    unsigned long long position = number_in(batch, Batch_position) + count;
    if (put_number(inbox, Inbox_depth, depth) < 0 || put_number(batch, Batch_position, position) < 0)
        return -1;
    if (position < (unsigned long long)PyList_GET_SIZE(get(batch, Batch_payloads)))
        return 0;
    if (deque_do(batches, str_popleft, NULL) < 0)
        return -1;
    if (depth > 0)
        return 0;
    if (self->spare == NULL)
        self->spare = Py_NewRef(batches);
    put(inbox, Inbox_batches, Py_NewRef(self->nothing));
    return 0;
}

/* Lets an engine with mail take its turn behind all others, or before them. 0, or -1 with an exception. */
static int queue(Cycle *self, PyObject *cell, int is_first)
{
    put(cell, Cell_is_queued, Py_NewRef(Py_True));
    return deque_do(self->ready, is_first ? str_appendleft : str_append, cell);
}

/* Sends an output to an engine in this slot. DONE, HAND_OVER if Python must send it, or FAILED. */
static int send_here(Cycle *self, const struct pending *at, PyObject *here)
{
    PyObject *cell = at->cell, *mailbox = at->output.mailbox ? at->output.mailbox : zero;
    if (self->ledger.commit != NULL || PyDict_GET_SIZE(get(cell, Cell_held)) != 0 || !may_run(here) ||
        get(here, Cell_is_stopping) != Py_False)
        return HAND_OVER;
    PyObject *way = of_pair(get(cell, Cell_ways), at->output.target, mailbox);
    PyObject *inbox = way == NULL ? NULL : open_inbox(here, way, mailbox, at->output.message);
    struct known *known = inbox == NULL ? NULL : know(self, here);
    if (known == NULL)
        return hand_over();
    if (put_in(self, inbox, get(cell, Cell_name), get(way, Way_next_n), at->output.message) < 0 ||
        add_number(way, Way_next_n, 1) < 0)
        return FAILED;
    known->received++;
    self->received++;
    touch(self, known);
    return get(here, Cell_is_queued) == Py_True || queue(self, here, 0) == 0 ? DONE : FAILED;
}

#endif
