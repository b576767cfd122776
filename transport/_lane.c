/* transport._lane: the lanes' core as Python types. What a link promises stands in port.py; how it is kept in core.h.
 *
 * LaneLink owns a `struct core`; an Outlet holds its link alive and knows the attachment it was made for, so that it
 * raises Closed after a detach instead of touching memory that is gone. One thread uses a link; the interpreter lock is
 * given up only while it yields or sleeps, and what would unmap under a sleeper is refused then.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "core.h"
#include "frame_object.h"

static PyObject *Broken, *TooLarge, *Closed;
static PyTypeObject LinkType, OutletType;

#define PARTS_MAX 64u /* of one message: its large fields, and what is between them */

typedef struct {
    PyObject_HEAD
    struct core core;
    int sleeping;
    unsigned long long message_bytes_max, small_bytes_max; /* what is larger lies in a block */
    PyObject *late; /* Broken found after frames of the same drain: raised by the next one */
    struct name_pair *pairs[SLOTS_MAX];
} Link;

typedef struct {
    PyObject_HEAD
    Link *link;
    struct lane *lane;
    uint64_t attachment, next_n;
    unsigned peer;
    struct frame_header header;
    uint32_t names_bytes;
    uint8_t *names;
} Outlet;

/* --- errors ------------------------------------------------------------------------------------------------------- */

/* Detaches a peer whose words are wrong, with a finding. */
static PyObject *break_lane(Link *self, unsigned peer, const struct finding *finding)
{
    lane_close(&self->core, peer);
    return PyErr_Format(Broken, "lane %u>%u: %s", self->core.slot, peer, finding->text);
}

/* What core_open and core_attach came to, as an exception. */
static PyObject *raise_map(unsigned slot, int verdict, const struct finding *finding)
{
    if (verdict == MAP_FINDING)
        return PyErr_Format(Broken, "slot %u: %s", slot, finding->text);
    return PyErr_SetFromErrno(PyExc_OSError);
}

static int check_open(const Link *self)
{
    if (self->core.open)
        return 0;
    PyErr_SetString(Closed, "the link is closed");
    return -1;
}

static int check_awake(const Link *self)
{
    if (!self->sleeping)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "another thread sleeps in this link");
    return -1;
}

static int check_current(const Link *self)
{
    if (check_open(self) < 0)
        return -1;
    if (!core_stale(&self->core))
        return 0;
    PyErr_Format(Broken, "slot %u: another process has taken it over (generation %llu, this is %llu)", self->core.slot,
                 (unsigned long long)atomic_load(&self->core.out->header.generation),
                 (unsigned long long)self->core.generation);
    return -1;
}

static int parse_slot(PyObject *value, unsigned *slot)
{
    unsigned long number = PyLong_AsUnsignedLong(value);
    if (PyErr_Occurred())
        return -1;
    if (number >= SLOTS_MAX) {
        PyErr_Format(PyExc_ValueError, "slots are 0 to %u, not %lu", SLOTS_MAX - 1, number);
        return -1;
    }
    *slot = (unsigned)number;
    return 0;
}

/* The lane to an attached peer, or NULL with Closed. */
static struct lane *attached_lane(Link *self, unsigned peer)
{
    if (check_open(self) < 0)
        return NULL;
    if (self->core.attached & bit(peer))
        return &self->core.lanes[peer];
    PyErr_Format(Closed, "slot %u is not attached", peer);
    return NULL;
}

/* --- outlets ------------------------------------------------------------------------------------------------------ */

static void outlet_dealloc(Outlet *self)
{
    if (self->lane != NULL && self->lane->owner == self)
        self->lane->owner = NULL; /* the frame stays open and leaves with the next flush */
    PyMem_Free(self->names);
    Py_XDECREF(self->link);
    Py_TYPE(self)->tp_free(self);
}

/* What a send came to, as the method's result. */
static PyObject *outlet_sent(Outlet *self, int verdict, const struct finding *finding)
{
    if (verdict == SEND_BROKEN)
        return break_lane(self->link, self->peer, finding);
    if (verdict == SEND_ERRNO)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (verdict == SEND_DONE)
        self->next_n++;
    else
        self->link->core.waiting |= bit(self->peer);
    return PyBool_FromLong(verdict == SEND_DONE);
}

/* A message in parts, `bytes` in all, by way of a block. */
static PyObject *outlet_send_large(Outlet *self, const struct iovec *parts, size_t count, uint64_t bytes)
{
    struct finding finding;
    if (bytes > self->link->message_bytes_max)
        return PyErr_Format(TooLarge, "a message of %llu bytes, the most is %llu (64 MiB)", (unsigned long long)bytes,
                            self->link->message_bytes_max);
    self->header.first_n = self->next_n;
    return outlet_sent(self,
                       core_send_large(&self->link->core, self->peer, &self->header, self->names, self->names_bytes,
                                       parts, count, bytes, &finding),
                       &finding);
}

