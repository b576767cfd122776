/* The outputs of a cycle in C: kept in order while transitions run, then sent; from the first uncommon one on,
 * Python's.
 *
 * They are the entries that `Turns.outputs` would hold. An output is Python's if its stream is new, its target has sent
 * stop, or there is no room; then so are all that follow, since order is a promise. To a neighbour: neighbours.h.
 */
#ifndef ENGINEHOST_CYCLE_OUTPUTS_H
#define ENGINEHOST_CYCLE_OUTPUTS_H

#include "neighbours.h"

static int pending_reserve(Cycle *self, size_t more)
{
    if (self->pending_count + more <= self->pending_room)
        return 0;
    size_t room = self->pending_room * 2 + more;
    struct pending *grown = PyMem_Realloc(self->pending, room * sizeof *grown);
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->pending = grown;
    self->pending_room = room;
    return 0;
}

static void pending_drop(struct pending *pending)
{
    Py_DECREF(pending->cell);
    Py_DECREF(pending->output.target);
    Py_XDECREF(pending->output.mailbox);
    Py_DECREF(pending->output.message);
    numbered_clear(&pending->numbered);
}

/* An output in the form that Python keeps; that of a journaled engine has its number. NULL with an exception. */
static PyObject *pending_message(const struct pending *pending)
{
    const struct numbered *numbered = &pending->numbered;
    if (numbered->kept == NULL)
        return Py_NewRef(pending->output.message);
    return PyObject_CallFunction(Numbered, "KOn", (unsigned long long)numbered->n, pending->output.message,
                                 PyBytes_GET_SIZE(numbered->payload));
}

/* Gives the outputs from `first` on to Python, in order, as `turns.outputs`. 0, or -1 with an exception. */
static int pending_spill(Cycle *self, size_t first)
{
    PyObject *outputs = PyObject_GetAttr(self->turns, str_outputs);
    int failed = outputs == NULL || !PyList_Check(outputs) ? -1 : 0;
    for (size_t i = first; failed == 0 && i < self->pending_count; i++) {
        struct pending *at = &self->pending[i];
        PyObject *message = pending_message(at);
        PyObject *entry = message == NULL ? NULL
                                          : PyObject_CallFunction((PyObject *)Outgoing, "OOO", at->output.target,
                                                                  at->output.mailbox ? at->output.mailbox : zero,
                                                                  message);
        Py_XDECREF(message);
        PyObject *pair = entry == NULL ? NULL : Py_BuildValue("(O(N))", at->cell, entry);
        failed = pair == NULL ? -1 : PyList_Append(outputs, pair);
        Py_XDECREF(pair);
    }
    Py_XDECREF(outputs);
    for (size_t i = first; i < self->pending_count; i++)
        pending_drop(&self->pending[i]);
    self->pending_count = 0;
    return failed;
}

/* The outlet of a stream to another slot, if it may be used now; NULL if Python has to decide. Borrowed. */
static PyObject *ready_outlet(Cycle *self, const struct pending *at)
{
    PyObject *cell = at->cell, *target = at->output.target;
    if (PyDict_GET_SIZE(get(cell, Cell_held)) != 0 ||
        (PyDict_GET_SIZE(self->stops) != 0 && PyDict_Contains(self->stops, target) != 0))
        return NULL;
    PyObject *mailbox = at->output.mailbox ? at->output.mailbox : zero;
    PyObject *way = of_pair(get(cell, Cell_ways), target, mailbox);
    PyObject *outlet = way == NULL ? NULL : get(way, Way_outlet);
    return outlet != NULL && Py_IS_TYPE(outlet, self->api->outlet) ? outlet : NULL;
}

/* Whether this output is the last of its stream in a row. */
static int ends_stream(const Cycle *self, size_t i)
{
    const struct pending *at = &self->pending[i], *next = at + 1;
    return i + 1 == self->pending_count || next->cell != at->cell || next->output.target != at->output.target ||
           next->output.mailbox != at->output.mailbox;
}

/* Reports to the ledger that the outputs of a journaled stream left, up to this one. 0, or -1 with an exception. */
static int say_left(Cycle *self, const struct pending *at)
{
    if (at->numbered.kept == NULL)
        return 0;
    PyObject *way = PyDict_GetItemWithError(get(at->cell, Cell_ways), at->numbered.way);
    PyObject *n = way == NULL ? NULL : PyLong_FromUnsignedLongLong(at->numbered.n);
    PyObject *said = n == NULL ? NULL
                               : PyObject_CallFunctionObjArgs(self->ledger.left, at->numbered.kept, at->numbered.way,
                                                              get(way, Way_peer), n, NULL);
    Py_XDECREF(n);
    Py_XDECREF(said);
    return said == NULL ? -1 : 0;
}

/* Sends one output. `*outlet` is that of the last one, if this one is of the same stream, else NULL; it is set. DONE,
 * HAND_OVER if Python must send it, or FAILED. */
static int send_one(Cycle *self, const struct pending *at, PyObject **outlet)
{
    if (*outlet == NULL) {
        PyObject *here = PyDict_GetItemWithError(self->cells, at->output.target);
        if (here != NULL)
            return send_here(self, at, here);
        *outlet = PyErr_Occurred() ? NULL : ready_outlet(self, at);
        if (*outlet == NULL)
            return hand_over();
    }
    if (at->numbered.kept != NULL && self->api->next_n(*outlet) != at->numbered.n)
        return HAND_OVER;
    PyObject *payload = at->numbered.kept != NULL ? Py_NewRef(at->numbered.payload)
                                                  : PyObject_CallOneArg(self->encode, at->output.message);
    if (payload == NULL)
        return hand_over();
    int sent = self->api->send(*outlet, payload);
    Py_DECREF(payload);
    return sent == 1 ? DONE : hand_over();
}

/* Sends the pending outputs, as `Outbox.release`. DONE, HAND_OVER if some are Python's now, or FAILED. */
static int send_pending(Cycle *self)
{
    size_t i = 0;
    int verdict = DONE;
    PyObject *outlet = NULL;
    for (; i < self->pending_count && (verdict = send_one(self, &self->pending[i], &outlet)) == DONE; i++) {
        struct known *known = know(self, self->pending[i].cell);
        if (known == NULL)
            return FAILED;
        if (ends_stream(self, i)) {
            outlet = NULL;
            if (say_left(self, &self->pending[i]) < 0)
                return FAILED;
        }
        known->sent++;
        self->sent++;
        self->unsent -= self->pending[i].numbered.kept == NULL;
        touch(self, known);
    }
    if (verdict == HAND_OVER && i > 0 && !ends_stream(self, i - 1) && say_left(self, &self->pending[i - 1]) < 0)
        verdict = FAILED;
    if (verdict == HAND_OVER && pending_spill(self, i) < 0)
        verdict = FAILED;
    size_t left = verdict == HAND_OVER ? i : self->pending_count;
    for (size_t j = 0; j < left; j++)
        pending_drop(&self->pending[j]);
    self->pending_count = 0;
    return verdict;
}

#endif
