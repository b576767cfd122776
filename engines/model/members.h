/* Names of Python modules, and members of objects at a fixed offset. */
#ifndef ENGINEHOST_MEMBERS_H
#define ENGINEHOST_MEMBERS_H

#include <Python.h>
#include <structmember.h>

/* A name in a module: a new reference, or NULL with an exception. */
static PyObject *named(const char *module, const char *name)
{
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *found = imported == NULL ? NULL : PyObject_GetAttrString(imported, name);
    Py_XDECREF(imported);
    return found;
}

/* A member: borrowed, NULL if it was never set. */
static inline PyObject *get(PyObject *object, Py_ssize_t offset)
{
    return *(PyObject **)((char *)object + offset);
}

#endif
