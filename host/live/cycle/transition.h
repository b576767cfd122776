/* The common case of `engines.model.step.arrive`, in C: a plain plan, with a state, sends, or nothing as effects.
 *
 * `step` stays the definition. A transition that is not exactly the common case is not done here at all: `transit`
 * returns HAND_OVER, nothing has happened, and the caller gives the same message to Python, which runs the same pure
 * rules again. A rule, or an effect of it, that raises ends its transition here too: `transit` returns RAISED, nothing
 * has happened, and the exception is set, for `Turns.conclude_raised`; the rule is not run again. Tests compare both
 * for every family.
 *
 * The objects a rule sees are the model's own. A trigger or environment without other references after a transition is
 * reused for the next one; no rule can distinguish it from a new one.
 */
#ifndef ENGINEHOST_TRANSITION_H
#define ENGINEHOST_TRANSITION_H

#include <Python.h>

#include "../../../engines/model/conform.h"
#include "object_slots.h"

#define ADDRESS_CHARS_MAX 4096 /* engines.model.law.ADDRESS_CHARS_MAX */
#define OUTPUTS_MAX 16u /* sends of one transition; more are Python's */

enum { DONE = 0, HAND_OVER = 1, RAISED = 2, FAILED = -1 };

static PyTypeObject *Arrived, *Batch, *Become, *Delivery, *Environment, *Outgoing, *Sent;
static PyObject *commit, *StoredOverflow;

/* The inputs of a transition, all borrowed. `kind` is the last message's type, and `plan` its plan, which is plain and
 * of this mailbox; `state_kind` is the last state's type. The family keeps all three alive. `emits` has the form of
 * each type of message that may be sent, in a capsule; `sent_kind` is the type of the last one, and `sent_form` its
 * form. */
struct setting {
    PyObject *family, *plans, *emits, *configuration, *params;
    const struct form *state_form;
    PyObject *sender, *mailbox, *now;
    PyTypeObject *kind, *state_kind, *sent_kind;
    const struct form *sent_form;
    PyObject *plan;
};

struct output {
    PyObject *target, *mailbox, *message; /* strong; mailbox NULL: 0 */
};

/* The result of a transition, with references of its own: `state` or `env` or neither. */
struct change {
    PyObject *state, *env;
    unsigned count;
    struct output outputs[OUTPUTS_MAX];
};

static inline void change_start(struct change *change)
{
    change->state = change->env = NULL;
    change->count = 0;
}

static void change_clear(struct change *change)
{
    Py_CLEAR(change->state);
    Py_CLEAR(change->env);
    for (; change->count > 0; change->count--) {
        struct output *output = &change->outputs[change->count - 1];
        Py_DECREF(output->target);
        Py_XDECREF(output->mailbox);
        Py_DECREF(output->message);
    }
}

/* An exception of the host becomes HAND_OVER: Python raises it again. */
static int hand_over(void)
{
    PyErr_Clear();
    return HAND_OVER;
}

/* A trigger for this message: the last one, if it has no other reference. NULL with an exception. */
static PyObject *trigger_for(PyObject *last, const struct setting *at, PyObject *env, PyObject *message)
{
    if (last == NULL || Py_REFCNT(last) != 1) {
        PyObject *fields[] = {message, at->sender, at->mailbox, at->now, at->params, env, at->configuration};
        Py_XDECREF(last);
        return PyObject_Vectorcall((PyObject *)Arrived, fields, 7, NULL);
    }
    put(last, Arrived_message, Py_NewRef(message));
    if (get(last, Arrived_env) != env)
        put(last, Arrived_env, Py_NewRef(env));
    if (get(last, Arrived_sender) != at->sender)
        put(last, Arrived_sender, Py_NewRef(at->sender));
    if (get(last, Arrived_now_ns) != at->now)
        put(last, Arrived_now_ns, Py_NewRef(at->now));
    if (get(last, Arrived_me) != at->configuration) {
        put(last, Arrived_config, Py_NewRef(at->params));
        put(last, Arrived_me, Py_NewRef(at->configuration));
    }
    put(last, Arrived_mailbox, Py_NewRef(at->mailbox));
    return last;
}

