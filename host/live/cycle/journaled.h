/* What the cycle in C records of journaled engines. host/node/journaled/keeping.py describes the records and their
 * reasons, host/node/cycle.py their time; this file is the part that every message pays for.
 *
 * For a frame whose messages were handled here: the frame, then one TURN a message, as two records, at the end of the
 * frame. If Python takes over in the middle of a frame, the recorded frame has only the messages handled here: Python
 * records the rest. Both lie in the batch under construction, so a kill before `commit` leaves nothing.
 *
 * Outputs are numbered and kept at the commit of their transition; only streams that have a number already are common.
 * A transition that is handed over has numbered nothing.
 */
#ifndef ENGINEHOST_JOURNALED_H
#define ENGINEHOST_JOURNALED_H

#include <Python.h>

#include "../../../transport/lane_api.h"
#include "../journal/sums.h"
#include "transition.h"

#define TURN_BYTES 16u
#define TURN_COMMITTED 1u /* host.node.journal.records.Result */
#define TURN_OVERFLOW 3u
#define TURN_FAILED 5u
#define OUTPUT_IS_MESSAGE 1u /* host.node.journal.digest */

static PyObject *Numbered, *str_keep;

/* `host.node.journaled.keeping.Ledger`; `commit` is NULL if the slot has no journal. Strong references. */
struct ledger {
    PyObject *frame, *run, *commit, *left, *flushed;
    uint8_t entries[LANE_FRAME_MESSAGES_MAX * TURN_BYTES];
};

/* An output that has a number: strong references; `kept` is NULL if its engine is volatile. */
struct numbered {
    PyObject *kept, *way, *payload;
    uint64_t n;
};

/* Binds what only slots with a journal need. 0, or -1 with an exception. */
static int ledger_bind(void)
{
    if (Numbered != NULL)
        return 0;
    checksum_init();
    (void)crc32c;
    (void)crc32_of_zlib;
    str_keep = PyUnicode_InternFromString("keep");
    if (str_keep == NULL || bind_kept_slots() < 0)
        return -1;
    Numbered = named("host.node.recorder", "NumberedMessage");
    return Numbered == NULL ? -1 : 0;
}

/* 0, or -1 with an exception. */
static int ledger_hold(struct ledger *ledger, PyObject *from)
{
    if (from == Py_None)
        return 0;
    if (ledger_bind() < 0)
        return -1;
    ledger->frame = PyObject_GetAttrString(from, "frame");
    ledger->run = PyObject_GetAttrString(from, "run");
    ledger->commit = PyObject_GetAttrString(from, "commit");
    ledger->left = PyObject_GetAttrString(from, "left");
    ledger->flushed = PyObject_GetAttrString(from, "flushed");
    return ledger->frame && ledger->run && ledger->commit && ledger->left && ledger->flushed ? 0 : -1;
}

static void numbered_clear(struct numbered *numbered)
{
    Py_CLEAR(numbered->kept);
    Py_CLEAR(numbered->way);
    Py_CLEAR(numbered->payload);
}

static void numbered_clear_all(struct numbered *numbered, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        numbered_clear(&numbered[i]);
}

/* The checksum of one output, as `Digest.outgoing`. 0, or -1 with an exception. */
static int output_sum(PyObject *target, PyObject *mailbox, PyObject *payload, uint32_t *sum)
{
    uint8_t head[5] = {OUTPUT_IS_MESSAGE};
    uint32_t number = (uint32_t)PyLong_AsUnsignedLong(mailbox);
    Py_ssize_t bytes;
    const char *name = PyUnicode_AsUTF8AndSize(target, &bytes);
    if (name == NULL || PyErr_Occurred() || !PyBytes_CheckExact(payload))
        return -1;
    memcpy(head + 1, &number, sizeof number);
    *sum = crc32c_more(0, head, sizeof head);
    *sum = crc32c_more(*sum, (const uint8_t *)name, (size_t)bytes);
    *sum = crc32c_more(*sum, (const uint8_t *)PyBytes_AS_STRING(payload), (size_t)PyBytes_GET_SIZE(payload));
    return 0;
}

/* Encodes a change's outputs and computes their checksum, as `Digest.outputs`. DONE; HAND_OVER if one begins a stream,
 * or cannot be encoded; FAILED. Nothing is numbered yet. */
