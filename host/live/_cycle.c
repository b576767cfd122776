/* host.live._cycle: the common case of a worker's cycle, in C. What a cycle is stands in worker/loop.py.
 *
 * `run` does whole cycles, as long as each is of the common kind: frames of known streams for engines that may run and
 * have nothing waiting, transitions as in transition.h, outputs to known targets in other slots with room. It comes back
 * to Python for everything else, and for time and supervisor:
 *
 *   None       nothing is left to do: a watched descriptor is ready, a deadline came, or `poll_ns` of work passed
 *   a list     this cycle is Python's from here on, with these frames in hand (maybe none); what was done of it is
 *              written down, outputs that have not left yet are in `turns.outputs`
 *
 * So a cycle is C's up to some message and Python's from there, never mixed, and the order of section 5 of the cycle
 * (drain, run, heads, outputs, publish) is kept by whoever finishes it. Nothing is remembered between two calls of `run`
 * but caches of what never changes; the state is that of cells, marks, ways and tally, which Python reads and writes too.
 * The caller calls `run` only while nothing is ready, held, stopping or waiting (`Worker.is_calm`).
 *
 * In a slot with a journal the cycle is that of worker/journaled.py: what journaled.h writes down is in the log before
 * the heads move.
 *
 * Crash points are those of the cycle: the control page's word N is set before each message and zeroed after each frame.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <time.h>

#include "../../transport/lane_api.h"
#include "journaled.h"
#include "transition.h"
#include "window.h"

#define MESSAGES_MAX 2048
#define CYCLE_NS_MAX 5000000ll
#define STRIDE_SLOW_NS 1000000ll
#define STRIDE_MIN 16u
#define STRIDE_MAX 256u
#define KNOWN_CELLS 64u /* bits of `touched` */
#define REST_FRAMES 64u /* frames of an engine that go to Python after one that had to */
#define NS_PER_S 1000000000ll
#define NEVER INT64_MAX

/* Words of host.node.progress. */
enum { WORD_N, WORD_STARTED_NS, WORD_HANDLED, WORD_RECEIVED, WORD_SENT, WORD_PARKED, WORD_UNSENT = 9, WORDS_USED };

static PyObject *zero, *str_outputs, *str_show, *str_rearm, *str_find_decode;

/* What never changes about an engine, how it did, and what is not yet written into its counters. */
struct known {
    PyObject *cell, *plans, *emits, *params, *kept, *code; /* strong; kept NULL: volatile */
    unsigned resting, stride;
    unsigned long long taken, sent;
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
    PyObject *clock; /* the scheduler's; NULL: CLOCK_BOOTTIME and `offset_ns`, which is the same without a call */
    Py_buffer words_view;
    volatile uint64_t *words;
    int64_t offset_ns, cycle_ns, now_ns, busy_ns;
    PyObject *now, *trigger;
    Window *window;
    PyObject *shown_cell, *shown_sender; /* strong */
    uint64_t shown_mailbox, shown_epoch;
    struct pending *pending;
    size_t pending_count, pending_room;
    unsigned long long taken, sent; /* of this cycle, not yet in the tally */
    size_t unsent;                  /* of `pending`, those of volatile engines */
    int is_wanted;                  /* by Python, before a sleep */
    struct ledger ledger;
    uint64_t touched;               /* which of `known` have counters to write */
    struct known known[KNOWN_CELLS];
} Cycle;

/* --- time --------------------------------------------------------------------------------------------------------- */

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

/* --- engines ------------------------------------------------------------------------------------------------------ */

static void known_clear(struct known *known)
{
    Py_CLEAR(known->cell);
    Py_CLEAR(known->plans);
    Py_CLEAR(known->emits);
    Py_CLEAR(known->params);
    Py_CLEAR(known->kept);
    Py_CLEAR(known->code);
}

/* Whether and how the engine is journaled. 0, or -1 with an exception. */
static int know_kept(Cycle *self, struct known *known, PyObject *cell)
{
    PyObject *kept = self->ledger.kept == NULL ? NULL : PyDict_GetItemWithError(self->ledger.kept, get(cell, Cell_name));
    if (kept == NULL)
        return PyErr_Occurred() ? -1 : 0;
    known->kept = Py_NewRef(kept);
    known->code = PyObject_GetAttrString(get(cell, Cell_family), "version");
    return known->code == NULL ? -1 : 0;
}

