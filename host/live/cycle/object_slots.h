/* Offsets of members in the host's and the model's objects, for reading and writing them without a look-up.
 *
 * All of these classes have slots (or are msgspec structs, which have them too), so a member is a pointer at a fixed
 * offset, which its descriptor has. `bind_slots` reads the descriptors once, at import; a member that is gone or no
 * longer a slot is an ImportError that names it, never a wrong pointer.
 */
#ifndef ENGINEHOST_OBJECT_SLOTS_H
#define ENGINEHOST_OBJECT_SLOTS_H

#include <Python.h>
#include <structmember.h>

#include "../../../engines/model/members.h"

/* module, class, members */
#define BOUND_SLOTS(X)                                                                                                 \
    X("host.node.cell", Cell, env) X("host.node.cell", Cell, name)                                                     \
    X("host.node.cell", Cell, family) X("host.node.cell", Cell, configuration)                                         \
    X("host.node.cell", Cell, inboxes) X("host.node.cell", Cell, marks) X("host.node.cell", Cell, suspension)          \
    X("host.node.cell", Cell, held) X("host.node.cell", Cell, ways) X("host.node.cell", Cell, notify)                  \
    X("host.node.cell", Cell, recorder) X("host.node.cell", Cell, is_ended)                                            \
    X("host.node.cell", Cell, is_queued) X("host.node.cell", Cell, is_stopping) X("host.node.cell", Cell, handled)     \
    X("host.node.cell", Cell, received) X("host.node.cell", Cell, sent) X("host.node.cell", Mark, epoch)               \
    X("host.node.cell", Mark, next_n) X("host.node.mailbox", Inbox, decode) X("host.node.mailbox", Inbox, depth)       \
    X("host.node.mailbox", Inbox, batches) X("host.node.mailbox", Inbox, box) X("host.node.mailbox", Inbox, number)    \
    X("host.node.mailbox", Inbox, stop_at) X("host.node.mailbox", Batch, sender) X("host.node.mailbox", Batch, epoch)  \
    X("host.node.mailbox", Batch, first_n) X("host.node.mailbox", Batch, payloads)                                     \
    X("host.node.mailbox", Batch, is_encoded) X("host.node.mailbox", Batch, position)                                  \
    X("host.node.arrivals", Arrivals, count) X("engines.model.box", Box, accepts_types)                                \
    X("host.node.cell", Cell, only_inbox) X("host.node.cell", Cell, stride) X("host.node.cell", Way, inbox)            \
    X("host.node.cell", Way, next_n) X("host.node.cell", Way, outlet) X("host.node.cell", Way, peer)                   \
    X("host.node.deadlines", Deadlines, earliest) X("host.node.trigger_ring", TriggerRing, buffer)                     \
    X("host.node.progress", Tally, handled) X("host.node.progress", Tally, received)                                   \
    X("host.node.progress", Tally, sent) X("engines.model.plan", Plan, mailbox) X("engines.model.plan", Plan, plain)   \
    X("engines.model.plan", Plan, candidates) X("engines.model.plan", Plan, state_types)                               \
    X("engines.model.trigger", Configuration, params) X("engines.model.trigger", Arrived, message)                     \
    X("engines.model.trigger", Arrived, sender) X("engines.model.trigger", Arrived, mailbox)                           \
    X("engines.model.trigger", Arrived, now_ns) X("engines.model.trigger", Arrived, config)                            \
    X("engines.model.trigger", Arrived, env) X("engines.model.trigger", Arrived, me)                                   \
    X("engines.model.environment", Environment, state) X("engines.model.environment", Environment, mailboxes)          \
    X("engines.model.environment", Environment, timers) X("engines.model.environment", Environment, acquaintances)     \
    X("engines.model.environment", Environment, children) X("engines.model.environment", Environment, timer_count)     \
    X("engines.model.effects", Become, state) X("engines.model.effects", Sent, target)                                 \
    X("engines.model.effects", Sent, message) X("engines.model.outcome", Outgoing, target)                             \
    X("engines.model.outcome", Outgoing, mailbox) X("engines.model.outcome", Outgoing, message)

/* Members that only slots with a journal need; bound there only, since other slots do not import these modules. */
#define KEPT_SLOTS(X)                                                                                                  \
    X("host.node.journaled.keeping", EngineRecorder, numbers)                                                            \
    X("host.node.journaled.keeping", EngineRecorder, turns)                                                            \
    X("host.node.journal.numbering", Numbers, next_n)

#define DECLARE(module, type, member) static Py_ssize_t type##_##member;
BOUND_SLOTS(DECLARE)
KEPT_SLOTS(DECLARE)
#undef DECLARE

static int bind_slot(const char *module, const char *type, const char *member, Py_ssize_t *offset)
{
    PyObject *found = named(module, type);
    PyObject *descriptor = found == NULL ? NULL : PyObject_GetAttrString(found, member);
    int is_slot = descriptor != NULL && Py_IS_TYPE(descriptor, &PyMemberDescr_Type);
    if (is_slot)
        *offset = ((PyMemberDescrObject *)descriptor)->d_member->offset;
    else
        PyErr_Format(PyExc_ImportError, "%s.%s.%s is no slot", module, type, member);
    Py_XDECREF(descriptor);
    Py_XDECREF(found);
    return is_slot ? 0 : -1;
}

#define BIND(module, type, member)                                                                                     \
    if (bind_slot(module, #type, #member, &type##_##member) < 0)                                                       \
        return -1;

static int bind_slots(void)
{
    BOUND_SLOTS(BIND)
    return 0;
}

static int bind_kept_slots(void)
{
    KEPT_SLOTS(BIND)
    return 0;
}
#undef BIND

/* Sets a member; takes over the reference. */
static inline void put(PyObject *object, Py_ssize_t offset, PyObject *value)
{
    PyObject **place = (PyObject **)((char *)object + offset), *before = *place;
    *place = value;
    Py_XDECREF(before);
}

/* Sets a member to a number. 0, or -1 with an exception. */
static inline int put_number(PyObject *object, Py_ssize_t offset, unsigned long long value)
{
    PyObject *number = PyLong_FromUnsignedLongLong(value);
    if (number == NULL)
        return -1;
    put(object, offset, number);
    return 0;
}

static inline unsigned long long number_in(PyObject *object, Py_ssize_t offset)
{
    return PyLong_AsUnsignedLongLong(get(object, offset));
}

static inline int add_number(PyObject *object, Py_ssize_t offset, unsigned long long more)
{
    return more == 0 ? 0 : put_number(object, offset, number_in(object, offset) + more);
}

#endif
