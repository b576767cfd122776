/* A cycle in C: its state between two calls, its clock, and its caches of engines.
 */
#ifndef ENGINEHOST_CYCLE_H
#define ENGINEHOST_CYCLE_H

#include <Python.h>
#include <time.h>

#include "../../../transport/lane_api.h"
#include "journaled.h"
#include "transition.h"
#include "window.h"

#define CYCLE_MESSAGES_MAX 2048
#define RUN_NS_MAX 5000000ll
#define STRIDE_SLOW_NS 1000000ll
#define STRIDE_MIN 1u
#define STRIDE_MAX 32u
#define KNOWN_CELLS 64u /* bits of `touched` */
#define REST_FRAMES 64u /* frames of an engine that go to Python after one that needed Python */
#define NS_PER_S 1000000000ll
#define NEVER INT64_MAX

/* Words of host.node.progress. */
enum { WORD_N, WORD_STARTED_NS, WORD_HANDLED, WORD_RECEIVED, WORD_SENT, WORD_PARKED, WORD_MAILBOX, WORD_EPOCH,
       WORD_UNSENT = 9, WORD_CYCLES = 11 };

/* Places of a control page, host.live.control_page. */
#define PAGE_BYTES 4096
#define PAGE_WORDS_AT 16
#define PAGE_LENGTHS_AT 112
#define PAGE_ENGINE_AT 128
#define PAGE_SENDER_AT 1152
#define PAGE_NAME_BYTES_MAX 1024

/* Attributes that are looked up by name. */
#define NAMES(X) X(outputs) X(shown) X(rearm) X(find_decode) X(conclude_raised)                                    \
    X(begin) X(silence) X(turn_over) X(append) X(appendleft) X(popleft)
#define DECLARE_NAME(name) static PyObject *str_##name;
NAMES(DECLARE_NAME)
static PyObject *zero;
static PyObject *forms; /* type of values -> capsule of its form; set of types of messages -> {type: capsule} */

/* Constants of an engine, its pace, and counts that are not yet in its counters. */
struct known {
    PyObject *cell, *plans, *emits, *params, *kept, *code; /* strong; kept NULL: volatile */
    const struct form *state_form;
    unsigned resting, stride;
    unsigned long long received, handled, sent;
    int64_t generation; /* of the ring, when `number` was found */
    long number;        /* in the ring's newer half; -1: no frame is kept */
};

struct pending {
    PyObject *cell; /* strong, like the rest */
    struct output output;
    struct numbered numbered;
};

typedef struct {
    PyObject_HEAD
    const struct lane_api *api;
    PyObject *link, *turns, *cells, *stops, *tally, *deadlines, *encode;
    PyObject *ready, *arrivals, *epoch; /* engines that mail waits for; what counts arrivals; the slot's epoch */
    PyObject *nothing, *spare;          /* the batches of an empty mailbox; a deque for one that gets mail, or NULL */
    PyObject *clock; /* the scheduler's; NULL: CLOCK_BOOTTIME and `offset_ns`, the same time without a call */
    Py_buffer page_view;
    volatile uint64_t *words;
    int64_t offset_ns, cycle_ns, now_ns, busy_ns;
    PyObject *now, *trigger;
    Window *window;
    PyObject *shown_cell, *shown_sender; /* strong */
    uint64_t shown_mailbox, shown_epoch;
    struct pending *pending;
    size_t pending_count, pending_room;
    unsigned long long received, handled, sent; /* of this cycle, not yet in the tally */
    size_t unsent;                  /* of `pending`, those of volatile engines */
    int is_wanted;                  /* Python must run before a sleep */
    struct ledger ledger;
    PyObject *ring;                 /* keeps triggers of volatile engines, or NULL */
    Py_buffer ring_view;            /* its buffer */
    int64_t times[LANE_FRAME_MESSAGES_MAX]; /* of the turns of a frame */
    uint64_t touched;               /* which of `known` have counters to write */
    struct known known[KNOWN_CELLS];
} Cycle;

static int read_clock(Cycle *self)
{
    struct timespec t;
    PyObject *now;
    if (self->clock != NULL) {
        now = PyObject_CallNoArgs(self->clock);
        self->now_ns = now == NULL ? -1 : PyLong_AsLongLong(now);
    } else {
        clock_gettime(CLOCK_BOOTTIME, &t);
        self->now_ns = t.tv_sec * NS_PER_S + t.tv_nsec + self->offset_ns;
        now = PyLong_FromLongLong(self->now_ns);
    }
    if (now == NULL)
        return -1;
    Py_XSETREF(self->now, now);
    return self->now_ns == -1 && PyErr_Occurred() ? -1 : 0;
}

/* The earliest deadline of the slot, or NEVER; -1 with an exception. */
static int64_t earliest(Cycle *self)
{
    return PyLong_AsLongLong(get(self->deadlines, Deadlines_earliest));
}