/* Writes an engine's counters. 0, or -1 with an exception. */
static int known_settle(struct known *known)
{
    unsigned long long taken = known->taken, sent = known->sent;
    known->taken = known->sent = 0;
    if (add_number(known->cell, Cell_received, taken) < 0 || add_number(known->cell, Cell_handled, taken) < 0)
        return -1;
    return add_number(known->cell, Cell_sent, sent);
}

/* Writes all counters: when the outputs have left, since somebody may wait for these, or before Python goes on. */
static int settle(Cycle *self)
{
    for (; self->touched; self->touched &= self->touched - 1)
        if (known_settle(&self->known[__builtin_ctzll(self->touched)]) < 0)
            return -1;
    unsigned long long taken = self->taken, sent = self->sent;
    self->taken = self->sent = 0;
    if (add_number(self->tally, Tally_received, taken) < 0 || add_number(self->tally, Tally_handled, taken) < 0)
        return -1;
    return add_number(self->tally, Tally_sent, sent);
}

/* What is known of a cell. NULL with an exception. */
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
    known->emits = known->plans == NULL ? NULL : PyObject_GetAttrString(family, "emits_types");
    if (known->emits == NULL || know_kept(self, known, cell) < 0) {
        known_clear(known);
        return NULL;
    }
    known->params = Py_NewRef(get(get(cell, Cell_configuration), Configuration_params));
    known->cell = Py_NewRef(cell);
    known->resting = 0;
    known->stride = STRIDE_MIN;
    return known;
}

/* --- outputs ------------------------------------------------------------------------------------------------------ */

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

/* An output as Python keeps it until it leaves: of a journaled engine it has its number. NULL with an exception. */
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

/* What a dictionary has under (name, mailbox): borrowed, or NULL, maybe with an exception. */
static PyObject *of_pair(PyObject *dictionary, PyObject *name, PyObject *mailbox)
{
    PyObject *key = PyTuple_Pack(2, name, mailbox);
    PyObject *found = key == NULL ? NULL : PyDict_GetItemWithError(dictionary, key);
    Py_XDECREF(key);
    return found;
}

/* The outlet of a stream to another slot that may be sent to now; NULL when that is Python's to say. Borrowed. */
static PyObject *ready_outlet(Cycle *self, const struct pending *at)
{
    PyObject *cell = at->cell, *target = at->output.target;
    if (PyDict_GET_SIZE(get(cell, Cell_held)) != 0 || PyDict_Contains(self->cells, target) != 0 ||
        (PyDict_GET_SIZE(self->stops) != 0 && PyDict_Contains(self->stops, target) != 0))
        return NULL;
    PyObject *mailbox = at->output.mailbox ? at->output.mailbox : zero;
    PyObject *way = of_pair(get(cell, Cell_ways), target, mailbox);
    PyObject *outlet = way == NULL ? NULL : get(way, Way_outlet);
    if (outlet == NULL || !Py_IS_TYPE(outlet, self->api->outlet))
        return NULL;
    return at->numbered.kept == NULL || self->api->next_n(outlet) == at->numbered.n ? outlet : NULL;
}

/* Whether the output after this one is of another stream. */
static int ends_stream(const Cycle *self, size_t i)
{
    const struct pending *at = &self->pending[i], *next = at + 1;
    return i + 1 == self->pending_count || next->cell != at->cell || next->output.target != at->output.target ||
           next->output.mailbox != at->output.mailbox;
}

/* Says that the outputs of a journaled stream left, up to this one. 0, or -1 with an exception. */
static int say_left(Cycle *self, const struct pending *at)
{
    if (at->numbered.kept == NULL)
        return 0;
    PyObject *way = PyDict_GetItemWithError(get(at->cell, Cell_ways), at->numbered.way);
    PyObject *n = way == NULL ? NULL : PyLong_FromUnsignedLongLong(at->numbered.n);
    PyObject *said = n == NULL ? NULL
                               : PyObject_CallFunctionObjArgs(self->ledger.left, at->numbered.kept, at->numbered.way,
                                                              way, n, NULL);
    Py_XDECREF(n);
    Py_XDECREF(said);
    return said == NULL ? -1 : 0;
}