static int is_addressed_plainly(PyObject *target)
{
    return PyUnicode_CheckExact(target) && PyUnicode_IS_COMPACT_ASCII(target) &&
           PyUnicode_GET_LENGTH(target) <= ADDRESS_CHARS_MAX &&
           memchr(PyUnicode_DATA(target), '#', (size_t)PyUnicode_GET_LENGTH(target)) == NULL;
}

/* The form of a message that may be sent; NULL, maybe with an exception, for a message of another type. */
static const struct form *sent_form(struct setting *at, PyTypeObject *kind)
{
    if (kind == at->sent_kind)
        return at->sent_form;
    PyObject *found = PyDict_GetItemWithError(at->emits, (PyObject *)kind);
    if (found == NULL)
        return NULL;
    at->sent_kind = kind;
    return at->sent_form = PyCapsule_GetPointer(found, NULL);
}

/* Takes one send of an action, which was caused by `cause`. DONE, HAND_OVER, RAISED or FAILED. */
static int take_sent(struct change *change, struct setting *at, PyObject *cause, PyObject *effect)
{
    PyObject *target = get(effect, Sent_target), *message = get(effect, Sent_message);
    if (target == NULL || message == NULL || change->count == OUTPUTS_MAX || !is_addressed_plainly(target))
        return HAND_OVER;
    const struct form *form = sent_form(at, Py_TYPE(message));
    if (form == NULL)
        return hand_over();
    PyObject *fit = conform(form, message, Py_TYPE(message) == Py_TYPE(cause) ? cause : NULL);
    if (fit == NULL)
        return RAISED; /* the exception stays set */
    change->outputs[change->count++] = (struct output){Py_NewRef(target), NULL, fit};
    return DONE;
}

/* A new state. DONE, RAISED or FAILED. */
static int take_state(struct change *change, struct setting *at, PyObject *env, PyObject *state)
{
    PyObject *fit = conform(at->state_form, state, get(env, Environment_state));
    if (fit == NULL)
        return RAISED; /* the exception stays set */
    Py_XSETREF(change->state, fit);
    return DONE;
}

/* Whether the family has states of this type. 1, 0, or -1 with an exception. */
static int is_state(struct setting *at, PyTypeObject *kind)
{
    if (kind == at->state_kind)
        return 1;
    int found = PySet_Contains(get(at->plan, Plan_state_types), (PyObject *)kind);
    if (found == 1)
        at->state_kind = kind;
    return found;
}

/* Takes one effect of a list, a state or a send. DONE, HAND_OVER, RAISED or FAILED. */
static int take_effect(struct change *change, struct setting *at, PyObject *env, PyObject *message, PyObject *effect)
{
    if (Py_IS_TYPE(effect, Sent))
        return take_sent(change, at, message, effect);
    if (!Py_IS_TYPE(effect, Become))
        return HAND_OVER;
    PyObject *state = get(effect, Become_state);
    if (state == NULL || is_state(at, Py_TYPE(state)) != 1)
        return hand_over();
    return take_state(change, at, env, state);
}

/* Has the model's `commit` apply all other effects. Outputs that are not messages are Python's. */
static int take_by_commit(struct change *change, struct setting *at, PyObject *env, PyObject *message,
                          PyObject *effects)
{
    PyObject *delivered[] = {at->sender, at->mailbox, message};
    PyObject *cause = PyObject_Vectorcall((PyObject *)Delivery, delivered, 3, NULL);
    if (cause == NULL)
        return hand_over();
    PyObject *given[] = {at->family, at->configuration, env, cause, at->now, effects};
    PyObject *made = PyObject_Vectorcall(commit, given, 6, NULL);
    Py_DECREF(cause);
    if (made == NULL)
        return RAISED; /* the exception stays set */
    PyObject *outputs = PyTuple_GET_ITEM(made, 1);
    int verdict = PyTuple_GET_SIZE(outputs) > (Py_ssize_t)OUTPUTS_MAX ? HAND_OVER : DONE;
    for (Py_ssize_t i = 0; verdict == DONE && i < PyTuple_GET_SIZE(outputs); i++) {
        PyObject *output = PyTuple_GET_ITEM(outputs, i);
        if (!Py_IS_TYPE(output, Outgoing)) {
            verdict = HAND_OVER;
            break;
        }
        change->outputs[change->count++] =
            (struct output){Py_NewRef(get(output, Outgoing_target)), Py_NewRef(get(output, Outgoing_mailbox)),
                            Py_NewRef(get(output, Outgoing_message))};
    }
    if (verdict == DONE)
        change->env = Py_NewRef(PyTuple_GET_ITEM(made, 0));
    Py_DECREF(made);
    return verdict;
}

