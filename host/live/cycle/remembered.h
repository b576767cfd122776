/* What the cycle in C keeps of volatile engines for a rehearsal: host/node/trigger_ring.py.
 *
 * A frame whose messages were handled here is copied once, with the times of its turns, into the ring's list. An engine
 * begins in Python, before its first frame in a half of the ring; the number of the half says when.
 */
#ifndef ENGINEHOST_REMEMBERED_H
#define ENGINEHOST_REMEMBERED_H

#include "cycle.h"

#define RING_MESSAGE_BYTES_MAX (16u << 10) /* host.node.trigger_ring.MESSAGE_BYTES_MAX */
#define RING_ENTRY_BYTES 128u              /* host.node.trigger_ring.ENTRY_BYTES */

/* Lets the ring turn over. 0, or -1 with an exception. */
static int ring_turn_over(PyObject *ring)
{
    PyObject *done = PyObject_CallMethodNoArgs(ring, str_turn_over);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* The bytes that are left in the buffer for this half. */
static size_t ring_room(PyObject *ring)
{
    return (size_t)(number_in(ring, TriggerRing_end) - number_in(ring, TriggerRing_position));
}

/* Looks whether the frames of an engine are kept, before its next one, for which there is room then. 0, or -1 with an
 * exception. */
static int ring_begin(Cycle *self, struct known *known, PyObject *cell, const struct lane_frame *frame)
{
    if ((size_t)(frame->end - frame->start) > ring_room(self->ring) && ring_turn_over(self->ring) < 0)
        return -1;
    unsigned long long generation = number_in(self->ring, TriggerRing_generation);
    if (known->generation == generation)
        return 0;
    PyObject *kept = PyObject_CallMethodObjArgs(self->ring, str_begin, cell, get(cell, Cell_env), NULL);
    known->generation = generation;
    known->is_remembered = kept == Py_True;
    Py_XDECREF(kept);
    return kept == NULL ? -1 : 0;
}

/* Adds an entry whose bytes are in the buffer; the ring turns over when its half is full. 0, or -1 with an exception. */
static int ring_add(Cycle *self, PyObject *target, size_t bytes, uint32_t taken)
{
    PyObject *ring = self->ring, *entries = get(ring, TriggerRing_entries);
    const int64_t *times = self->times;
    PyObject *when = times[0] == times[taken - 1]
                         ? PyLong_FromLongLong(times[0])
                         : PyBytes_FromStringAndSize((const char *)times, (Py_ssize_t)(taken * sizeof *times));
    int is_added = when != NULL && PyList_Append(entries, target) == 0 &&
                   PyList_Append(entries, get(ring, TriggerRing_position)) == 0 && PyList_Append(entries, when) == 0;
    Py_XDECREF(when);
    if (!is_added || add_number(ring, TriggerRing_position, bytes) < 0 ||
        add_number(ring, TriggerRing_count, taken) < 0 || add_number(ring, TriggerRing_bytes, bytes + RING_ENTRY_BYTES) < 0)
        return -1;
    if (number_in(ring, TriggerRing_count) < number_in(ring, TriggerRing_count_max) &&
        number_in(ring, TriggerRing_bytes) < number_in(ring, TriggerRing_bytes_max))
        return 0;
    return ring_turn_over(ring);
}

/* Keeps a frame whose first `taken` messages were handled. 0, or -1 with an exception. */
static int ring_frame(Cycle *self, const struct lane_frame *frame, uint32_t taken)
{
    size_t bytes = (size_t)(frame->cursor - frame->start);
    if (bytes > (size_t)taken * RING_MESSAGE_BYTES_MAX || bytes > ring_room(self->ring)) {
        PyObject *done = PyObject_CallMethodOneArg(self->ring, str_silence, frame->target);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    self->api->copy_front(frame, taken, (uint8_t *)self->ring_view.buf + number_in(self->ring, TriggerRing_position));
    return ring_add(self, frame->target, bytes, taken);
}

#endif