/* Sends one output. DONE, HAND_OVER when Python must, or FAILED. */
static int send_one(Cycle *self, const struct pending *at)
{
    PyObject *outlet = ready_outlet(self, at);
    if (outlet == NULL)
        return hand_over();
    PyObject *payload = at->numbered.kept != NULL ? Py_NewRef(at->numbered.payload)
                                                  : PyObject_CallOneArg(self->encode, at->output.message);
    if (payload == NULL)
        return hand_over();
    int sent = self->api->send(outlet, payload);
    Py_DECREF(payload);
    return sent == 1 ? DONE : hand_over();
}

/* Lets the outputs leave, as `Outbox.release`. DONE, HAND_OVER when some are Python's now, or FAILED. */
static int send_pending(Cycle *self)
{
    size_t i = 0;
    int verdict = DONE;
    for (; i < self->pending_count && (verdict = send_one(self, &self->pending[i])) == DONE; i++) {
        struct known *known = know(self, self->pending[i].cell);
        if (known == NULL || (ends_stream(self, i) && say_left(self, &self->pending[i]) < 0))
            return FAILED;
        known->sent++;
        self->sent++;
        self->touched |= (uint64_t)1 << (known - self->known);
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

/* --- streams ------------------------------------------------------------------------------------------------------ */

/* Whether an engine may be given a trigger and has none waiting (`Cell.is_runnable`, not queued, not ended). */
static int is_free(PyObject *cell)
{
    return get(cell, Cell_is_ended) == Py_False && get(cell, Cell_is_queued) == Py_False &&
           get(cell, Cell_suspension) == Py_None && get(cell, Cell_notify) == Py_None &&
           PyDict_GET_SIZE(get(cell, Cell_held)) == 0;
}

/* The mark of a stream that goes on exactly where it was left, or NULL. Borrowed. */
static PyObject *mark_of(PyObject *cell, PyObject *mailbox, const struct lane_frame *frame)
{
    PyObject *mark = of_pair(get(cell, Cell_marks), frame->sender, mailbox);
    if (mark == NULL || number_in(mark, Mark_next_n) != frame->first_n || number_in(mark, Mark_epoch) != frame->epoch)
        return NULL;
    return mark;
}

/* Says what stream comes next, as `Turns._show`. 0, or -1 with an exception. */
static int show_stream(Cycle *self, PyObject *cell, PyObject *mailbox, const struct lane_frame *frame)
{
    if (self->shown_cell == cell && self->shown_sender == frame->sender && self->shown_mailbox == frame->mailbox &&
        self->shown_epoch == frame->epoch)
        return 0;
    PyObject *epoch = PyLong_FromUnsignedLongLong(frame->epoch);
    PyObject *shown = epoch == NULL ? NULL
                                    : PyObject_CallMethodObjArgs(self->turns, str_show, cell, frame->sender, mailbox,
                                                                 epoch, NULL);
    Py_XDECREF(epoch);
    if (shown == NULL)
        return -1;
    Py_DECREF(shown);
    Py_XSETREF(self->shown_cell, Py_NewRef(cell));
    Py_XSETREF(self->shown_sender, Py_NewRef(frame->sender));
    self->shown_mailbox = frame->mailbox;
    self->shown_epoch = frame->epoch;
    return 0;
}

/* --- a frame ------------------------------------------------------------------------------------------------------ */

/* A frame under way: strong references. */
struct run {
    struct known *known;
    PyObject *cell, *inbox, *mark, *mailbox, *env, *decode;
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
}

/* Finds everything a frame needs. DONE, HAND_OVER or FAILED. */
static int run_begin(Cycle *self, struct run *run, const struct lane_frame *frame)
{
    PyObject *cell = frame->kind == 0 ? PyDict_GetItemWithError(self->cells, frame->target) : NULL;
    if (cell == NULL || !is_free(cell))
        return hand_over();
    run->cell = Py_NewRef(cell);
    run->known = know(self, cell);
    if (run->known == NULL)
        return hand_over();
    if (run->known->resting > 0) {
        run->known->resting--;
        return HAND_OVER;
    }
    run->mailbox = PyLong_FromUnsignedLong(frame->mailbox);
    run->inbox = run->mailbox == NULL ? NULL : Py_XNewRef(PyDict_GetItemWithError(get(cell, Cell_inboxes), run->mailbox));
    if (run->inbox == NULL || number_in(run->inbox, Inbox_depth) != 0)
        return hand_over();
    run->mark = Py_XNewRef(mark_of(cell, run->mailbox, frame));
    if (run->mark == NULL)
        return hand_over();
    PyObject *decode = get(run->inbox, Inbox_decode);
    run->decode = decode == Py_None ? PyObject_CallMethodNoArgs(run->inbox, str_find_decode) : Py_NewRef(decode);
    run->earliest_ns = earliest(self);
    if (run->decode == NULL || run->earliest_ns < 0 || read_clock(self) < 0)
        return FAILED;
    if (run->earliest_ns <= self->now_ns)
        return HAND_OVER; /* a due timer comes before mail */
    run->env = Py_NewRef(get(cell, Cell_env));
    run->at = (struct setting){get(cell, Cell_family), run->known->plans, run->known->emits,
                               get(cell, Cell_configuration), run->known->params, frame->sender, run->mailbox, NULL,
                               NULL, NULL, NULL};
    return show_stream(self, cell, run->mailbox, frame) < 0 ? FAILED : DONE;
}

/* The change becomes the engine's environment and pending outputs. DONE or FAILED. */
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
        /* held by the run, the cell, and the trigger that nobody kept */
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

/* The next message of a frame. DONE, HAND_OVER (it is still in the frame), FAILED. */
static int run_message(Cycle *self, struct run *run, struct lane_frame *frame, unsigned at)
{
    struct lane_frame before = *frame;
    struct change change;
    struct numbered numbered[OUTPUTS_MAX];
    uint32_t sum = 0;
    change_start(&change);
    run->at.now = self->now;
    self->words[WORD_N] = frame->first_n;
    const uint8_t *bytes = NULL;
    Py_ssize_t size = 0;
    int found = self->api->payload(self->link, frame, &bytes, &size);
    PyObject *message = found < 0 ? NULL : decode_at(run->decode, bytes, size, &self->window);
    int verdict = message == NULL ? hand_over() : transit(&change, &run->at, run->env, message, &self->trigger);
    Py_XDECREF(message);
    if (verdict == DONE && run->known->kept != NULL) {
        verdict = ledger_prepare(run->known->kept, self->encode, &change, zero, numbered, &sum);
        ledger_turn(&self->ledger, at, self->now_ns, sum);
    }
    if (verdict == DONE)
        return run_commit(self, run, &change, numbered);
    change_clear(&change);
    *frame = before;
    return verdict;
}

/* A look at the clock after a stride, or after each message while a timer is pending. DONE: go on. */
static int run_look(Cycle *self, struct run *run)
{
    int64_t began_ns = self->now_ns;
    if (read_clock(self) < 0)
        return FAILED;
    if (run->earliest_ns == NEVER) {
        unsigned stride = run->known->stride;
        int is_slow = self->now_ns - began_ns > STRIDE_SLOW_NS;
        run->known->stride = is_slow ? (stride >= 4 ? stride / 4 : 1) : (stride * 2 < STRIDE_MAX ? stride * 2 : STRIDE_MAX);
    }
    return self->now_ns >= run->earliest_ns || self->now_ns - self->cycle_ns >= CYCLE_NS_MAX ? HAND_OVER : DONE;
}

/* Writes down that `taken` messages of the frame are handled. */
static int run_end(Cycle *self, struct run *run, const struct lane_frame *frame, uint32_t taken)
{
    self->words[WORD_N] = 0;
    if (self->trigger != NULL && Py_REFCNT(self->trigger) == 1)
        put(self->trigger, Arrived_message, Py_NewRef(Py_None)); /* it may be large */
    run->known->taken += taken;
    self->taken += taken;
    self->touched |= (uint64_t)1 << (run->known - self->known);
    if (run->known->kept == NULL || taken == 0)
        return put_number(run->mark, Mark_next_n, frame->first_n);
    return ledger_frame(&self->ledger, self->api, run->known->kept, run->cell, run->known->code, run->mailbox, frame,
                        taken);
}

/* All messages of a frame. DONE; HAND_OVER: what is left in it is Python's; FAILED. */
static int run_frame(Cycle *self, struct lane_frame *frame)
{
    struct run run = {0};
    int verdict = run_begin(self, &run, frame);
    if (verdict == DONE) {
        uint32_t count = frame->count, stride = 0;
        if (self->cycle_ns == 0)
            self->cycle_ns = self->now_ns;
        self->words[WORD_STARTED_NS] = (uint64_t)self->now_ns;
        while (frame->count > 0 && (verdict = run_message(self, &run, frame, count - frame->count)) == DONE)
            if ((run.earliest_ns != NEVER || ++stride == run.known->stride) && frame->count > 0) {
                if ((verdict = run_look(self, &run)) != DONE)
                    break;
                self->words[WORD_STARTED_NS] = (uint64_t)self->now_ns;
                stride = 0;
            }
        if (verdict == HAND_OVER && run.earliest_ns == NEVER && frame->count == count)
            run.known->resting = REST_FRAMES; /* its first message already: they may all be like that */
        if (run_end(self, &run, frame, count - frame->count) < 0)
            verdict = FAILED;
    }
    run_clear(&run);
    return verdict;
}

/* --- a cycle ------------------------------------------------------------------------------------------------------ */

/* Brings the words up to date, as `Scheduler.show`: nothing is parked or held. */
static void show_tally(Cycle *self)
{
    self->words[WORD_HANDLED] = number_in(self->tally, Tally_handled);
    self->words[WORD_RECEIVED] = number_in(self->tally, Tally_received);
    self->words[WORD_SENT] = number_in(self->tally, Tally_sent);
    self->words[WORD_PARKED] = 0;
    self->words[WORD_UNSENT] = 0;
}

/* What Python has to go on with: the frame that was begun, if any, and the outputs so far. NULL with an exception. */
static PyObject *to_python(Cycle *self, struct lane_frame *frame)
{
    PyObject *rest = self->api->rest(self->link, frame);
    PyObject *frames = rest == NULL ? NULL : PyList_New(1);
    if (frames == NULL) {
        Py_XDECREF(rest);
        return NULL;
    }
    PyList_SET_ITEM(frames, 0, rest);
    self->unsent = 0;
    if (settle(self) < 0 || pending_spill(self, 0) < 0)
        Py_CLEAR(frames);
    return frames;
}

/* What happened is in the log, if there is one. 0, or -1 with an exception. */
static int commit_log(Cycle *self)
{
    if (self->ledger.kept == NULL)
        return 0;
    int wanted = settle(self) < 0 ? -1 : ledger_ask(self->ledger.commit);
    self->is_wanted = wanted > 0;
    return wanted < 0 ? -1 : 0;
}

static int say_flushed(Cycle *self)
{
    return self->ledger.kept == NULL || ledger_ask(self->ledger.flushed) >= 0 ? 0 : -1;
}

/* One cycle: the messages taken, or -1 with an exception. `*left`: Python finishes it, with these frames. */
static int cycle(Cycle *self, PyObject **left)
{
    struct lane_frame frame;
    int taken = 0, verdict = 1;
    self->cycle_ns = 0;
    if (self->api->begin(self->link, &frame) < 0)
        return -1;
    while (taken < MESSAGES_MAX && (verdict = self->api->take(self->link, &frame)) > 0) {
        taken += frame.count > 0 ? (int)frame.count : 1;
        verdict = run_frame(self, &frame);
        if (verdict == FAILED)
            return -1;
        if (verdict == HAND_OVER) {
            *left = to_python(self, &frame);
            return *left == NULL ? -1 : taken;
        }
        if (self->now_ns - self->cycle_ns >= CYCLE_NS_MAX)
            break;
    }
    if (verdict < 0)
        return -1;
    if (taken == 0)
        return 0;
    if (self->unsent > 0)
        self->words[WORD_UNSENT] = self->unsent;
    self->unsent = 0;
    if (commit_log(self) < 0 || self->api->release(self->link) < 0)
        return -1;
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
    return taken;
}

/* Between two cycles without mail: sleep. 1: there may be mail; 0: back to Python; -1 with an exception. */
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

/* --- the type ----------------------------------------------------------------------------------------------------- */

static int cycle_traverse(Cycle *self, visitproc visit, void *arg)
{
    Py_VISIT(self->link);
    Py_VISIT(self->turns);
    Py_VISIT(self->cells);
    Py_VISIT(self->stops);
    Py_VISIT(self->tally);
    Py_VISIT(self->deadlines);
    Py_VISIT(self->encode);
    Py_VISIT(self->clock);
    Py_VISIT(self->shown_cell);
    Py_VISIT(self->ledger.kept);
    Py_VISIT(self->ledger.commit);
    Py_VISIT(self->ledger.left);
    Py_VISIT(self->ledger.flushed);
    for (unsigned i = 0; i < KNOWN_CELLS; i++)
        Py_VISIT(self->known[i].cell);
    return 0;
}

static int cycle_clear(Cycle *self)
{
    Py_CLEAR(self->link);
    Py_CLEAR(self->turns);
    Py_CLEAR(self->cells);
    Py_CLEAR(self->stops);
    Py_CLEAR(self->tally);
    Py_CLEAR(self->deadlines);
    Py_CLEAR(self->encode);
    Py_CLEAR(self->clock);
    Py_CLEAR(self->shown_cell);
    Py_CLEAR(self->shown_sender);
    ledger_clear(&self->ledger);
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
    if (self->words_view.obj != NULL)
        PyBuffer_Release(&self->words_view);
    Py_TYPE(self)->tp_free(self);
}

/* Holds what the scheduler made once and never replaces. 0, or -1 with an exception. */
static int cycle_hold(Cycle *self, PyObject *scheduler, PyObject *words)
{
    PyObject *outbox = PyObject_GetAttrString(scheduler, "outbox");
    self->turns = PyObject_GetAttrString(scheduler, "turns");
    self->cells = PyObject_GetAttrString(scheduler, "cells");
    self->tally = PyObject_GetAttrString(scheduler, "tally");
    self->deadlines = PyObject_GetAttrString(scheduler, "deadlines");
    self->stops = outbox == NULL ? NULL : PyObject_GetAttrString(outbox, "stops");
    self->encode = named("engines.model", "encode");
    Py_XDECREF(outbox);
    if (!self->turns || !self->cells || !self->tally || !self->deadlines || !self->stops || !self->encode)
        return -1;
    if (PyObject_GetBuffer(words, &self->words_view, PyBUF_WRITABLE) < 0)
        return -1;
    self->words = self->words_view.buf;
    if (self->words_view.len >= WORDS_USED * 8 && PyDict_CheckExact(self->cells) && PyDict_CheckExact(self->stops))
        return 0;
    PyErr_SetString(PyExc_TypeError, "words is a row of 64-bit words; cells and stops are dictionaries");
    return -1;
}

static PyObject *cycle_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"link", "scheduler", "words", "offset_ns", "ledger", NULL};
    PyObject *link, *scheduler, *words;
    PyObject *offset, *ledger = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOOO|O:Cycle", names, &link, &scheduler, &words, &offset, &ledger))
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
    if (cycle_hold(self, scheduler, words) < 0 || ledger_hold(&self->ledger, ledger) < 0 ||
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
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "host.live._cycle.Cycle",
    .tp_basicsize = sizeof(Cycle),
    .tp_new = cycle_new,
    .tp_dealloc = (destructor)cycle_dealloc,
    .tp_traverse = (traverseproc)cycle_traverse,
    .tp_clear = (inquiry)cycle_clear,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "Cycle(link, scheduler, words, offset_ns)\n\nThe common case of a worker's cycle over lanes.",
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
    Outgoing = (PyTypeObject *)named("engines.model.outcome", "Outgoing");
    commit = named("engines.model.commit", "commit");
    return Arrived && Delivery && Become && Sent && Environment && Outgoing && commit ? 0 : -1;
}

static int find_names(void)
{
    str_outputs = PyUnicode_InternFromString("outputs");
    str_show = PyUnicode_InternFromString("show_stream");
    str_rearm = PyUnicode_InternFromString("rearm");
    str_find_decode = PyUnicode_InternFromString("find_decode");
    zero = PyLong_FromLong(0);
    return zero && str_outputs && str_show && str_rearm && str_find_decode ? 0 : -1;
}

PyMODINIT_FUNC PyInit__cycle(void)
{
    if (bind_slots() < 0 || find_types() < 0 || find_names() < 0 || PyType_Ready(&WindowType) < 0 || PyType_Ready(&CycleType) < 0)
        return NULL;
    PyObject *module = PyModule_Create(&module_definition);
    if (module != NULL && PyModule_AddObjectRef(module, "Cycle", (PyObject *)&CycleType) < 0)
        Py_CLEAR(module);
    return module;
}
