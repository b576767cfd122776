/* From the checked view of a frame to `transport.port.Frame`: payloads become bytes, names become strings.
 *
 * Names repeat, so each lane keeps the last pairs it decoded, placed by a hash of their bytes: equal bytes cost a
 * comparison and two references, not a decoding. What the view still gets wrong (a length, UTF-8) is a finding, not an
 * exception, since it is the peer's fault and ends the lane.
 */
#ifndef ENGINEHOST_FRAME_OBJECT_H
#define ENGINEHOST_FRAME_OBJECT_H

#include <Python.h>

#include "block_object.h"

#define NAME_PAIRS 8u /* remembered a lane; pair_place takes three bits of its hash */

struct name_pair {
    uint8_t *key;
    uint32_t key_bytes; /* of both names, and of the sender's */
    PyObject *sender, *target;
};

static PyTypeObject *Frame;

static struct name_pair *name_pairs_new(void)
{
    return PyMem_Calloc(NAME_PAIRS, sizeof(struct name_pair));
}

static void name_pairs_free(struct name_pair *pairs)
{
    for (unsigned i = 0; pairs != NULL && i < NAME_PAIRS; i++) {
        PyMem_Free(pairs[i].key);
        Py_XDECREF(pairs[i].sender);
        Py_XDECREF(pairs[i].target);
    }
    PyMem_Free(pairs);
}

/* Decodes one name; a wrong one is a finding, not an exception. */
static PyObject *decode_name(const uint8_t *bytes, uint32_t length, struct finding *finding)
{
    PyObject *name = PyUnicode_DecodeUTF8((const char *)bytes, length, NULL);
    if (name == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
        find(finding, "a name is not UTF-8");
        return NULL;
    }
#if PY_VERSION_HEX < 0x030c0000 || PY_VERSION_HEX >= 0x030d0000 /* 3.12 keeps interned strings for ever */
    if (name != NULL)
        PyUnicode_InternInPlace(&name);
#endif
    return name;
}

/* The place of a frame's names among those remembered: by their bytes, eight at a time. */
static struct name_pair *pair_place(struct name_pair *pairs, const struct frame_view *view)
{
    uint64_t sum = view->header.sender_bytes, part;
    for (uint32_t i = 0; i < view->names_bytes; i += 8) {
        memcpy(&part, view->names + i, 8);
        sum = (sum ^ part) * 0x9e3779b97f4a7c15ull;
    }
    return &pairs[sum >> 61];
}

static int pair_matches(const struct name_pair *pair, const struct frame_view *view)
{
    const struct frame_header *h = &view->header;
    uint32_t bytes = (uint32_t)h->sender_bytes + h->target_bytes;
    return pair->sender != NULL && pair->key_bytes == ((bytes << 12) | h->sender_bytes) &&
           memcmp(pair->key, view->names, bytes) == 0;
}

static int pair_replace(struct name_pair *pair, const struct frame_view *view, struct finding *finding)
{
    const struct frame_header *h = &view->header;
    uint32_t bytes = (uint32_t)h->sender_bytes + h->target_bytes;
    PyObject *sender = decode_name(view->names, h->sender_bytes, finding);
    PyObject *target = sender == NULL ? NULL : decode_name(view->names + h->sender_bytes, h->target_bytes, finding);
    uint8_t *key = target == NULL ? NULL : PyMem_Malloc(bytes + 1);
    if (key == NULL) {
        if (target != NULL)
            PyErr_NoMemory();
        Py_XDECREF(sender);
        Py_XDECREF(target);
        return -1;
    }
    memcpy(key, view->names, bytes);
    PyMem_Free(pair->key);
    Py_XDECREF(pair->sender);
    Py_XDECREF(pair->target);
    *pair = (struct name_pair){.key = key, .key_bytes = (bytes << 12) | h->sender_bytes, .sender = sender,
                               .target = target};
    return 0;
}

/* The one message that lies in a block, as a list. NULL with an exception. */
static PyObject *build_block_payload(struct reach *reach, const struct block_record *record)
{
    PyObject *list = PyList_New(1), *payload = list == NULL ? NULL : view_block(reach, record);
    if (payload == NULL) {
        Py_XDECREF(list);
        return NULL;
    }
    PyList_SET_ITEM(list, 0, payload);
    return list;
}

/* The messages as a list of bytes. NULL: an exception, or none and a finding. */
static PyObject *build_payloads(const struct frame_view *view, struct finding *finding)
{
    const uint8_t *cursor = view->messages, *payload = NULL;
    uint32_t bytes = 0;
    PyObject *list = PyList_New(view->header.count);
    if (list == NULL)
        return NULL;
    for (uint32_t i = 0; i < view->header.count; i++) {
        PyObject *item = NULL;
        if (frame_next(&cursor, view->end, &payload, &bytes, finding) == 0)
            item = PyBytes_FromStringAndSize((const char *)payload, bytes);
        if (item == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, i, item);
    }
    if (cursor == view->end)
        return list;
    find(finding, "%td bytes behind the last message", view->end - cursor);
    Py_DECREF(list);
    return NULL;
}

/* A Frame of a checked view. NULL: an exception, or none and a finding. */
static PyObject *build_frame(struct name_pair *pairs, struct reach *reach, const struct frame_view *view,
                             struct finding *finding)
{
    struct name_pair *pair = pair_place(pairs, view);
    if (!pair_matches(pair, view) && pair_replace(pair, view, finding) < 0)
        return NULL;
    int in_block = view->header.flags & FLAG_IN_BLOCK;
    PyObject *payloads = in_block ? build_block_payload(reach, &view->block) : build_payloads(view, finding);
    PyObject *frame = payloads == NULL ? NULL : Frame->tp_alloc(Frame, 8);
    if (frame == NULL) {
        Py_XDECREF(payloads);
        return NULL;
    }
    PyTuple_SET_ITEM(frame, 0, PyLong_FromUnsignedLong(reach->peer));
    PyTuple_SET_ITEM(frame, 1, PyLong_FromUnsignedLong(view->header.kind));
    PyTuple_SET_ITEM(frame, 2, Py_NewRef(pair->sender));
    PyTuple_SET_ITEM(frame, 3, Py_NewRef(pair->target));
    PyTuple_SET_ITEM(frame, 4, PyLong_FromUnsignedLong(view->header.mailbox));
    PyTuple_SET_ITEM(frame, 5, PyLong_FromUnsignedLongLong(view->header.epoch));
    PyTuple_SET_ITEM(frame, 6, PyLong_FromUnsignedLongLong(view->header.first_n));
    PyTuple_SET_ITEM(frame, 7, payloads);
    if (PyErr_Occurred())
        Py_CLEAR(frame);
    return frame;
}

#endif
