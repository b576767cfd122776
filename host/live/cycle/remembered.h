/* What the cycle in C keeps of volatile engines for a rehearsal: host/node/trigger_ring.py, which has the layout.
 *
 * A frame whose messages were handled here is copied once, with the times of its turns, into the ring's buffer. An
 * engine begins in Python, before its first frame in a half of the ring; the generation of the ring says when.
 */
#ifndef ENGINEHOST_REMEMBERED_H
#define ENGINEHOST_REMEMBERED_H

#include "cycle.h"

#define RING_MESSAGE_BYTES_MAX (16u << 10) /* host.node.trigger_ring.MESSAGE_BYTES_MAX */
#define RING_ALIGNED 8u

/* Words of the head, host.node.trigger_ring. */
enum { RING_POSITION, RING_END, RING_COUNT_LEFT, RING_BYTES_LEFT, RING_GENERATION };

struct ring_record {
    int64_t when;
    uint32_t number, times;
};

static int64_t *ring_head(Cycle *self)
{
    return self->ring_view.buf;
}

/* The bytes that are left in the buffer for this half. */
static size_t ring_room(Cycle *self)
{
    const int64_t *head = ring_head(self);
    return (size_t)(head[RING_END] - head[RING_POSITION]);
}

/* The bytes of a record, filled up. */
static size_t ring_bytes(size_t frame, uint32_t times)
{
    size_t bytes = sizeof(struct ring_record) + times * sizeof(int64_t) + frame;
    return (bytes + RING_ALIGNED - 1) & ~(size_t)(RING_ALIGNED - 1);
}

/* Lets the ring turn over. 0, or -1 with an exception. */
static int ring_turn_over(Cycle *self)
{
    PyObject *done = PyObject_CallMethodNoArgs(self->ring, str_turn_over);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Looks whether the frames of an engine are kept, before its next one, for which there is room then. 0, or -1 with an
 * exception. */
static int ring_begin(Cycle *self, struct known *known, PyObject *cell, const struct lane_frame *frame)
{
    if (ring_bytes((size_t)(frame->end - frame->start), frame->count) > ring_room(self) && ring_turn_over(self) < 0)
        return -1;
    int64_t generation = ring_head(self)[RING_GENERATION];
    if (known->generation == generation)
        return 0;
    PyObject *number = PyObject_CallMethodObjArgs(self->ring, str_begin, cell, get(cell, Cell_env), NULL);
    known->generation = generation;
    known->number = number == NULL ? -1 : PyLong_AsLong(number);
    Py_XDECREF(number);
    return PyErr_Occurred() ? -1 : 0;
}

/* Keeps a frame whose first `taken` messages were handled. 0, or -1 with an exception. */
static int ring_frame(Cycle *self, const struct known *known, const struct lane_frame *frame, uint32_t taken)
{
    const int64_t *times = self->times;
    int64_t *head = ring_head(self);
    size_t frame_bytes = (size_t)(frame->cursor - frame->start);
    struct ring_record record = {times[0], (uint32_t)known->number, times[0] == times[taken - 1] ? 0 : taken};
    size_t bytes = ring_bytes(frame_bytes, record.times);
    if (frame_bytes > (size_t)taken * RING_MESSAGE_BYTES_MAX || bytes > ring_room(self)) {
        PyObject *done = PyObject_CallMethodOneArg(self->ring, str_silence, frame->target);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    uint8_t *into = (uint8_t *)self->ring_view.buf + head[RING_POSITION];
    memcpy(into, &record, sizeof record);
    memcpy(into + sizeof record, times, record.times * sizeof *times);
    self->api->copy_front(frame, taken, into + sizeof record + record.times * sizeof *times);
    head[RING_POSITION] += (int64_t)bytes;
    head[RING_COUNT_LEFT] -= taken;
    head[RING_BYTES_LEFT] -= (int64_t)bytes;
    return head[RING_COUNT_LEFT] > 0 && head[RING_BYTES_LEFT] > 0 ? 0 : ring_turn_over(self);
}

#endif
