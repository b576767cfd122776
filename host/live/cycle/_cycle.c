/* host.live.cycle._cycle: the common case of a worker's cycle, in C. host/node/cycle.py defines the cycle.
 *
 * `run` performs whole cycles, as long as each is of the common kind: mail of neighbours that waits (neighbours.h),
 * frames of known streams for engines that may run and have nothing waiting, transitions as in transition.h, outputs to
 * known targets, in other slots with room. It returns to Python for everything else, and for deadlines and the
 * supervisor:
 *
 *   None       nothing is left to do: a watched descriptor is ready, a deadline came, or `poll_ns` of work passed
 *   a list     this cycle is Python's from here on, with these frames in hand (maybe none), since something uncommon
 *              came, or a deadline or the end of the budget in the middle of a frame; the part done here is
 *              recorded, outputs that have not left yet are in `turns.outputs`
 *
 * So a cycle is C's up to some message and Python's from there, never mixed, and the side that finishes it keeps its
 * order. Between two calls of `run` only caches of constants are kept; the state is that of cells, marks, ways and
 * tally, and the mail in mailboxes, which Python reads and writes too. The caller calls `run` only while nothing is
 * held, stopping, or waiting but mail (`Worker.is_calm`).
 *
 * In a slot with a journal, the records of journaled.h are in the log before the heads move.
 *
 * Crash points are those of the cycle: the control page's word N is set before each message and zeroed after each frame.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cycle.h"
#include "cycle_frame.h"
#include "cycle_outputs.h"
#include "shared_numbers.h"
#include "waiting_mail.h"

/* Updates the words of the control page, as `Scheduler.show`: nothing is held, and only neighbours' mail is parked. */
static void show_tally(Cycle *self)
{
    self->words[WORD_CYCLES]++;
    self->words[WORD_HANDLED] = number_in(self->tally, Tally_handled);
    self->words[WORD_RECEIVED] = number_in(self->tally, Tally_received);
    self->words[WORD_SENT] = number_in(self->tally, Tally_sent);
    self->words[WORD_PARKED] = self->words[WORD_RECEIVED] - self->words[WORD_HANDLED];
    self->words[WORD_UNSENT] = self->unsent; /* left to Python */
}

/* Counts what was done, and leaves the outputs so far to Python. 0, or -1 with an exception. */
static int leave(Cycle *self)
{
    self->unsent = 0;
    return settle(self) < 0 ? -1 : pending_spill(self, 0);
}

/* What Python continues with: the rest of the frame that was begun, if any, and the outputs so far. NULL with an
 * exception. */
static PyObject *to_python(Cycle *self, struct lane_frame *frame)
{
    PyObject *rest = self->api->rest(self->link, frame);
    PyObject *frames = rest == NULL ? NULL : PyList_New(1);
    if (frames == NULL) {
        Py_XDECREF(rest);
        return NULL;
    }
    PyList_SET_ITEM(frames, 0, rest);
    if (leave(self) < 0)
        Py_CLEAR(frames);
    return frames;
}

/* Commits what happened to the log, if there is one. 0, or -1 with an exception. */
static int commit_log(Cycle *self)
{
    if (self->ledger.commit == NULL)
        return 0;
    int wanted = settle(self) < 0 ? -1 : ledger_ask(self->ledger.commit);
    self->is_wanted = wanted > 0;
    return wanted < 0 ? -1 : 0;
}

/* Notifies the ledger that the outputs are published, which may fill an engine's unacknowledged outputs. 0, or -1. */
static int say_flushed(Cycle *self)
{
    if (self->ledger.commit == NULL)
        return 0;
    int wanted = ledger_ask(self->ledger.flushed);
    self->is_wanted |= wanted > 0;
    return wanted < 0 ? -1 : 0;
}

/* What Python continues with between two frames: the outputs so far. NULL with an exception. */
static PyObject *to_python_without_frame(Cycle *self)
{
    return leave(self) < 0 ? NULL : PyList_New(0);
}