/* The message does not go into the open frame: seal what is open, open another one. */
static PyObject *outlet_send_first(Outlet *self, const char *payload, size_t bytes)
{
    struct core *core = &self->link->core;
    struct lane *lane = self->lane;
    struct finding finding;
    if (bytes > self->link->small_bytes_max)
        return outlet_send_large(self, &(struct iovec){(void *)payload, bytes}, 1, bytes);
    core->dirty |= bit(self->peer);
    if (lane->owner == self || lane->write - lane->published >= FRAME_SOFT_BYTES_MAX)
        lane_publish_and_ring(lane); /* the frame is full: let the receiver begin */
    self->header.first_n = self->next_n;
    int verdict = lane_begin(lane, &self->header, self->names, self->names_bytes, bytes, &finding);
    if (verdict == SEND_DONE) {
        lane->owner = self;
        lane_append(lane, payload, bytes);
    }
    return outlet_sent(self, verdict, &finding);
}

static PyObject *outlet_send(Outlet *self, PyObject *payload)
{
    struct lane *lane = self->lane;
    if (!PyBytes_Check(payload))
        return PyErr_Format(PyExc_TypeError, "a payload is bytes, not %.100s", Py_TYPE(payload)->tp_name);
    if (self->attachment != lane->attachment)
        return PyErr_Format(Closed, "slot %u is not attached any more", self->peer);
    size_t bytes = (size_t)PyBytes_GET_SIZE(payload);
    if (lane->owner != self || bytes > self->link->small_bytes_max || !lane_fits(lane, bytes))
        return outlet_send_first(self, PyBytes_AS_STRING(payload), bytes);
    lane_append(lane, PyBytes_AS_STRING(payload), bytes);
    self->next_n++;
    Py_RETURN_TRUE;
}

/* The buffers of a sequence; how many, or -1 with an exception. `bytes` is what they have in all. */
static Py_ssize_t get_parts(PyObject *sequence, Py_buffer *views, struct iovec *parts, uint64_t *bytes)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(sequence), got = 0;
    for (; got < count; got++) {
        if (PyObject_GetBuffer(PySequence_Fast_GET_ITEM(sequence, got), &views[got], PyBUF_SIMPLE) < 0)
            break;
        parts[got] = (struct iovec){views[got].buf, (size_t)views[got].len};
        *bytes += (uint64_t)views[got].len;
    }
    if (got == count)
        return count;
    while (got > 0)
        PyBuffer_Release(&views[--got]);
    return -1;
}

/* As one message: joined when it is small. */
static PyObject *outlet_send_buffers(Outlet *self, const struct iovec *parts, size_t count, uint64_t bytes)
{
    if (bytes > self->link->small_bytes_max)
        return outlet_send_large(self, parts, count, bytes);
    PyObject *payload = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes);
    char *at = payload == NULL ? NULL : PyBytes_AS_STRING(payload);
    for (size_t i = 0; at != NULL && i < count; i++) {
        memcpy(at, parts[i].iov_base, parts[i].iov_len);
        at += parts[i].iov_len;
    }
    PyObject *sent = payload == NULL ? NULL : outlet_send(self, payload);
    Py_XDECREF(payload);
    return sent;
}

static PyObject *outlet_send_parts(Outlet *self, PyObject *given)
{
    Py_buffer views[PARTS_MAX];
    struct iovec parts[PARTS_MAX];
    uint64_t bytes = 0;
    if (self->attachment != self->lane->attachment)
        return PyErr_Format(Closed, "slot %u is not attached any more", self->peer);
    PyObject *sequence = PySequence_Fast(given, "parts are a sequence of buffers");
    if (sequence == NULL)
        return NULL;
    PyObject *sent = NULL;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(sequence);
    if (count > (Py_ssize_t)PARTS_MAX)
        PyErr_Format(PyExc_ValueError, "%zd parts, the most is %u", count, PARTS_MAX);
    else if (get_parts(sequence, views, parts, &bytes) >= 0) {
        sent = outlet_send_buffers(self, parts, (size_t)count, bytes);
        for (Py_ssize_t i = 0; i < count; i++)
            PyBuffer_Release(&views[i]);
    }
    Py_DECREF(sequence);
    return sent;
}

