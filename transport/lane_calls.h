/* The calls of `lane_api.h`, on the types of `_lane.c`, which includes this file behind them. */
#ifndef ENGINEHOST_LANE_CALLS_H
#define ENGINEHOST_LANE_CALLS_H

#include "lane_api.h"

/* Whether all messages of a checked frame lie within it, as `build_payloads` would find. 0, or -1 with a finding. */
static int check_messages(const struct frame_view *view, struct finding *finding)
{
    const uint8_t *cursor = view->messages, *payload = NULL;
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < view->header.count; i++)
        if (frame_next(&cursor, view->end, &payload, &bytes, finding) < 0)
            return -1;
    return cursor == view->end ? 0 : find(finding, "%td bytes behind the last message", view->end - cursor);
}

static int api_begin(PyObject *link, struct lane_frame *frame)
{
    Link *self = (Link *)link;
    if (check_current(self) < 0)
        return -1;
    if (self->late != NULL) {
        raise_late(self);
        return -1;
    }
    frame->lanes = lanes_in_turn(&self->core, &frame->first);
    return 0;
}

/* Fills in what a checked view says. 0; -1 with an exception, or with none and a finding. */
static int fill_frame(Link *self, unsigned peer, const struct frame_view *view, struct lane_frame *frame,
                      struct finding *finding)
{
    const struct frame_header *h = &view->header;
    struct name_pair *pair = pair_place(self->pairs[peer], view);
    if (check_messages(view, finding) < 0 || (!pair_matches(pair, view) && pair_replace(pair, view, finding) < 0))
        return -1;
    frame->peer = peer;
    frame->kind = h->flags & FLAG_IN_BLOCK ? LANE_FRAME_IN_BLOCK : h->kind;
    frame->mailbox = h->mailbox;
    frame->count = h->count;
    frame->epoch = h->epoch;
    frame->first_n = h->first_n;
    frame->sender = pair->sender;
    frame->target = pair->target;
    frame->start = self->core.scratch;
    frame->cursor = view->messages;
    frame->end = view->end;
    return 0;
}

static int api_take(PyObject *link, struct lane_frame *frame)
{
    Link *self = (Link *)link;
    struct frame_view view;
    struct finding finding;
    for (; frame->lanes; frame->lanes &= frame->lanes - 1) {
        unsigned peer = (frame->first + (unsigned)__builtin_ctzll(frame->lanes)) % SLOTS_MAX;
        finding.text[0] = 0;
        int verdict = core_take(&self->core, peer, &view, &finding);
        if (verdict == TAKE_NONE)
            continue;
        if (verdict == TAKE_MEMORY) {
            PyErr_NoMemory();
            return -1;
        }
        if (verdict == TAKE_FRAME && fill_frame(self, peer, &view, frame, &finding) == 0) {
            core_took(&self->core, peer, &view);
            return 1;
        }
        if (PyErr_Occurred())
            return -1;
        keep_broken(self, peer, &finding);
        frame->lanes = 0; /* as `drain`: reported before more is taken */
        return 0;
    }
    return 0;
}

static int api_payload(PyObject *link, struct lane_frame *frame, const uint8_t **payload, Py_ssize_t *size)
{
    uint32_t bytes = 0;
    struct finding finding;
    (void)link;
    if (frame_next(&frame->cursor, frame->end, payload, &bytes, &finding) < 0) {
        PyErr_SetString(Broken, finding.text); /* not reached: `fill_frame` looked */
        return -1;
    }
    frame->count--;
    frame->first_n++;
    *size = bytes;
    return 0;
}

/* A frame whose message lies in a block: what its record says is still in the private copy. */
static PyObject *rest_in_block(Link *self, const struct lane_frame *frame)
{
    struct block_record record;
    memcpy(&record, frame->cursor + 4, sizeof record);
    PyObject *payloads = build_block_payload(self->core.reaches[frame->peer], &record);
    if (payloads == NULL)
        return NULL;
    return PyObject_CallFunction((PyObject *)Frame, "IIOOIKKN", frame->peer, 0u, frame->sender, frame->target,
                                 (unsigned)frame->mailbox, (unsigned long long)frame->epoch,
                                 (unsigned long long)frame->first_n, payloads);
}

static PyObject *api_rest(PyObject *link, struct lane_frame *frame)
{
    if (frame->kind == LANE_FRAME_IN_BLOCK)
        return rest_in_block((Link *)link, frame);
    PyObject *payloads = PyList_New(0);
    unsigned long long first_n = frame->first_n;
    while (payloads != NULL && frame->count > 0) {
        const uint8_t *bytes = NULL;
        Py_ssize_t size = 0;
        PyObject *payload =
            api_payload(link, frame, &bytes, &size) < 0 ? NULL : PyBytes_FromStringAndSize((const char *)bytes, size);
        if (payload == NULL || PyList_Append(payloads, payload) < 0)
            Py_CLEAR(payloads);
        Py_XDECREF(payload);
    }
    if (payloads == NULL)
        return NULL;
    return PyObject_CallFunction((PyObject *)Frame, "IIOOIKKN", frame->peer, (unsigned)frame->kind, frame->sender,
                                 frame->target, (unsigned)frame->mailbox, (unsigned long long)frame->epoch, first_n,
                                 payloads);
}

static void api_copy_front(const struct lane_frame *frame, uint32_t count, uint8_t *into)
{
    struct frame_header header;
    size_t length = (size_t)(frame->cursor - frame->start);
    memcpy(into, frame->start, length);
    memcpy(&header, frame->start, sizeof header);
    header.length = (uint32_t)length;
    header.count = count;
    memcpy(into, &header, sizeof header);
}

static PyObject *api_front(const struct lane_frame *frame, uint32_t count)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, frame->cursor - frame->start);
    if (bytes != NULL)
        api_copy_front(frame, count, (uint8_t *)PyBytes_AS_STRING(bytes));
    return bytes;
}

static int done(PyObject *result)
{
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int api_release(PyObject *link)
{
    return done(link_release((Link *)link, NULL));
}

static int api_flush(PyObject *link)
{
    return done(link_flush((Link *)link, NULL));
}

static int api_send(PyObject *outlet, PyObject *payload)
{
    PyObject *sent = outlet_send((Outlet *)outlet, payload);
    int verdict = sent == Py_True;
    return done(sent) < 0 ? -1 : verdict;
}

static uint64_t api_next_n(PyObject *outlet)
{
    return ((Outlet *)outlet)->next_n;
}

static int api_wait(PyObject *link, int64_t timeout_ns)
{
    struct epoll_event events[WATCHED_MAX + 1];
    int count = wait_events((Link *)link, events, timeout_ns);
    return count < 0 ? -1 : watched_among((Link *)link, events, count);
}

static const struct lane_api api = {
    .link = &LinkType,
    .outlet = &OutletType,
    .begin = api_begin,
    .take = api_take,
    .payload = api_payload,
    .rest = api_rest,
    .front = api_front,
    .copy_front = api_copy_front,
    .release = api_release,
    .flush = api_flush,
    .send = api_send,
    .next_n = api_next_n,
    .wait = api_wait,
};

static int add_api(PyObject *module)
{
    PyObject *capsule = PyCapsule_New((void *)&api, LANE_API_NAME, NULL);
    int failed = capsule == NULL ? -1 : PyModule_AddObjectRef(module, "api", capsule);
    Py_XDECREF(capsule);
    return failed;
}

#endif