static void known_clear(struct known *known)
{
    Py_CLEAR(known->cell);
    Py_CLEAR(known->plans);
    Py_CLEAR(known->emits);
    Py_CLEAR(known->params);
    Py_CLEAR(known->kept);
    Py_CLEAR(known->code);
}

/* Finds the recorder of a journaled engine. 0, or -1 if there is no ledger for it, or with an exception. */
static int know_kept(Cycle *self, struct known *known, PyObject *cell)
{
    PyObject *kept = get(cell, Cell_recorder);
    if (kept == Py_None)
        return 0;
    if (self->ledger.commit == NULL)
        return -1;
    known->kept = Py_NewRef(kept);
    known->code = PyObject_GetAttrString(get(cell, Cell_family), "version");
    return known->code == NULL ? -1 : 0;
}

/* Writes an engine's counters. 0, or -1 with an exception. */
static int known_settle(struct known *known)
{
    unsigned long long received = known->received, handled = known->handled, sent = known->sent;
    known->received = known->handled = known->sent = 0;
    if (add_number(known->cell, Cell_received, received) < 0 || add_number(known->cell, Cell_handled, handled) < 0)
        return -1;
    return add_number(known->cell, Cell_sent, sent);
}

/* Writes all counters: after the outputs have left, since a receiver may wait for these, or before Python continues. */
static int settle(Cycle *self)
{
    for (; self->touched; self->touched &= self->touched - 1)
        if (known_settle(&self->known[__builtin_ctzll(self->touched)]) < 0)
            return -1;
    unsigned long long received = self->received, handled = self->handled, sent = self->sent;
    self->received = self->handled = self->sent = 0;
    if (add_number(self->tally, Tally_received, received) < 0 || add_number(self->tally, Tally_handled, handled) < 0)
        return -1;
    return add_number(self->tally, Tally_sent, sent);
}

/* The form of a type, in a capsule, from `forms`. Borrowed; NULL with an exception. */
static PyObject *form_for(PyObject *type)
{
    PyObject *known = PyDict_GetItemWithError(forms, type);
    if (known != NULL || PyErr_Occurred())
        return known;
    struct form *form = PyMem_Calloc(1, sizeof *form);
    PyObject *capsule = form == NULL ? PyErr_NoMemory() : PyCapsule_New(form, NULL, NULL);
    if (capsule != NULL && (form_of(form, type) < 0 || PyDict_SetItem(forms, type, capsule) < 0))
        Py_CLEAR(capsule);
    if (capsule == NULL)
        PyMem_Free(form);
    Py_XDECREF(capsule);
    return capsule;
}

static const struct form *state_form(PyObject *family)
{
    PyObject *states = PyObject_GetAttrString(family, "states");
    PyObject *form = states == NULL ? NULL : form_for(states);
    Py_XDECREF(states);
    return form == NULL ? NULL : PyCapsule_GetPointer(form, NULL);
}

/* The forms of the messages that a family emits, by type, from `forms`. A new reference; NULL with an exception. */
static PyObject *emitted_forms(PyObject *family)
{
    PyObject *kinds = PyObject_GetAttrString(family, "emits_types"), *kind, *key = NULL;
    PyObject *found = kinds == NULL ? NULL : Py_XNewRef(PyDict_GetItemWithError(forms, kinds));
    if (found == NULL && kinds != NULL && !PyErr_Occurred() && (found = PyDict_New()) != NULL) {
        PyObject *each = PyObject_GetIter(kinds);
        while (each != NULL && (kind = PyIter_Next(each)) != NULL) {
            key = form_for(kind);
            if (key != NULL)
                PyDict_SetItem(found, kind, key);
            Py_DECREF(kind);
        }
        Py_XDECREF(each);
        if (PyErr_Occurred() || PyDict_SetItem(forms, kinds, found) < 0)
            Py_CLEAR(found);
    }
    Py_XDECREF(kinds);
    return found;
}

/* Notes that an engine's counts have changed. */
static void touch(Cycle *self, const struct known *known)
{
    self->touched |= (uint64_t)1 << (known - self->known);
}

/* The cached entry of a cell. NULL with an exception. */
static struct known *know(Cycle *self, PyObject *cell)
{
    struct known *known = &self->known[((uintptr_t)cell >> 5) % KNOWN_CELLS];
    if (known->cell == cell)
        return known;
    if (known->cell != NULL && known_settle(known) < 0)
        return NULL;
    known_clear(known);
    PyObject *family = get(cell, Cell_family);
    known->plans = PyObject_GetAttrString(family, "plan");
    known->emits = known->plans == NULL ? NULL : emitted_forms(family);
    known->state_form = known->emits == NULL ? NULL : state_form(family);
    if (known->state_form == NULL || know_kept(self, known, cell) < 0) {
        known_clear(known);
        return NULL;
    }
    known->params = Py_NewRef(get(get(cell, Cell_configuration), Configuration_params));
    known->cell = Py_NewRef(cell);
    known->resting = 0;
    known->generation = 0;
    known->number = -1;
    known->stride = STRIDE_MIN;
    return known;
}

#endif