static PyMethodDef outlet_methods[] = {
    {"send_parts", (PyCFunction)outlet_send_parts, METH_O, "send_parts(parts) -> bool\n\nSee transport.port.Outlet."},
    {"send", (PyCFunction)outlet_send, METH_O, "send(payload) -> bool\n\nSee transport.port.Outlet."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef outlet_members[] = {
    {"next_n", T_ULONGLONG, offsetof(Outlet, next_n), READONLY, "The number the next message gets."},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject OutletType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "transport._lane.Outlet",
    .tp_basicsize = sizeof(Outlet),
    .tp_dealloc = (destructor)outlet_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "The way from one engine to one mailbox through a lane.",
    .tp_methods = outlet_methods,
    .tp_members = outlet_members,
};

/* The two names side by side, zeros to a multiple of 8. NULL with an exception. */
static uint8_t *join_names(const char *sender, Py_ssize_t sender_bytes, const char *target, Py_ssize_t target_bytes)
{
    if (sender_bytes > NAME_BYTES_MAX || target_bytes > NAME_BYTES_MAX)
        return (uint8_t *)PyErr_Format(PyExc_ValueError, "names have at most %u bytes", NAME_BYTES_MAX);
    uint8_t *names = PyMem_Calloc(1, ALIGN8((size_t)sender_bytes + (size_t)target_bytes) + 8);
    if (names == NULL)
        return (uint8_t *)PyErr_NoMemory();
    memcpy(names, sender, (size_t)sender_bytes);
    memcpy(names + sender_bytes, target, (size_t)target_bytes);
    return names;
}

static int reserve_lane(Link *self, unsigned peer)
{
    int error = core_reserve(&self->core, peer);
    if (error == 0)
        return 0;
    errno = error;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

static PyObject *link_outlet(Link *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"peer", "sender", "target", "mailbox", "epoch", "next_n", NULL};
    const char *sender, *target;
    Py_ssize_t sender_bytes, target_bytes;
    unsigned long long epoch, next_n;
    PyObject *slot, *mailbox;
    unsigned peer;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "Os#s#OKK:outlet", names, &slot, &sender, &sender_bytes, &target,
                                     &target_bytes, &mailbox, &epoch, &next_n))
        return NULL;
    unsigned long box = PyLong_AsUnsignedLong(mailbox);
    if (PyErr_Occurred() || parse_slot(slot, &peer) < 0)
        return NULL;
    if (box > UINT32_MAX)
        return PyErr_Format(PyExc_OverflowError, "mailbox %lu is too large", box);
    struct lane *lane = attached_lane(self, peer);
    if (lane == NULL || reserve_lane(self, peer) < 0)
        return NULL;
    uint8_t *both = join_names(sender, sender_bytes, target, target_bytes);
    Outlet *outlet = both == NULL ? NULL : PyObject_New(Outlet, &OutletType);
    if (outlet == NULL) {
        PyMem_Free(both);
        return NULL;
    }
    Py_INCREF(self);
    outlet->link = self;
    outlet->lane = lane;
    outlet->attachment = lane->attachment;
    outlet->next_n = next_n;
    outlet->peer = peer;
    outlet->header = (struct frame_header){.epoch = epoch, .mailbox = (uint32_t)box,
                                           .sender_bytes = (uint16_t)sender_bytes,
                                           .target_bytes = (uint16_t)target_bytes};
    outlet->names = both;
    outlet->names_bytes = ALIGN8((uint32_t)(sender_bytes + target_bytes));
    return (PyObject *)outlet;
}

static PyObject *link_signal(Link *self, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t bytes;
    unsigned peer;
    struct finding finding;
    if (count != 3)
        return PyErr_Format(PyExc_TypeError, "signal takes peer, kind and target");
    long kind = PyLong_AsLong(args[1]);
    if (PyErr_Occurred() || parse_slot(args[0], &peer) < 0)
        return NULL;
    if (kind < 1 || kind > (long)KIND_MAX)
        return PyErr_Format(PyExc_ValueError, "kind %ld is not stop or go", kind);
    const char *target = PyUnicode_AsUTF8AndSize(args[2], &bytes);
    struct lane *lane = target == NULL ? NULL : attached_lane(self, peer);
    if (lane == NULL || reserve_lane(self, peer) < 0)
        return NULL;
    uint8_t *names = join_names("", 0, target, bytes);
    if (names == NULL)
        return NULL;
    struct frame_header header = {.kind = (uint8_t)kind, .target_bytes = (uint16_t)bytes};
    int verdict = lane_begin(lane, &header, names, ALIGN8((uint32_t)bytes), SIZE_MAX, &finding);
    PyMem_Free(names);
    if (verdict < 0)
        return break_lane(self, peer, &finding);
    if (verdict > 0)
        lane_seal(lane);
    *(verdict > 0 ? &self->core.dirty : &self->core.waiting) |= bit(peer);
    return PyBool_FromLong(verdict);
}

/* --- opening and closing ------------------------------------------------------------------------------------------ */

