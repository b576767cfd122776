/* A frame in a cycle in C, or a batch of mail that waits (waiting_mail.h): whether it is of the common kind, and its
 * messages, one transition each.
 *
 * It is handled here up to some message, and by Python from there; of the first message for Python nothing has
 * happened.
 */
#ifndef ENGINEHOST_CYCLE_FRAME_H
#define ENGINEHOST_CYCLE_FRAME_H

#include "cycle.h"
#include "cycle_outputs.h"
#include "remembered.h"
#include "shown_stream.h"

/* Whether an engine may get a trigger and has none waiting. */
static int is_free(PyObject *cell)
{
    return may_run(cell) && get(cell, Cell_is_queued) == Py_False;
}

/* The mark of a stream that continues exactly where it stopped, or NULL. Borrowed. */
static PyObject *mark_of(PyObject *cell, PyObject *mailbox, const struct lane_frame *frame)
{
    PyObject *mark = of_pair(get(cell, Cell_marks), frame->sender, mailbox);
    if (mark == NULL || number_in(mark, Mark_next_n) != frame->first_n || number_in(mark, Mark_epoch) != frame->epoch)
        return NULL;
    return mark;
}

/* A frame, or a batch of a neighbour's messages, under way: strong references. `mark` and `decode` are of a frame. */
struct run {
    struct known *known;
    PyObject *cell, *inbox, *mark, *mailbox, *env, *decode, *batch;
    PyObject *encoded;         /* of a neighbour's message that the ring keeps */
    PyObject *message, *error; /* of the message whose rule raised */
    struct setting at;
    int64_t earliest_ns;
};

static void run_clear(struct run *run)
{
    Py_XDECREF(run->cell);
    Py_XDECREF(run->inbox);
    Py_XDECREF(run->mark);
    Py_XDECREF(run->mailbox);
    Py_XDECREF(run->env);
    Py_XDECREF(run->decode);
    Py_XDECREF(run->batch);
    Py_XDECREF(run->encoded);
    Py_XDECREF(run->message);
    Py_XDECREF(run->error);
}

/* Finds the cached entry of an engine. DONE, HAND_OVER or FAILED. */
static int run_know(Cycle *self, struct run *run, PyObject *cell)
{
    run->cell = Py_NewRef(cell);
    run->known = know(self, cell);
    if (run->known == NULL)
        return hand_over();
    if (run->known->resting > 0) {
        run->known->resting--;
        return HAND_OVER;
    }
    return DONE;
}

/* Finds what any trigger needs, at a time that is read now. DONE, HAND_OVER or FAILED. */
static int run_set(Cycle *self, struct run *run, const struct lane_frame *frame)
{
    run->earliest_ns = earliest(self);
    if (run->earliest_ns < 0 || read_clock(self) < 0)
        return FAILED;
    if (run->earliest_ns <= self->now_ns)
        return HAND_OVER; /* a due timer comes before mail */
    PyObject *cell = run->cell;
    run->env = Py_NewRef(get(cell, Cell_env));
    run->at = (struct setting){.family = get(cell, Cell_family), .plans = run->known->plans,
                               .emits = run->known->emits, .configuration = get(cell, Cell_configuration),
                               .params = run->known->params, .state_form = run->known->state_form,
                               .sender = frame->sender, .mailbox = run->mailbox};
    return show_stream(self, cell, frame) < 0 ? FAILED : DONE;
}

/* Finds everything a frame needs. DONE, HAND_OVER or FAILED. */
static int run_begin(Cycle *self, struct run *run, const struct lane_frame *frame)
{
    PyObject *cell = frame->kind == 0 ? PyDict_GetItemWithError(self->cells, frame->target) : NULL;
    if (cell == NULL || !is_free(cell))
        return hand_over();
    int verdict = run_know(self, run, cell);
    if (verdict != DONE)
        return verdict;
    run->mailbox = PyLong_FromUnsignedLong(frame->mailbox);
    run->inbox = run->mailbox == NULL ? NULL : Py_XNewRef(PyDict_GetItemWithError(get(cell, Cell_inboxes), run->mailbox));
    if (run->inbox == NULL || number_in(run->inbox, Inbox_depth) != 0)
        return hand_over();
    run->mark = Py_XNewRef(mark_of(cell, run->mailbox, frame));
    if (run->mark == NULL)
        return hand_over();
    PyObject *decode = get(run->inbox, Inbox_decode);
    run->decode = decode == Py_None ? PyObject_CallMethodNoArgs(run->inbox, str_find_decode) : Py_NewRef(decode);
    if (run->decode == NULL)
        return FAILED;
    if ((verdict = run_set(self, run, frame)) != DONE)
        return verdict;
    int is_ringed = self->ring != NULL && run->known->kept == NULL;
    return is_ringed && ring_begin(self, run->known, cell, ring_frame_bytes_max(frame)) < 0 ? FAILED : DONE;
}

