/* What the cycle in C keeps of volatile engines for a rehearsal: host/node/trigger_ring.py, which has the layout.
 *
 * A frame whose messages were handled here is copied once, with the times of its turns, into the ring's buffer, and a
 * neighbour's message is encoded. An engine begins in Python, before its first message in a half of the ring; the
 * generation of the ring says when.
 */
#ifndef ENGINEHOST_REMEMBERED_H
#define ENGINEHOST_REMEMBERED_H

#include "cycle.h"

#define RING_MESSAGE_BYTES_MAX (16u << 10) /* host.node.trigger_ring.MESSAGE_BYTES_MAX */
#define RING_ALIGNED 8u
#define RING_NEIGHBOUR UINT32_MAX /* host.node.trigger_ring.NEIGHBOUR */

/* Words of the head, host.node.trigger_ring. */
enum { RING_POSITION, RING_END, RING_COUNT_LEFT, RING_BYTES_LEFT, RING_GENERATION };

struct ring_record {
    int64_t when;
    uint32_t number, times; /* RING_NEIGHBOUR instead of a count: `ring_mail` follows */
};

/* A neighbour's message; its name and the message follow. */
struct ring_mail {
    uint32_t mailbox, name_bytes, message_bytes, filling;
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

/* The bytes of a record with so many behind its head, filled up. */
static size_t ring_bytes(size_t behind)
{
    return (sizeof(struct ring_record) + behind + RING_ALIGNED - 1) & ~(size_t)(RING_ALIGNED - 1);
}

/* Lets the ring turn over. 0, or -1 with an exception. */
static int ring_turn_over(Cycle *self)
{
    PyObject *done = PyObject_CallMethodNoArgs(self->ring, str_turn_over);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Looks whether the messages of an engine are kept, before the next ones, whose record takes at most `bytes`; there is
 * room for it then, if a half may ever have it. 0, or -1 with an exception. */
static int ring_begin(Cycle *self, struct known *known, PyObject *cell, size_t bytes)
{
    if (bytes > ring_room(self) && bytes <= (size_t)self->ring_view.len / 2 && ring_turn_over(self) < 0)
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

static int ring_silence(Cycle *self, PyObject *name)
{
    PyObject *done = PyObject_CallMethodOneArg(self->ring, str_silence, name);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Writes the head of the next record; where the rest goes. */
static uint8_t *ring_write(Cycle *self, int64_t when, const struct known *known, uint32_t times)
{
    struct ring_record record = {when, (uint32_t)known->number, times};
    uint8_t *into = (uint8_t *)self->ring_view.buf + ring_head(self)[RING_POSITION];
    memcpy(into, &record, sizeof record);
    return into + sizeof record;
}

/* Counts a record that was written. 0, or -1 with an exception. */
static int ring_count(Cycle *self, size_t bytes, uint32_t triggers)
{
    int64_t *head = ring_head(self);
    head[RING_POSITION] += (int64_t)bytes;
    head[RING_COUNT_LEFT] -= triggers;
    head[RING_BYTES_LEFT] -= (int64_t)bytes;
    return head[RING_COUNT_LEFT] > 0 && head[RING_BYTES_LEFT] > 0 ? 0 : ring_turn_over(self);
}

/* The most bytes that a frame's record takes. */
static size_t ring_frame_bytes_max(const struct lane_frame *frame)
{
    return ring_bytes((size_t)(frame->end - frame->start) + frame->count * sizeof(int64_t));
}

/* Keeps a frame whose first `taken` messages were handled. 0, or -1 with an exception. */
static int ring_frame(Cycle *self, const struct known *known, const struct lane_frame *frame, uint32_t taken)
{
    size_t frame_bytes = (size_t)(frame->cursor - frame->start);
    uint32_t times = self->times[0] == self->times[taken - 1] ? 0 : taken;
    size_t times_bytes = times * sizeof *self->times, bytes = ring_bytes(times_bytes + frame_bytes);
    if (frame_bytes > (size_t)taken * RING_MESSAGE_BYTES_MAX || bytes > ring_room(self))
        return ring_silence(self, frame->target);
    uint8_t *into = ring_write(self, self->times[0], known, times);
    memcpy(into, self->times, times_bytes);
    self->api->copy_front(frame, taken, into + times_bytes);
    return ring_count(self, bytes, taken);
}

/* The bytes of a neighbour's message and its name. */
static size_t ring_mail_bytes(Py_ssize_t name, PyObject *encoded)
{
    return ring_bytes(sizeof(struct ring_mail) + (size_t)name + (size_t)PyBytes_GET_SIZE(encoded));
}

/* Keeps a message of a neighbour that is handled now. 0, or -1 with an exception. */
static int ring_mail(Cycle *self, const struct known *known, const struct lane_frame *mail, PyObject *encoded)
{
    Py_ssize_t name_bytes = 0, message_bytes = PyBytes_GET_SIZE(encoded);
    const char *name = PyUnicode_AsUTF8AndSize(mail->sender, &name_bytes);
    if (name == NULL)
        return -1;
    size_t bytes = ring_mail_bytes(name_bytes, encoded);
    if (bytes > ring_room(self))
        return ring_silence(self, mail->target);
    struct ring_mail head = {mail->mailbox, (uint32_t)name_bytes, (uint32_t)message_bytes, 0};
    uint8_t *into = ring_write(self, self->now_ns, known, RING_NEIGHBOUR);
    memcpy(into, &head, sizeof head);
    memcpy(into + sizeof head, name, (size_t)name_bytes);
    memcpy(into + sizeof head + name_bytes, PyBytes_AS_STRING(encoded), (size_t)message_bytes);
    return ring_count(self, bytes, 1);
}

#endif
