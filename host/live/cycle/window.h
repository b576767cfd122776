/* A window on bytes that lie elsewhere: an object to decode from without a copy, reused for the next bytes.
 *
 * Codecs copy values out of a buffer. A codec that kept the buffer instead would hold a reference to the window, which
 * shows after the decoding: then the bytes are decoded again, from an object of their own.
 */
#ifndef ENGINEHOST_WINDOW_H
#define ENGINEHOST_WINDOW_H

#include <Python.h>

typedef struct {
    PyObject_HEAD
    const void *bytes;
    Py_ssize_t size;
} Window;

static int window_getbuffer(Window *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, (void *)self->bytes, self->size, 1, flags);
}

static PyBufferProcs window_buffer = {(getbufferproc)window_getbuffer, NULL};

static PyTypeObject WindowType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "host.live.cycle._cycle.Window",
    .tp_basicsize = sizeof(Window),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_as_buffer = &window_buffer,
    .tp_doc = "Bytes that lie elsewhere, for as long as a decoder reads them.",
};

/* The value that `decode` returns for these bytes. `*window` is kept for the next call. NULL with an exception. */
static PyObject *decode_at(PyObject *decode, const void *bytes, Py_ssize_t size, Window **window)
{
    if (*window == NULL && (*window = PyObject_New(Window, &WindowType)) == NULL)
        return NULL;
    (*window)->bytes = bytes;
    (*window)->size = size;
    PyObject *made = PyObject_CallOneArg(decode, (PyObject *)*window);
    if (Py_REFCNT(*window) == 1)
        return made;
    PyObject *copy = PyBytes_FromStringAndSize(bytes, size);
    Py_XDECREF(made);
    (*window)->bytes = "";
    (*window)->size = 0;
    Py_CLEAR(*window);
    made = copy == NULL ? NULL : PyObject_CallOneArg(decode, copy);
    Py_XDECREF(copy);
    return made;
}

#endif
