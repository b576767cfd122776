/* A large message as Python sees it: a read-only buffer over the block it lies in. The block is not returned to its
 * producer while this object, or a memoryview of it, lives; it may outlive the link. */
#ifndef ENGINEHOST_BLOCK_OBJECT_H
#define ENGINEHOST_BLOCK_OBJECT_H

#include <Python.h>

#include "core.h"

typedef struct {
    PyObject_HEAD
    struct reach *reach;
    const uint8_t *bytes;
    Py_ssize_t size;
    unsigned block;
} Block;

static void block_dealloc(Block *self)
{
    reach_unview(self->reach, self->block);
    Py_TYPE(self)->tp_free(self);
}

static int block_get_buffer(Block *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, (void *)self->bytes, self->size, 1, flags);
}

static PyBufferProcs block_buffer = {.bf_getbuffer = (getbufferproc)block_get_buffer};

static PyTypeObject BlockType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "transport._lane.Block",
    .tp_basicsize = sizeof(Block),
    .tp_dealloc = (destructor)block_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "A large message where it lies.",
    .tp_as_buffer = &block_buffer,
};

/* The message of a record that was checked, as a memoryview. NULL with an exception. */
static PyObject *view_block(struct reach *reach, const struct block_record *record)
{
    Block *block = PyObject_New(Block, &BlockType);
    if (block == NULL)
        return NULL;
    block->bytes = reach_view(reach, record);
    block->reach = reach;
    block->size = (Py_ssize_t)record->bytes;
    block->block = record->block;
    PyObject *view = PyMemoryView_FromObject((PyObject *)block);
    Py_DECREF(block);
    return view;
}

#endif