/* A lane is broken: what this cycle did with mail of neighbours is counted, and its outputs are Python's. -1, with the
 * exception that is set. */
static int leave_broken(Cycle *self)
{
    PyObject *error = take_error();
    if (leave(self) == 0)
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return -1;
}

/* One cycle: the number of messages handled, or -1 with an exception. If `*left` is set, Python finishes it, with these
 * frames. Lanes have their turn in each, however much waits here. */
static int cycle(Cycle *self, PyObject **left)
{
    struct lane_frame frame;
    int waited = 0, taken = 0; /* messages of neighbours, and from lanes */
    self->cycle_ns = 0;
    int verdict = run_waiting(self, &waited);
    if (verdict == FAILED)
        return -1;
    if (verdict == HAND_OVER) {
        *left = to_python_without_frame(self);
        return *left == NULL ? -1 : waited;
    }
    if (self->api->begin(self->link, &frame) < 0)
        return leave_broken(self);
    while (verdict != RAISED && taken < CYCLE_MESSAGES_MAX && (verdict = self->api->take(self->link, &frame)) > 0) {
        taken += frame.count > 0 ? (int)frame.count : 1;
        verdict = run_frame(self, &frame);
        if (verdict == FAILED)
            return -1;
        if (verdict == HAND_OVER) {
            *left = to_python(self, &frame);
            return *left == NULL ? -1 : waited + taken;
        }
        if (verdict == RAISED || self->now_ns - self->cycle_ns >= RUN_NS_MAX)
            break;
    }
    if (verdict < 0)
        return leave_broken(self);
    if (waited + taken == 0)
        return 0;
    if (self->unsent > 0)
        self->words[WORD_UNSENT] = self->unsent;
    if (commit_log(self) < 0 || self->api->release(self->link) < 0)
        return -1;
    if (verdict == RAISED) {
        *left = to_python_without_frame(self);
        return *left == NULL ? -1 : waited + taken;
    }
    int has_outputs = self->pending_count > 0;
    verdict = send_pending(self);
    if (verdict == HAND_OVER)
        *left = PyList_New(0);
    if (verdict == FAILED || (verdict == HAND_OVER && *left == NULL))
        return -1;
    if (verdict == DONE && (self->api->flush(self->link) < 0 || (has_outputs && say_flushed(self) < 0)))
        return -1;
    if (settle(self) < 0)
        return -1;
    show_tally(self);
    self->unsent = 0;
    return waited + taken;
}

/* Sleeps between two cycles without mail. 1: there may be mail; 0: return to Python; -1 with an exception. */
static int rest(Cycle *self)
{
    int64_t at_ns = earliest(self), timeout_ns = -1;
    if (at_ns < 0)
        return -1;
    if (self->is_wanted)
        return 0;
    if (at_ns != NEVER) {
        if (read_clock(self) < 0)
            return -1;
        if (at_ns <= self->now_ns)
            return 0;
        timeout_ns = at_ns - self->now_ns;
    }
    self->busy_ns = 0;
    int watched = self->api->wait(self->link, timeout_ns);
    return watched < 0 ? -1 : !watched;
}

static PyObject *cycle_run(Cycle *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "run takes 2 arguments, not %zd", count);
    int64_t poll_ns = PyLong_AsLongLong(args[0]);
    int rests = PyObject_IsTrue(args[1]);
    if (rests < 0 || (poll_ns == -1 && PyErr_Occurred()))
        return NULL;
    Py_CLEAR(self->shown_cell); /* Python may have shown another stream since */
    self->busy_ns = 0;
    self->is_wanted = !rests;
    for (;;) {
        PyObject *left = NULL;
        int taken = cycle(self, &left);
        if (taken < 0)
            return NULL;
        if (left != NULL)
            return left;
        if (taken > 0) {
            self->busy_ns = self->busy_ns ? self->busy_ns : self->now_ns;
            if (self->now_ns - self->busy_ns >= poll_ns)
                Py_RETURN_NONE;
            continue;
        }
        int again = rest(self);
        if (again < 0)
            return NULL;
        if (!again)
            Py_RETURN_NONE;
    }
}