static void forget_pairs(Link *self, unsigned peer)
{
    name_pairs_free(self->pairs[peer]);
    self->pairs[peer] = NULL;
}

static PyObject *link_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"slot", "out_fd", "in_fd", "doorbell_fd", "wait", "arena_bytes", "owns", NULL};
    int out_fd, in_fd, doorbell, owns = 1;
    const char *wait = "adaptive";
    unsigned long long arena_bytes = ARENA_BYTES;
    PyObject *slot_number;
    unsigned slot;
    struct finding finding;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "Oiii|sKp:LaneLink", names, &slot_number, &out_fd, &in_fd,
                                     &doorbell, &wait, &arena_bytes, &owns))
        return NULL;
    int known = strcmp(wait, "adaptive") == 0 || strcmp(wait, "block") == 0;
    if (!known)
        PyErr_Format(PyExc_ValueError, "wait is 'adaptive' or 'block', not '%s'", wait);
    if (known && arena_bytes < ARENA_BYTES_MIN) {
        PyErr_Format(PyExc_ValueError, "an arena has at least %llu bytes, the largest message, not %llu",
                     (unsigned long long)ARENA_BYTES_MIN, arena_bytes);
        known = 0;
    }
    Link *self = known && parse_slot(slot_number, &slot) == 0 ? (Link *)type->tp_alloc(type, 0) : NULL;
    if (self == NULL) {
        close_all((int[]){out_fd, in_fd, doorbell}, 3);
        return NULL;
    }
    for (unsigned peer = 0; peer < SLOTS_MAX; peer++)
        self->core.lanes[peer].doorbell = -1;
    self->core.adaptive = wait[0] == 'a';
    self->core.arena.bytes_max = arena_bytes;
    int verdict = core_open(&self->core, slot, out_fd, in_fd, doorbell, &finding);
    if (verdict == MAP_OK && owns)
        verdict = core_own(&self->core, 0, &slot, &finding);
    if (verdict != MAP_OK) {
        raise_map(slot, verdict, &finding);
        Py_DECREF(self);
        return NULL;
    }
    self->message_bytes_max = BLOCK_BYTES;
    self->small_bytes_max = self->core.lane_bytes / LARGE_SHARE;
    return (PyObject *)self;
}

static void link_end(Link *self)
{
    if (self->core.open)
        core_close(&self->core);
    for (unsigned peer = 0; peer < SLOTS_MAX; peer++)
        forget_pairs(self, peer);
    Py_CLEAR(self->late);
}

static void link_dealloc(Link *self)
{
    link_end(self);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *link_close(Link *self, PyObject *unused)
{
    (void)unused;
    if (check_awake(self) < 0)
        return NULL;
    link_end(self);
    Py_RETURN_NONE;
}

static PyObject *link_own(Link *self, PyObject *unused)
{
    struct finding finding;
    unsigned peer;
    (void)unused;
    if (check_open(self) < 0)
        return NULL;
    if (self->core.generation != NOT_OWNED)
        return PyErr_Format(PyExc_ValueError, "slot %u is this link's own", self->core.slot);
    int verdict = core_own(&self->core, 1, &peer, &finding);
    if (verdict != MAP_OK)
        return raise_map(peer, verdict, &finding);
    Py_RETURN_NONE;
}

static PyObject *link_attach(Link *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"peer", "out_fd", "in_fd", "doorbell_fd", NULL};
    int fds[3], verdict;
    PyObject *number;
    unsigned peer;
    struct finding finding;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "Oiii:attach", names, &number, &fds[0], &fds[1], &fds[2]))
        return NULL;
    int ok = check_open(self) == 0 && check_awake(self) == 0 && parse_slot(number, &peer) == 0;
    if (ok && (peer == self->core.slot || (self->core.attached & bit(peer)))) {
        PyErr_Format(PyExc_ValueError, peer == self->core.slot ? "slot %u is this link's own" : "slot %u is attached already",
                     peer);
        ok = 0;
    }
    if (ok && self->pairs[peer] == NULL) {
        self->pairs[peer] = name_pairs_new();
        if (self->pairs[peer] == NULL) {
            PyErr_NoMemory();
            ok = 0;
        }
    }
    if (!ok) {
        close_all(fds, 3);
        return NULL;
    }
    verdict = core_attach(&self->core, peer, fds[0], fds[1], fds[2], &finding);
    if (verdict == MAP_OK)
        Py_RETURN_NONE;
    return raise_map(peer, verdict, &finding);
}

