/* `engines.model.conform.conformer` in C: an object for each type, called with a value and the one in its place before.
 *
 * It returns what `conform` returns, and raises what `conform` raises; see conform.h. `engines.model.law` uses it where
 * it was built, the cycle of the live host has the same code inside.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "conform.h"

/* It lives as long as the process, like its form: `law` makes one for each type. */
struct conforming {
    PyObject_HEAD
    vectorcallfunc call;
    struct form form;
};

static PyObject *conforming_call(PyObject *self, PyObject *const *given, size_t flags, PyObject *names)
{
    Py_ssize_t count = PyVectorcall_NARGS(flags);
    if (names != NULL || count < 1 || count > 2) {
        PyErr_SetString(PyExc_TypeError, "a conformer takes a value, and the value before it");
        return NULL;
    }
    return conform(&((struct conforming *)self)->form, given[0], count == 2 ? given[1] : NULL);
}

static PyTypeObject conforming_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "engines.model._conform.Conforming",
    .tp_basicsize = sizeof(struct conforming),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_vectorcall_offset = offsetof(struct conforming, call),
    .tp_call = PyVectorcall_Call,
};

static PyObject *conformer(PyObject *module, PyObject *type)
{
    (void)module;
    struct conforming *made = PyObject_New(struct conforming, &conforming_type);
    if (made == NULL)
        return NULL;
    made->call = conforming_call;
    made->form = (struct form){0};
    if (form_of(&made->form, type) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return (PyObject *)made;
}

static PyMethodDef methods[] = {
    {"conformer", conformer, METH_O, "The conformer of a type."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "engines.model._conform",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__conform(void)
{
    if (conform_bind() < 0 || PyType_Ready(&conforming_type) < 0)
        return NULL;
    return PyModule_Create(&module);
}
