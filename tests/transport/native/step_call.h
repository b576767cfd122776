/* Included before `_lane.c`: at each named step of the core, `sys.lane_step(name)` is called where Python may be. */
#ifndef ENGINEHOST_STEP_CALL_H
#define ENGINEHOST_STEP_CALL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

static void step_call(const char *name)
{
    PyObject *called = PyGILState_Check() ? PySys_GetObject("lane_step") : NULL;
    if (called == NULL)
        return;
    PyObject *result = PyObject_CallFunction(called, "s", name);
    if (result == NULL)
        PyErr_WriteUnraisable(called);
    Py_XDECREF(result);
}

#define LANE_STEP(name) step_call(#name)

#endif