static PyObject *link_detach(Link *self, PyObject *number)
{
    unsigned peer;
    if (check_open(self) < 0 || check_awake(self) < 0 || parse_slot(number, &peer) < 0)
        return NULL;
    if (self->core.generation != NOT_OWNED)
        arena_forget(&self->core.arena, &self->core.lanes[peer], peer);
    if (self->core.attached & bit(peer))
        lane_close(&self->core, peer);
    forget_pairs(self, peer);
    Py_RETURN_NONE;
}

/* --- moving ------------------------------------------------------------------------------------------------------- */

static PyObject *link_flush(Link *self, PyObject *unused)
{
    (void)unused;
    if (check_current(self) < 0)
        return NULL;
    core_flush(&self->core);
    Py_RETURN_NONE;
}

static PyObject *link_release(Link *self, PyObject *unused)
{
    (void)unused;
    if (check_current(self) < 0)
        return NULL;
    core_release(&self->core);
    Py_RETURN_NONE;
}

/* Detaches a broken lane and keeps the error for when the frames before it were handed out. */
static void keep_broken(Link *self, unsigned peer, const struct finding *finding)
{
    PyObject *type, *traceback;
    struct lane *lane = &self->core.lanes[peer];
    PyErr_Format(Broken, "lane %u>%u at position %llu: %s", peer, self->core.slot, (unsigned long long)lane->read,
                 finding->text);
    PyErr_Fetch(&type, &self->late, &traceback);
    PyErr_NormalizeException(&type, &self->late, &traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    lane_close(&self->core, peer);
}

/* Appends a lane's frames until `left` messages are taken. 0, or -1 with an exception. */
static int drain_lane(Link *self, unsigned peer, PyObject *frames, Py_ssize_t *left)
{
    struct frame_view view;
    struct finding finding;
    while (*left > 0) {
        finding.text[0] = 0;
        int verdict = core_take(&self->core, peer, &view, &finding);
        if (verdict == TAKE_NONE)
            return 0;
        if (verdict == TAKE_MEMORY) {
            PyErr_NoMemory();
            return -1;
        }
        PyObject *frame = verdict == TAKE_FRAME ? build_frame(self->pairs[peer], self->core.reaches[peer], &view,
                                                                 &finding) : NULL;
        if (frame == NULL && PyErr_Occurred())
            return -1;
        if (frame == NULL) {
            keep_broken(self, peer, &finding);
            return 0;
        }
        int failed = PyList_Append(frames, frame);
        Py_DECREF(frame);
        if (failed < 0)
            return -1;
        core_took(&self->core, peer, &view);
        *left -= view.header.count > 0 ? view.header.count : 1;
    }
    return 0;
}

static PyObject *raise_late(Link *self)
{
    PyObject *error = self->late;
    self->late = NULL;
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return NULL;
}

/* The attached lanes, bits rotated so that lane `*first` comes first and each has its turn. */
static uint64_t lanes_in_turn(struct core *core, unsigned *first)
{
    unsigned by = *first = core->turn;
    core->turn = (by + 1) % SLOTS_MAX;
    return by == 0 ? core->attached : (core->attached >> by) | (core->attached << (SLOTS_MAX - by));
}

static PyObject *link_drain(Link *self, PyObject *messages_max)
{
    Py_ssize_t left = PyLong_AsSsize_t(messages_max);
    if ((left == -1 && PyErr_Occurred()) || check_current(self) < 0)
        return NULL;
    if (self->late != NULL)
        return raise_late(self);
    PyObject *frames = PyList_New(0);
    if (frames == NULL)
        return NULL;
    unsigned first;
    uint64_t lanes = lanes_in_turn(&self->core, &first);
    for (; lanes && left > 0 && self->late == NULL; lanes &= lanes - 1) {
        unsigned peer = (first + (unsigned)__builtin_ctzll(lanes)) % SLOTS_MAX;
        if (drain_lane(self, peer, frames, &left) < 0) {
            if (PyList_GET_SIZE(frames) == 0) {
                Py_DECREF(frames);
                return NULL;
            }
            PyErr_Clear(); /* out of memory: what was taken counts as drained, so it is handed out */
            return frames;
        }
    }
    if (self->late == NULL || PyList_GET_SIZE(frames) > 0)
        return frames;
    Py_DECREF(frames);
    return raise_late(self);
}

static PyObject *link_has_room(Link *self, PyObject *number)
{
    unsigned peer;
    struct finding finding;
    if (parse_slot(number, &peer) < 0)
        return NULL;
    struct lane *lane = attached_lane(self, peer);
    if (lane == NULL)
        return NULL;
    int verdict = core_ask_room(&self->core, peer, &finding);
    return verdict < 0 ? break_lane(self, peer, &finding) : PyBool_FromLong(verdict);
}

static PyObject *link_published(Link *self, PyObject *number)
{
    unsigned peer;
    if (parse_slot(number, &peer) < 0)
        return NULL;
    struct lane *lane = attached_lane(self, peer);
    return lane == NULL ? NULL : PyLong_FromUnsignedLongLong(lane->published);
}

static PyObject *link_released(Link *self, PyObject *number)
{
    unsigned peer;
    struct finding finding;
    if (parse_slot(number, &peer) < 0)
        return NULL;
    struct lane *lane = attached_lane(self, peer);
    if (lane == NULL)
        return NULL;
    if (lane_refresh_head(lane, &finding) < 0)
        return break_lane(self, peer, &finding);
    return PyLong_FromUnsignedLongLong(lane->head_seen);
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

/* Nanoseconds, or -1 for None. -2 with an exception. */
static int64_t parse_timeout(PyObject *value)
{
    if (value == Py_None)
        return -1;
    long long ns = PyLong_AsLongLong(value);
    if (ns == -1 && PyErr_Occurred())
        return -2;
    return ns < 0 ? 0 : ns;
}

/* The watched descriptors among the events. */
static PyObject *ready_list(const Link *self, const struct epoll_event *events, int count)
{
    PyObject *list = PyList_New(0);
    for (int i = 0; list != NULL && i < count; i++) {
        if (events[i].data.fd == self->core.doorbell)
            continue;
        PyObject *fd = PyLong_FromLong(events[i].data.fd);
        if (fd == NULL || PyList_Append(list, fd) < 0)
            Py_CLEAR(list);
        Py_XDECREF(fd);
    }
    return list;
}

/* Looks at the watched descriptors without sleeping: always for a time-out of 0, else once for each coarse clock tick,
 * so that mail that never ends does not hide them. */
static int look(Link *self, struct epoll_event *events, int64_t timeout_ns)
{
    int64_t tick = clock_ns(CLOCK_MONOTONIC_COARSE);
    if (self->core.watched == 0 || (timeout_ns != 0 && tick == self->core.looked_ns))
        return 0;
    self->core.looked_ns = tick;
    int count = core_poll(&self->core, events, 0);
    return count < 0 ? 0 : count;
}

/* Blocks once while armed, unless there is news. Events, or -1 with an exception; 0 also after a signal. */
static int sleep_once(Link *self, struct epoll_event *events, int64_t deadline_ns, int *news)
{
    struct core *core = &self->core;
    int count = 0, error = 0;
    int64_t trim_ns = core_trim(core);
    core_arm(core);
    *news = core_news(core);
    if (!*news) {
        self->sleeping = 1;
        core->blocks++;
        Py_BEGIN_ALLOW_THREADS
        int64_t left_ns = deadline_ns < 0 ? -1 : deadline_ns - clock_ns(CLOCK_MONOTONIC);
        if (deadline_ns >= 0 && left_ns < 0)
            left_ns = 0;
        if (trim_ns >= 0 && (left_ns < 0 || left_ns > trim_ns))
            left_ns = trim_ns;
        count = core_poll(core, events, left_ns);
        error = errno;
        Py_END_ALLOW_THREADS
        self->sleeping = 0;
    }
    core_disarm(core);
    if (count >= 0)
        return count;
    if (error == EINTR)
        return PyErr_CheckSignals() < 0 ? -1 : check_open(self);
    errno = error;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

static int watched_among(const Link *self, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++)
        if (events[i].data.fd != self->core.doorbell)
            return 1;
    return 0;
}

static int wait_asleep(Link *self, struct epoll_event *events, int64_t deadline_ns)
{
    for (;;) {
        int news, count = sleep_once(self, events, deadline_ns, &news);
        /* `news` first: room is reported once */
        if (count < 0 || news || watched_among(self, events, count) || core_news(&self->core))
            return count;
        if (deadline_ns >= 0 && clock_ns(CLOCK_MONOTONIC) >= deadline_ns)
            return count;
        /* a ring for mail that was drained since: sleep again */
    }
}

/* Gives way, then sleeps; a negative time-out is none. Returns how many events are ready, or -1 with an exception. */
static int wait_events(Link *self, struct epoll_event *events, int64_t timeout_ns)
{
    if (check_open(self) < 0 || check_awake(self) < 0)
        return -1;
    struct core *core = &self->core;
    int news = core_news(core), count = look(self, events, timeout_ns);
    if (news || count > 0 || timeout_ns == 0 || self->late != NULL)
        return count;
    int64_t deadline_ns = -1;
    if (timeout_ns > 0) {
        int64_t now = clock_ns(CLOCK_MONOTONIC);
        deadline_ns = timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
    }
    if (core->adaptive) {
        self->sleeping = 1;
        Py_BEGIN_ALLOW_THREADS
        news = core_yield(core);
        Py_END_ALLOW_THREADS
        self->sleeping = 0;
    }
    if (news)
        return 0;
    if (PyErr_CheckSignals() < 0 || check_open(self) < 0)
        return -1;
    return wait_asleep(self, events, deadline_ns);
}

static PyObject *link_wait(Link *self, PyObject *timeout)
{
    struct epoll_event events[WATCHED_MAX + 1];
    int64_t timeout_ns = parse_timeout(timeout);
    int count = timeout_ns == -2 ? -1 : wait_events(self, events, timeout_ns);
    return count < 0 ? NULL : ready_list(self, events, count);
}

static PyObject *link_arm(Link *self, PyObject *unused)
{
    (void)unused;
    if (check_open(self) < 0)
        return NULL;
    core_trim(&self->core);
    core_arm(&self->core);
    if (!core_news(&self->core) && self->late == NULL)
        Py_RETURN_TRUE;
    core_disarm(&self->core);
    Py_RETURN_FALSE;
}

static PyObject *link_hush(Link *self, PyObject *unused)
{
    (void)unused;
    uint64_t rings;
    if (check_open(self) < 0)
        return NULL;
    ssize_t got = read(self->core.doorbell, &rings, sizeof rings);
    (void)got; /* EAGAIN: it was taken already */
    core_disarm(&self->core);
    Py_RETURN_NONE;
}

static PyObject *link_fileno(Link *self, PyObject *unused)
{
    (void)unused;
    return check_open(self) < 0 ? NULL : PyLong_FromLong(self->core.doorbell);
}

static PyObject *watch_with(Link *self, PyObject *descriptor, int (*change)(struct core *, int))
{
    int fd = PyObject_AsFileDescriptor(descriptor);
    if (fd < 0 || check_open(self) < 0 || check_awake(self) < 0)
        return NULL;
    if (change(&self->core, fd) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyObject *link_watch(Link *self, PyObject *descriptor)
{
    return watch_with(self, descriptor, core_watch);
}

static PyObject *link_unwatch(Link *self, PyObject *descriptor)
{
    return watch_with(self, descriptor, core_unwatch);
}

/* What is published lies in shared memory: nothing to wait for. */
static PyObject *link_settle(Link *self, PyObject *timeout)
{
    if (parse_timeout(timeout) == -2)
        return NULL;
    PyObject *done = link_flush(self, NULL);
    Py_XDECREF(done);
    return done == NULL ? NULL : Py_NewRef(Py_True);
}

static PyObject *link_counters(Link *self, PyObject *unused)
{
    (void)unused;
    unsigned long long frames_in = 0, messages_in = 0, frames_out = 0, messages_out = 0, rings = 0;
    for (unsigned peer = 0; peer < SLOTS_MAX; peer++) {
        const struct lane *lane = &self->core.lanes[peer];
        frames_in += lane->frames_in;
        messages_in += lane->messages_in;
        frames_out += lane->frames_out;
        messages_out += lane->messages_out;
        rings += lane->rings;
    }
    return Py_BuildValue("{s:K,s:K,s:K,s:K,s:K,s:K,s:K}", "frames_in", frames_in, "messages_in", messages_in,
                         "frames_out", frames_out, "messages_out", messages_out, "rings", rings, "yields",
                         (unsigned long long)self->core.yields, "blocks", (unsigned long long)self->core.blocks);
}

static PyMethodDef link_methods[] = {
    {"own", (PyCFunction)link_own, METH_NOARGS, "own()\n\nTake the slot over; see the stub."},
    {"attach", (PyCFunction)(void (*)(void))link_attach, METH_VARARGS | METH_KEYWORDS,
     "attach(peer, out_fd, in_fd, doorbell_fd)\n\nLink with a slot. Takes the descriptors, also when it fails."},
    {"detach", (PyCFunction)link_detach, METH_O, "See transport.port.Link."},
    {"outlet", (PyCFunction)(void (*)(void))link_outlet, METH_VARARGS | METH_KEYWORDS, "See transport.port.Link."},
    {"signal", (PyCFunction)(void (*)(void))link_signal, METH_FASTCALL, "See transport.port.Link."},
    {"flush", (PyCFunction)link_flush, METH_NOARGS, "See transport.port.Link."},
    {"drain", (PyCFunction)link_drain, METH_O, "See transport.port.Link."},
    {"release", (PyCFunction)link_release, METH_NOARGS, "See transport.port.Link."},
    {"has_room", (PyCFunction)link_has_room, METH_O, "See transport.port.Link."},
    {"published", (PyCFunction)link_published, METH_O, "See transport.port.Link."},
    {"released", (PyCFunction)link_released, METH_O, "See transport.port.Link."},
    {"wait", (PyCFunction)link_wait, METH_O, "See transport.port.Link."},
    {"watch", (PyCFunction)link_watch, METH_O, "See transport.port.Link."},
    {"unwatch", (PyCFunction)link_unwatch, METH_O, "See transport.port.Link."},
    {"arm", (PyCFunction)link_arm, METH_NOARGS, "See transport.port.Link."},
    {"hush", (PyCFunction)link_hush, METH_NOARGS, "See transport.port.Link."},
    {"fileno", (PyCFunction)link_fileno, METH_NOARGS, "See transport.port.Link."},
    {"settle", (PyCFunction)link_settle, METH_O, "See transport.port.Link."},
    {"counters", (PyCFunction)link_counters, METH_NOARGS, "See transport.port.Link."},
    {"close", (PyCFunction)link_close, METH_NOARGS, "See transport.port.Link."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef link_members[] = {
    {"slot", T_UINT, offsetof(Link, core.slot), READONLY, "This end's slot."},
    {"message_bytes_max", T_ULONGLONG, offsetof(Link, message_bytes_max), READONLY, "64 MiB."},
    {"arena_bytes", T_ULONGLONG, offsetof(Link, core.arena.reserved_bytes), READONLY,
     "Memory reserved for large messages now."},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject LinkType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "transport._lane.LaneLink",
    .tp_basicsize = sizeof(Link),
    .tp_new = link_new,
    .tp_dealloc = (destructor)link_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "LaneLink(slot, out_fd, in_fd, doorbell_fd, wait='adaptive', arena_bytes=268435456, owns=True)\n\nOne process's "
              "end of its slot. Takes the "
              "descriptors, also when it fails. Raises Broken, OSError.",
    .tp_methods = link_methods,
    .tp_members = link_members,
};

#include "lane_calls.h"

/* --- module ------------------------------------------------------------------------------------------------------- */

static PyObject *create_slot(PyObject *module, PyObject *lane_bytes)
{
    (void)module;
    int fds[3];
    unsigned long long bytes = PyLong_AsUnsignedLongLong(lane_bytes);
    if (PyErr_Occurred())
        return NULL;
    if (!lane_bytes_valid(bytes))
        return PyErr_Format(PyExc_ValueError, "lane_bytes is a power of two from %u to %u, not %llu", LANE_BYTES_MIN,
                            LANE_BYTES_MAX, bytes);
    if (slot_create(bytes, fds) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return Py_BuildValue("(iii)", fds[0], fds[1], fds[2]);
}

static PyObject *module_crc32c(PyObject *module, PyObject *data)
{
    Py_buffer view;
    (void)module;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    uint32_t value = crc32c(view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return PyLong_FromUnsignedLong(value);
}

static PyMethodDef module_methods[] = {
    {"create_slot", create_slot, METH_O,
     "create_slot(lane_bytes) -> (out_fd, in_fd, doorbell_fd)\n\nThe memory of a new slot: sealed, unnamed. The caller "
     "owns the descriptors. Raises ValueError, OSError."},
    {"crc32c", module_crc32c, METH_O, "crc32c(data) -> int\n\nCRC-32C (Castagnoli) of a buffer."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_definition = {PyModuleDef_HEAD_INIT, "_lane", "The native core of lanes.", -1,
                                               module_methods, NULL, NULL, NULL, NULL};

/* Finds the types that the seam defines. */
static int import_port(void)
{
    PyObject *port = PyImport_ImportModule("transport.port");
    if (port == NULL)
        return -1;
    Broken = PyObject_GetAttrString(port, "Broken");
    TooLarge = PyObject_GetAttrString(port, "TooLarge");
    Closed = PyObject_GetAttrString(port, "Closed");
    Frame = (PyTypeObject *)PyObject_GetAttrString(port, "Frame");
    Py_DECREF(port);
    if (Broken == NULL || TooLarge == NULL || Closed == NULL || Frame == NULL)
        return -1;
    if (PyType_Check(Frame) && PyType_IsSubtype(Frame, &PyTuple_Type))
        return 0;
    PyErr_SetString(PyExc_TypeError, "transport.port.Frame is a NamedTuple");
    return -1;
}

PyMODINIT_FUNC PyInit__lane(void)
{
    checksum_init();
    if (import_port() < 0 || PyType_Ready(&LinkType) < 0 || PyType_Ready(&OutletType) < 0 ||
        PyType_Ready(&BlockType) < 0)
        return NULL;
    PyObject *module = PyModule_Create(&module_definition);
    if (module == NULL)
        return NULL;
    if (PyModule_AddObjectRef(module, "LaneLink", (PyObject *)&LinkType) < 0 ||
        PyModule_AddObjectRef(module, "Outlet", (PyObject *)&OutletType) < 0 || add_api(module) < 0)
        Py_CLEAR(module);
    return module;
}