static int take_effects(struct change *change, struct setting *at, PyObject *env, PyObject *message,
                        PyObject *effects)
{
    int verdict = is_state(at, Py_TYPE(effects));
    if (verdict < 0)
        return hand_over();
    if (verdict > 0)
        return take_state(change, at, env, effects);
    if (Py_IS_TYPE(effects, Sent))
        verdict = take_sent(change, at, message, effects);
    else if (PyList_CheckExact(effects) || PyTuple_CheckExact(effects)) {
        verdict = DONE;
        for (Py_ssize_t i = 0; verdict == DONE && i < PySequence_Fast_GET_SIZE(effects); i++)
            verdict = take_effect(change, at, env, message, PySequence_Fast_GET_ITEM(effects, i));
    } else
        verdict = HAND_OVER;
    if (verdict != HAND_OVER)
        return verdict;
    change_clear(change);
    return take_by_commit(change, at, env, message, effects);
}

/* Runs the first rule whose guard matches, and takes its effects. */
static int run_rules(struct change *change, struct setting *at, PyObject *env, PyObject *message, PyObject *trigger)
{
    PyObject *candidates = get(at->plan, Plan_candidates);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(candidates); i++) {
        PyObject *candidate = PyTuple_GET_ITEM(candidates, i);
        PyObject *guard = PyTuple_GET_ITEM(candidate, 0), *match;
        if (guard == Py_None)
            match = Py_NewRef(message);
        else if ((match = PyObject_CallOneArg(guard, trigger)) == NULL)
            return RAISED; /* the exception stays set */
        else if (match == Py_None) {
            Py_DECREF(match);
            continue;
        }
        PyObject *given[] = {NULL, match, trigger};
        PyObject *effects =
            PyObject_Vectorcall(PyTuple_GET_ITEM(candidate, 1), given + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_DECREF(match);
        if (effects == NULL)
            return RAISED; /* the exception stays set */
        int verdict = take_effects(change, at, env, message, effects);
        Py_DECREF(effects);
        return verdict;
    }
    return HAND_OVER; /* no rule takes it: it is stored */
}

/* Finds the plan of this type of message, if it is plain and of this mailbox. DONE or HAND_OVER. */
static int find_plan(struct setting *at, PyTypeObject *kind)
{
    PyObject *plan = PyDict_GetItemWithError(at->plans, (PyObject *)kind);
    if (plan == NULL || get(plan, Plan_plain) != Py_True)
        return hand_over();
    if (PyLong_AsLong(get(plan, Plan_mailbox)) != PyLong_AsLong(at->mailbox))
        return hand_over();
    at->kind = kind;
    at->plan = plan;
    return DONE;
}

/* One transition. `*trigger` is that of the last one, and is kept for the next. If DONE, the change is the caller's. */
static int transit(struct change *change, struct setting *at, PyObject *env, PyObject *message, PyObject **trigger)
{
    int verdict = Py_TYPE(message) == at->kind ? DONE : find_plan(at, Py_TYPE(message));
    if (verdict != DONE)
        return verdict;
    *trigger = trigger_for(*trigger, at, env, message);
    if (*trigger == NULL)
        return hand_over();
    return run_rules(change, at, env, message, *trigger);
}

/* The environment with the change's state. `env` is a reference of the caller's, `held` the count of all references if
 * only the caller has any. NULL with an exception; takes over `env`. */
static PyObject *with_state(PyObject *env, PyObject *state, Py_ssize_t held)
{
    if (Py_REFCNT(env) == held) {
        put(env, Environment_state, Py_NewRef(state));
        return env;
    }
    PyObject *fields[] = {state, get(env, Environment_mailboxes), get(env, Environment_timers),
                          get(env, Environment_acquaintances), get(env, Environment_children),
                          get(env, Environment_timer_count)};
    PyObject *next = PyObject_Vectorcall((PyObject *)Environment, fields, 6, NULL);
    Py_DECREF(env);
    return next;
}

#endif