/* References that may be part of a circle. */
#define HELD(X)                                                                                                        \
    X(link) X(turns) X(cells) X(stops) X(tally) X(deadlines) X(encode) X(clock) X(shown_cell) X(shown_sender) X(ring)  \
    X(ready) X(arrivals) X(epoch) X(nothing) X(spare)                                                                  \
    X(ledger.frame) X(ledger.run) X(ledger.commit) X(ledger.left) X(ledger.flushed)

#define VISIT(member) Py_VISIT(self->member);
#define CLEAR(member) Py_CLEAR(self->member);

static int cycle_traverse(Cycle *self, visitproc visit, void *arg)
{
    HELD(VISIT)
    for (unsigned i = 0; i < KNOWN_CELLS; i++)
        Py_VISIT(self->known[i].cell);
    return 0;
}

static int cycle_clear(Cycle *self)
{
    HELD(CLEAR)
    for (unsigned i = 0; i < KNOWN_CELLS; i++)
        known_clear(&self->known[i]);
    return 0;
}

static void cycle_dealloc(Cycle *self)
{
    PyObject_GC_UnTrack(self);
    cycle_clear(self);
    for (size_t i = 0; i < self->pending_count; i++)
        pending_drop(&self->pending[i]);
    PyMem_Free(self->pending);
    Py_XDECREF(self->now);
    Py_XDECREF(self->trigger);
    Py_XDECREF(self->window);
    if (self->page_view.obj != NULL)
        PyBuffer_Release(&self->page_view);
    if (self->ring_view.obj != NULL)
        PyBuffer_Release(&self->ring_view);
    Py_TYPE(self)->tp_free(self);
}

/* Takes references to what the scheduler makes once and never replaces. 0, or -1 with an exception. */
static int cycle_hold(Cycle *self, PyObject *scheduler, PyObject *page)
{
    PyObject *outbox = PyObject_GetAttrString(scheduler, "outbox");
    self->turns = PyObject_GetAttrString(scheduler, "turns");
    self->cells = PyObject_GetAttrString(scheduler, "cells");
    self->tally = PyObject_GetAttrString(scheduler, "tally");
    self->deadlines = PyObject_GetAttrString(scheduler, "deadlines");
    self->stops = outbox == NULL ? NULL : PyObject_GetAttrString(outbox, "stops");
    self->encode = named("engines.model", "encode");
    self->ready = PyObject_GetAttrString(scheduler, "ready");
    self->arrivals = PyObject_GetAttrString(scheduler, "arrivals");
    self->epoch = outbox == NULL ? NULL : PyObject_GetAttrString(outbox, "epoch");
    self->nothing = named("host.node.mailbox", "NOTHING");
    self->ring = self->turns == NULL ? NULL : PyObject_GetAttrString(self->turns, "ring");
    Py_XDECREF(outbox);
    if (!self->turns || !self->cells || !self->tally || !self->deadlines || !self->stops || !self->encode ||
        !self->ring || !self->ready || !self->arrivals || !self->epoch || !self->nothing)
        return -1;
    if (self->ring == Py_None)
        Py_CLEAR(self->ring);
    else if (PyObject_GetBuffer(get(self->ring, TriggerRing_buffer), &self->ring_view, PyBUF_WRITABLE) < 0)
        return -1;
    if (PyObject_GetBuffer(page, &self->page_view, PyBUF_WRITABLE) < 0)
        return -1;
    self->words = (volatile uint64_t *)((uint8_t *)self->page_view.buf + PAGE_WORDS_AT);
    if (self->page_view.len == PAGE_BYTES && PyDict_CheckExact(self->cells) && PyDict_CheckExact(self->stops))
        return 0;
    PyErr_SetString(PyExc_TypeError, "page is the memory of a control page; cells and stops are dictionaries");
    return -1;
}

