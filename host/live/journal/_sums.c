/* host.live.journal._sums: CRC32C with a start value, and complete records of a journal with that checksum.
 *
 * `record` equals `host.node.journal.layout.encode_record`, which defines the layout; a test compares them.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "sums.h"

static PyObject *sums_crc32c(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "crc32c takes 2 arguments, not %zd", count);
    unsigned long start = PyLong_AsUnsignedLong(args[1]);
    if (start == (unsigned long)-1 && PyErr_Occurred())
        return NULL;
    Py_buffer view;
    if (PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) < 0)
        return NULL;
    uint32_t value = crc32c_more((uint32_t)start, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return PyLong_FromUnsignedLong(value);
}

#define RECORD_BYTES 16u

static PyObject *sums_record(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (count != 3)
        return PyErr_Format(PyExc_TypeError, "record takes 3 arguments, not %zd", count);
    unsigned long kind = PyLong_AsUnsignedLong(args[0]), engine = PyLong_AsUnsignedLong(args[1]);
    if (PyErr_Occurred())
        return NULL;
    Py_buffer body;
    if (PyObject_GetBuffer(args[2], &body, PyBUF_SIMPLE) < 0)
        return NULL;
    size_t bytes = RECORD_BYTES + (size_t)body.len, padded = (bytes + 7) & ~(size_t)7;
    PyObject *record = bytes > UINT32_MAX ? PyErr_Format(PyExc_ValueError, "a record of %zu bytes", bytes)
                                          : PyBytes_FromStringAndSize(NULL, (Py_ssize_t)padded);
    if (record != NULL) {
        uint8_t *to = (uint8_t *)PyBytes_AS_STRING(record);
        uint32_t words[4] = {(uint32_t)bytes, 0, (uint32_t)kind & 0xff, (uint32_t)engine};
        memcpy(to, words, sizeof words);
        memcpy(to + RECORD_BYTES, body.buf, (size_t)body.len);
        memset(to + bytes, 0, padded - bytes);
        words[1] = crc32c_more(0, to + 8, bytes - 8);
        memcpy(to + 4, words + 1, 4);
    }
    PyBuffer_Release(&body);
    return record;
}

static PyMethodDef functions[] = {
    {"record", (PyCFunction)(void (*)(void))sums_record, METH_FASTCALL,
     "record(kind, engine, body) -> bytes\n\nA record with its head and CRC32C, padded."},
    {"crc32c", (PyCFunction)(void (*)(void))sums_crc32c, METH_FASTCALL,
     "crc32c(data, start) -> int\n\nThe checksum of data behind what start is the checksum of."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "host.live.journal._sums",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__sums(void)
{
    checksum_init();
    (void)crc32c;
    (void)crc32_of_zlib;
    return PyModule_Create(&definition);
}