/* Applies the change to the engine's environment and the pending outputs. DONE or FAILED. */
static int run_commit(Cycle *self, struct run *run, struct change *change, struct numbered *numbered)
{
    if (pending_reserve(self, change->count) < 0)
        return FAILED;
    if (run->known->kept == NULL)
        self->unsent += change->count;
    else if (ledger_number(run->known->kept, numbered, change->count) < 0)
        return FAILED;
    if (change->env != NULL && change->env != run->env) {
        PyObject *timers = get(run->env, Environment_timers);
        int is_timed = get(change->env, Environment_timers) != timers;
        Py_SETREF(run->env, Py_NewRef(change->env));
        put(run->cell, Cell_env, Py_NewRef(run->env));
        if (is_timed) {
            PyObject *armed = PyObject_CallMethodOneArg(self->turns, str_rearm, run->cell);
            Py_XDECREF(armed);
            if (armed == NULL || (run->earliest_ns = earliest(self)) < 0)
                return FAILED;
        }
    } else if (change->state != NULL) {
        /* held by the run, the cell, and a trigger without other references */
        Py_ssize_t held = Py_REFCNT(self->trigger) == 1 ? 3 : 0;
        run->env = with_state(run->env, change->state, held);
        if (run->env == NULL)
            return FAILED;
        if (get(run->cell, Cell_env) != run->env)
            put(run->cell, Cell_env, Py_NewRef(run->env));
    }
    for (unsigned i = 0; i < change->count; i++)
        self->pending[self->pending_count++] = (struct pending){
            Py_NewRef(run->cell), change->outputs[i], run->known->kept ? numbered[i] : (struct numbered){0}};
    change->count = 0; /* its references are the pending outputs' now */
    change_clear(change);
    return DONE;
}

/* Takes the exception that is set, as an object with its traceback. */
static PyObject *take_error(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return error;
#endif
}

/* Keeps a rule's exception, for `run_conclude`; takes over the message. */
static void run_raised(Cycle *self, struct run *run, PyObject *message, unsigned at)
{
    run->message = message;
    run->error = take_error();
    if (run->known->kept != NULL) {
        int is_full = PyErr_GivenExceptionMatches(run->error, StoredOverflow);
        ledger_turn(&self->ledger, at, self->now_ns, 0, is_full ? TURN_OVERFLOW : TURN_FAILED);
    }
}

/* Concludes for the engine that its rule raised, once its turn is recorded. 0, or -1 with an exception. */
static int run_conclude(Cycle *self, struct run *run, uint64_t n)
{
    self->words[WORD_N] = n;
    PyObject *concluded = PyObject_CallMethodObjArgs(self->turns, str_conclude_raised, run->cell, run->at.sender,
                                                     run->mailbox, run->message, run->error, NULL);
    Py_XDECREF(concluded);
    self->words[WORD_N] = 0;
    return concluded == NULL ? -1 : 0;
}

/* Encodes a neighbour's message for the ring, if it is to be kept there. 0, or -1 with an exception. */
static int run_encode(Cycle *self, struct run *run, const struct lane_frame *frame, PyObject *message)
{
    Py_CLEAR(run->encoded);
    if (self->ring == NULL)
        return 0;
    if (ring_begin(self, run->known, run->cell, 0) < 0)
        return -1;
    if (run->known->number < 0)
        return 0;
    run->encoded = PyObject_CallOneArg(self->encode, message);
    if (run->encoded == NULL)
        return -1;
    if (PyBytes_GET_SIZE(run->encoded) > RING_MESSAGE_BYTES_MAX) {
        Py_CLEAR(run->encoded);
        return ring_silence(self, frame->target); /* before the ring makes room for it */
    }
    Py_ssize_t name_bytes = 0;
    if (PyUnicode_AsUTF8AndSize(frame->sender, &name_bytes) == NULL)
        return -1;
    return ring_begin(self, run->known, run->cell, ring_mail_bytes(name_bytes, run->encoded));
}

/* The next message of a frame or batch. NULL, maybe with an exception, if that is Python's. */
static PyObject *run_next(Cycle *self, struct run *run, struct lane_frame *frame)
{
    if (run->batch != NULL) {
        PyObject *payloads = get(run->batch, Batch_payloads);
        Py_ssize_t place = (Py_ssize_t)(frame->first_n - number_in(run->batch, Batch_first_n));
        PyObject *message = PyList_GET_ITEM(payloads, place);
        frame->first_n++;
        frame->count--;
        return run_encode(self, run, frame, message) < 0 ? NULL : Py_NewRef(message);
    }
    const uint8_t *bytes = NULL;
    Py_ssize_t size = 0;
    if (self->api->payload(self->link, frame, &bytes, &size) < 0)
        return NULL;
    return decode_at(run->decode, bytes, size, &self->window);
}

