/* The stream of the message in flight, on the control page, as `Turns.show_stream` has it: host/live/control_page.py.
 *
 * It is written while the page's word N is 0. A busy node shows one for each frame, so no Python runs here.
 */
#ifndef ENGINEHOST_SHOWN_STREAM_H
#define ENGINEHOST_SHOWN_STREAM_H

#include "cycle.h"

static int put_name(Cycle *self, unsigned index, size_t at, PyObject *name)
{
    Py_ssize_t bytes = 0;
    const char *text = PyUnicode_AsUTF8AndSize(name, &bytes);
    if (text == NULL)
        return -1;
    bytes = bytes > PAGE_NAME_BYTES_MAX ? PAGE_NAME_BYTES_MAX : bytes;
    uint8_t *page = self->page_view.buf;
    memcpy(page + at, text, (size_t)bytes);
    ((volatile uint64_t *)(page + PAGE_LENGTHS_AT))[index] = (uint64_t)bytes;
    return 0;
}

/* Shows the stream that comes next. 0, or -1 with an exception. */
static int show_stream(Cycle *self, PyObject *cell, const struct lane_frame *frame)
{
    if (self->shown_cell == cell && self->shown_sender == frame->sender && self->shown_mailbox == frame->mailbox &&
        self->shown_epoch == frame->epoch)
        return 0;
    /* the page will no longer show what Python wrote last */
    if (self->shown_cell == NULL && PyObject_SetAttr(self->turns, str_shown, Py_None) < 0)
        return -1;
    if (put_name(self, 0, PAGE_ENGINE_AT, get(cell, Cell_name)) < 0 ||
        put_name(self, 1, PAGE_SENDER_AT, frame->sender) < 0)
        return -1;
    self->words[WORD_MAILBOX] = frame->mailbox;
    self->words[WORD_EPOCH] = frame->epoch;
    Py_XSETREF(self->shown_cell, Py_NewRef(cell));
    Py_XSETREF(self->shown_sender, Py_NewRef(frame->sender));
    self->shown_mailbox = frame->mailbox;
    self->shown_epoch = frame->epoch;
    return 0;
}

#endif
