/* What `transport._lane` offers to the other extensions of this project, as the capsule `transport._lane.api`.
 *
 * The same promises as the methods of `LaneLink` (port.py), without a Python object for each frame: `begin` a drain,
 * `take` its frames one by one, and of each frame the payloads one by one, or what is left of it as a
 * `transport.port.Frame`. A frame is taken whole: its messages count as drained once it was handed out, and come again
 * only if the process dies before `release`. Pointers and borrowed references in a `lane_frame` hold until the next
 * `take`. All calls need the interpreter lock and the link's thread; `wait` gives the lock up while it yields or sleeps.
 */
#ifndef ENGINEHOST_LANE_API_H
#define ENGINEHOST_LANE_API_H

#include <Python.h>
#include <stdint.h>

#define LANE_API_NAME "transport._lane.api"

/* Instead of a kind: one message in a block, which only `rest` gives. */
#define LANE_FRAME_IN_BLOCK 255u
#define LANE_FRAME_MESSAGES_MAX 256u

struct lane_frame {
    unsigned peer;
    uint32_t kind, mailbox, count; /* `count` messages are left in it */
    uint64_t epoch, first_n;       /* `first_n` is the number of the next one left */
    PyObject *sender, *target;     /* borrowed */
    const uint8_t *start, *cursor, *end;
    unsigned first;  /* the drain's own: whose lane came first, */
    uint64_t lanes;  /* and whose are left */
};

struct lane_api {
    PyTypeObject *link, *outlet;
    /* 0, or -1 with Broken (also one found by the last drain) or Closed. */
    int (*begin)(PyObject *link, struct lane_frame *frame);
    /* 1: a frame; 0: no more; -1 with an exception. A lane found broken ends, and the next `begin` raises Broken. */
    int (*take)(PyObject *link, struct lane_frame *frame);
    /* The next payload of a frame that has one left, where it lies until the next `take`. 0, or -1 with an exception. */
    int (*payload)(PyObject *link, struct lane_frame *frame, const uint8_t **bytes, Py_ssize_t *size);
    /* What is left of a frame, as `transport.port.Frame`: a new reference, or NULL with an exception. */
    PyObject *(*rest)(PyObject *link, struct lane_frame *frame);
    /* The bytes of a frame with its first `count` messages, which are those up to the cursor. Its checksum and position
     * mean nothing. A new reference, or NULL with an exception. */
    PyObject *(*front)(const struct lane_frame *frame, uint32_t count);
    /* The same, into memory with room for the bytes from its start to the cursor. */
    void (*copy_front)(const struct lane_frame *frame, uint32_t count, uint8_t *into);
    /* 0, or -1 with an exception. */
    int (*release)(PyObject *link);
    int (*flush)(PyObject *link);
    /* As `Outlet.send`: 1 sent, 0 no room, -1 with an exception. */
    int (*send)(PyObject *outlet, PyObject *payload);
    /* The number the next message through an outlet gets. */
    uint64_t (*next_n)(PyObject *outlet);
    /* As `LaneLink.wait`; a negative time-out is none. 1: a watched descriptor is ready; 0; -1 with an exception. */
    int (*wait)(PyObject *link, int64_t timeout_ns);
};

#endif