static int ledger_prepare(PyObject *kept, PyObject *encode, const struct change *change, PyObject *zero,
                          struct numbered *numbered, uint32_t *total)
{
    PyObject *next_n = get(get(kept, EngineRecorder_numbers), Numbers_next_n);
    *total = 0;
    for (unsigned i = 0; i < change->count; i++) {
        const struct output *output = &change->outputs[i];
        PyObject *mailbox = output->mailbox ? output->mailbox : zero;
        uint32_t sums[2] = {*total, 0};
        numbered[i] = (struct numbered){Py_NewRef(kept), PyTuple_Pack(2, output->target, mailbox),
                                        PyObject_CallOneArg(encode, output->message), 0};
        if (!numbered[i].way || !numbered[i].payload || PyDict_Contains(next_n, numbered[i].way) != 1 ||
            output_sum(output->target, mailbox, numbered[i].payload, &sums[1]) < 0) {
            numbered_clear_all(numbered, i + 1);
            return hand_over();
        }
        *total = i == 0 ? sums[1] : crc32c_more(0, (const uint8_t *)sums, sizeof sums);
    }
    return DONE;
}

/* Gives outputs their numbers, and keeps them, as `EngineRecorder.handled`. 0, or -1 with an exception. */
static int ledger_number(PyObject *kept, struct numbered *numbered, unsigned count)
{
    PyObject *next_n = get(get(kept, EngineRecorder_numbers), Numbers_next_n);
    for (unsigned i = 0; i < count; i++) {
        PyObject *n = Py_XNewRef(PyDict_GetItemWithError(next_n, numbered[i].way));
        numbered[i].n = n == NULL ? 0 : PyLong_AsUnsignedLongLong(n);
        PyObject *next = n == NULL ? NULL : PyLong_FromUnsignedLongLong(numbered[i].n + 1);
        PyObject *done = NULL;
        if (next != NULL && PyDict_SetItem(next_n, numbered[i].way, next) == 0)
            done = PyObject_CallMethodObjArgs(kept, str_keep, numbered[i].way, n, numbered[i].payload, NULL);
        Py_XDECREF(n);
        Py_XDECREF(next);
        if (done == NULL)
            return -1;
        Py_DECREF(done);
    }
    return 0;
}

/* Prepares the TURN of the `at`-th message of a frame. */
static void ledger_turn(struct ledger *ledger, unsigned at, int64_t now_ns, uint32_t outputs, uint32_t result)
{
    uint32_t words[4] = {0, 0, outputs, result};
    memcpy(words, &now_ns, sizeof now_ns);
    memcpy(ledger->entries + at * TURN_BYTES, words, sizeof words);
}

/* Records a frame whose first `taken` messages were handled, and their turns. 0, or -1 with an exception. */
static int ledger_frame(struct ledger *ledger, const struct lane_api *api, PyObject *kept, PyObject *cell,
                        PyObject *code, PyObject *mailbox, const struct lane_frame *frame, uint32_t taken)
{
    PyObject *front = api->front(frame, taken);
    PyObject *written = front == NULL ? NULL : PyObject_CallFunctionObjArgs(ledger->frame, frame->target, front, NULL);
    Py_XDECREF(front);
    if (written == NULL)
        return -1;
    Py_DECREF(written);
    unsigned long long first_n = frame->first_n - taken;
    written = PyObject_CallFunction(ledger->run, "OOOKKOIy#", frame->target, frame->sender, mailbox,
                                    (unsigned long long)frame->epoch, first_n, code, taken, ledger->entries,
                                    (Py_ssize_t)(taken * TURN_BYTES));
    if (written == NULL)
        return -1;
    Py_DECREF(written);
    written = PyObject_CallMethod(cell, "mark", "OOKK", frame->sender, mailbox, (unsigned long long)frame->epoch,
                                  (unsigned long long)frame->first_n);
    Py_XDECREF(written);
    return written == NULL ? -1 : add_number(kept, EngineRecorder_turns, taken);
}

/* Calls one of the ledger's functions. Its result as 1 or 0, or -1 with an exception. */
static int ledger_ask(PyObject *function)
{
    PyObject *said = PyObject_CallNoArgs(function);
    int verdict = said == NULL ? -1 : said == Py_True;
    Py_XDECREF(said);
    return verdict;
}

#endif