static PyObject *cycle_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"link", "scheduler", "page", "offset_ns", "ledger", NULL};
    PyObject *link, *scheduler, *page;
    PyObject *offset, *ledger = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOOO|O:Cycle", names, &link, &scheduler, &page, &offset, &ledger))
        return NULL;
    long long offset_ns = offset == Py_None ? 0 : PyLong_AsLongLong(offset);
    if (offset_ns == -1 && PyErr_Occurred())
        return NULL;
    const struct lane_api *api = PyCapsule_Import(LANE_API_NAME, 0);
    if (api == NULL)
        return NULL;
    if (!PyObject_TypeCheck(link, api->link))
        return PyErr_Format(PyExc_TypeError, "a cycle in C is over lanes, not %.100s", Py_TYPE(link)->tp_name);
    Cycle *self = (Cycle *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->api = api;
    self->link = Py_NewRef(link);
    self->offset_ns = offset_ns;
    if (cycle_hold(self, scheduler, page) < 0 || ledger_hold(&self->ledger, ledger) < 0 ||
        (offset == Py_None && (self->clock = PyObject_GetAttrString(scheduler, "clock")) == NULL))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyMethodDef cycle_methods[] = {
    {"run", (PyCFunction)(void (*)(void))cycle_run, METH_FASTCALL,
     "run(poll_ns, rests) -> list[Frame] | None\n\nWhole cycles; see the stub."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject CycleType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "host.live.cycle._cycle.Cycle",
    .tp_basicsize = sizeof(Cycle),
    .tp_new = cycle_new,
    .tp_dealloc = (destructor)cycle_dealloc,
    .tp_traverse = (traverseproc)cycle_traverse,
    .tp_clear = (inquiry)cycle_clear,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "Cycle(link, scheduler, page, offset_ns)\n\nThe common case of a worker's cycle over lanes.",
    .tp_methods = cycle_methods,
};

static struct PyModuleDef module_definition = {PyModuleDef_HEAD_INIT, "_cycle", "The common case of a worker's cycle.",
                                               -1, NULL, NULL, NULL, NULL, NULL};

static int find_types(void)
{
    Arrived = (PyTypeObject *)named("engines.model.trigger", "Arrived");
    Delivery = (PyTypeObject *)named("engines.model.trigger", "Delivery");
    Become = (PyTypeObject *)named("engines.model.effects", "Become");
    Sent = (PyTypeObject *)named("engines.model.effects", "Sent");
    Environment = (PyTypeObject *)named("engines.model.environment", "Environment");
    Batch = (PyTypeObject *)named("host.node.mailbox", "Batch");
    Outgoing = (PyTypeObject *)named("engines.model.outcome", "Outgoing");
    commit = named("engines.model.commit", "commit");
    StoredOverflow = named("engines.model.commit", "StoredOverflow");
    return Arrived && Batch && Delivery && Become && Sent && Environment && Outgoing && commit && StoredOverflow ? 0
                                                                                                                  : -1;
}

#define INTERN(name) str_##name = PyUnicode_InternFromString(#name);
#define AND_THERE(name) &&str_##name

static int find_names(void)
{
    NAMES(INTERN)
    zero = PyLong_FromLong(0);
    forms = PyDict_New();
    return zero NAMES(AND_THERE) && forms ? 0 : -1;
}

PyMODINIT_FUNC PyInit__cycle(void)
{
    if (bind_slots() < 0 || compare_numbers() < 0 || conform_bind() < 0 || find_types() < 0 || find_names() < 0)
        return NULL;
    if (PyType_Ready(&WindowType) < 0 || PyType_Ready(&CycleType) < 0)
        return NULL;
    PyObject *module = PyModule_Create(&module_definition);
    if (module != NULL && PyModule_AddObjectRef(module, "Cycle", (PyObject *)&CycleType) < 0)
        Py_CLEAR(module);
    return module;
}