/* The next message of a frame. DONE, HAND_OVER (it is still in the frame), RAISED (it is handled), FAILED. */
static int run_message(Cycle *self, struct run *run, struct lane_frame *frame, unsigned at)
{
    struct lane_frame before = *frame;
    struct change change;
    struct numbered numbered[OUTPUTS_MAX];
    uint32_t sum = 0;
    change_start(&change);
    run->at.now = self->now;
    self->words[WORD_N] = frame->first_n;
    self->times[at] = self->now_ns;
    PyObject *message = run_next(self, run, frame);
    int verdict = message == NULL ? hand_over() : transit(&change, &run->at, run->env, message, &self->trigger);
    if (verdict == RAISED) {
        change_clear(&change);
        run_raised(self, run, message, at);
        return run->encoded != NULL && ring_mail(self, run->known, frame, run->encoded) < 0 ? FAILED : RAISED;
    }
    Py_XDECREF(message);
    if (verdict == DONE && run->encoded != NULL && ring_mail(self, run->known, frame, run->encoded) < 0)
        verdict = FAILED;
    if (verdict == DONE && run->known->kept != NULL) {
        verdict = ledger_prepare(run->known->kept, self->encode, &change, zero, numbered, &sum);
        ledger_turn(&self->ledger, at, self->now_ns, sum, TURN_COMMITTED);
    }
    if (verdict == DONE)
        return run_commit(self, run, &change, numbered);
    change_clear(&change);
    *frame = before;
    return verdict;
}

/* The next stride behind one that took so long. */
static unsigned next_stride(unsigned stride, int64_t took_ns)
{
    if (took_ns > STRIDE_SLOW_NS)
        return stride >= 4 ? stride / 4 : 1;
    return stride * 2 < STRIDE_MAX ? stride * 2 : STRIDE_MAX;
}

/* Reads the clock after a stride, or after each message while a timer is pending. DONE: continue. */
static int run_look(Cycle *self, struct run *run)
{
    int64_t began_ns = self->now_ns;
    if (read_clock(self) < 0)
        return FAILED;
    if (run->earliest_ns == NEVER)
        run->known->stride = next_stride(run->known->stride, self->now_ns - began_ns);
    return self->now_ns >= run->earliest_ns || self->now_ns - self->cycle_ns >= RUN_NS_MAX ? HAND_OVER : DONE;
}

/* Records that `taken` messages of the frame are handled. */
static int run_end(Cycle *self, struct run *run, const struct lane_frame *frame, uint32_t taken)
{
    self->words[WORD_N] = 0;
    if (self->trigger != NULL && Py_REFCNT(self->trigger) == 1)
        put(self->trigger, Arrived_message, Py_NewRef(Py_None)); /* it may be large */
    run->known->handled += taken;
    self->handled += taken;
    touch(self, run->known);
    if (run->batch != NULL)
        return take_out(self, run->inbox, run->batch, taken);
    run->known->received += taken;
    self->received += taken;
    if (run->known->number >= 0 && taken > 0 && ring_frame(self, run->known, frame, taken) < 0)
        return -1;
    if (run->known->kept == NULL || taken == 0)
        return put_number(run->mark, Mark_next_n, frame->first_n);
    return ledger_frame(&self->ledger, self->api, run->known->kept, run->cell, run->known->code, run->mailbox, frame,
                        taken);
}

/* Handles the messages of a frame, or of a batch, that was begun. DONE; HAND_OVER: the rest of it is Python's; RAISED:
 * the rule of the last one did, and Python continues the cycle, since it has an error to report; FAILED. */
static int run_all(Cycle *self, struct run *run, struct lane_frame *frame)
{
    uint32_t count = frame->count, stride = 0;
    int has_strides = run->batch == NULL; /* a batch is given in strides of its engine */
    int verdict = DONE;
    if (self->cycle_ns == 0)
        self->cycle_ns = self->now_ns;
    self->words[WORD_STARTED_NS] = (uint64_t)self->now_ns;
    while (frame->count > 0 && (verdict = run_message(self, run, frame, count - frame->count)) == DONE)
        if ((run->earliest_ns != NEVER || (has_strides && ++stride == run->known->stride)) && frame->count > 0) {
            if ((verdict = run_look(self, run)) != DONE)
                break;
            self->words[WORD_STARTED_NS] = (uint64_t)self->now_ns;
            stride = 0;
        }
    if (verdict == HAND_OVER && run->earliest_ns == NEVER && frame->count == count)
        run->known->resting = REST_FRAMES; /* its very first message: the others may be like that */
    uint64_t n = self->words[WORD_N];
    if (run_end(self, run, frame, count - frame->count) < 0 || (verdict == RAISED && run_conclude(self, run, n) < 0))
        return FAILED;
    return verdict;
}

/* Handles all messages of a frame. Verdicts as of `run_all`; RAISED: nothing is left in it. */
static int run_frame(Cycle *self, struct lane_frame *frame)
{
    struct run run = {0};
    int verdict = run_begin(self, &run, frame);
    if (verdict == DONE)
        verdict = run_all(self, &run, frame);
    if (verdict == RAISED && frame->count > 0)
        verdict = HAND_OVER;
    run_clear(&run);
    return verdict;
}

#endif
