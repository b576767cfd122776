/* Numbers that the cycle in C and the one in Python share, compared at import.
 *
 * A number that differs, or is gone, is an ImportError that names it.
 */
#ifndef ENGINEHOST_SHARED_NUMBERS_H
#define ENGINEHOST_SHARED_NUMBERS_H

#include "cycle.h"
#include "remembered.h"

/* module, name, value here */
#define SHARED_NUMBERS(X)                                                                                              \
    X("host.node.cycle", "CYCLE_MESSAGES_MAX", CYCLE_MESSAGES_MAX)                                                     \
    X("host.node.scheduler", "RUN_NS_MAX", RUN_NS_MAX)                                                                 \
    X("host.node.scheduler", "STRIDE_SLOW_NS", STRIDE_SLOW_NS)                                                         \
    X("host.node.cell", "STRIDE_MIN", STRIDE_MIN)                                                                      \
    X("host.node.cell", "STRIDE_MAX", STRIDE_MAX)                                                                      \
    X("host.node.cell", "NEVER", NEVER)                                                                           \
    X("host.node.trigger_ring", "MESSAGE_BYTES_MAX", RING_MESSAGE_BYTES_MAX)                                           \
    X("host.node.trigger_ring", "NEIGHBOUR", RING_NEIGHBOUR)                                                           \
    X("host.node.trigger_ring", "POSITION", RING_POSITION)                                                             \
    X("host.node.trigger_ring", "END", RING_END)                                                                       \
    X("host.node.trigger_ring", "COUNT_LEFT", RING_COUNT_LEFT)                                                         \
    X("host.node.trigger_ring", "BYTES_LEFT", RING_BYTES_LEFT)                                                         \
    X("host.node.trigger_ring", "GENERATION", RING_GENERATION)                                                         \
    X("transport.port", "FRAME_MESSAGES_MAX", LANE_FRAME_MESSAGES_MAX)                                                 \
    X("host.node.progress", "N", WORD_N)                                                                               \
    X("host.node.progress", "STARTED_NS", WORD_STARTED_NS)                                                             \
    X("host.node.progress", "HANDLED", WORD_HANDLED)                                                                   \
    X("host.node.progress", "RECEIVED", WORD_RECEIVED)                                                                 \
    X("host.node.progress", "SENT", WORD_SENT)                                                                         \
    X("host.node.progress", "PARKED", WORD_PARKED)                                                                     \
    X("host.node.progress", "MAILBOX", WORD_MAILBOX)                                                                   \
    X("host.node.progress", "EPOCH", WORD_EPOCH)                                                                       \
    X("host.live.control_page", "PAGE_BYTES", PAGE_BYTES)                                                              \
    X("host.live.control_page", "WORDS_AT", PAGE_WORDS_AT)                                                             \
    X("host.live.control_page", "LENGTHS_AT", PAGE_LENGTHS_AT)                                                         \
    X("host.live.control_page", "ENGINE_AT", PAGE_ENGINE_AT)                                                           \
    X("host.live.control_page", "SENDER_AT", PAGE_SENDER_AT)                                                           \
    X("host.live.control_page", "NAME_BYTES_MAX", PAGE_NAME_BYTES_MAX)                                                 \
    X("host.node.progress", "UNSENT", WORD_UNSENT)                                                                     \
    X("host.node.progress", "CYCLES", WORD_CYCLES)

/* 0, or -1 with an exception. */
static int compare_number(const char *module, const char *name, long long here)
{
    PyObject *found = named(module, name);
    long long there = found == NULL ? -1 : PyLong_AsLongLong(found);
    Py_XDECREF(found);
    if (PyErr_Occurred())
        return -1;
    if (there == here)
        return 0;
    PyErr_Format(PyExc_ImportError, "%s.%s is %lld, and %lld in C", module, name, there, here);
    return -1;
}

#define COMPARE(module, name, value)                                                                                   \
    if (compare_number(module, name, (long long)(value)) < 0)                                                          \
        return -1;

/* 0, or -1 with an exception. */
static int compare_numbers(void)
{
    SHARED_NUMBERS(COMPARE)
    return 0;
}
#undef COMPARE

#endif
