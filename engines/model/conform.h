/* Conformity of plain values, in C: `engines.model.conform` for the values that nearly every transition makes.
 *
 * `conform_in_c` returns 1 only where `conform` returns the very value; everything else it leaves to `conform`, which
 * reports the path to an error and converts values. The plain case costs a comparison of pointers for an unchanged
 * value, and one of types for a new one. A field that C does not know (an enumeration, bounds) is checked by its own
 * conformer. So is a `Map` that was never checked, or that may hold such a field, unless it is a literal, which has no
 * depth; of any other one C checks the keys that were set since, also of maps in it, and puts the mark of
 * `engines.model.conform_parts.MapCheck` on each.
 *
 * Forms are made from `engines.model.outline`, once for each type, and live as long as the process, like families.
 */
#ifndef ENGINEHOST_CONFORM_H
#define ENGINEHOST_CONFORM_H

#include <Python.h>

#include "members.h"

/* Bits of engines.model.outline.CLASSES. */
#define CLASS_INT 1u
#define CLASS_STR 2u
#define CLASS_BYTES 4u
#define CLASS_FLOAT 8u
#define CLASS_BOOL 16u
#define CLASS_NONE 32u

#define CONFORM_DEPTH_MAX 100   /* engines.model.conform_leaves.DEPTH_MAX */
#define CONFORM_VALUES_MAX 32768 /* checked here; more are Python's, which counts their bytes too */
#define CONFORM_BYTES_MAX 8192
#define CONFORM_AHEAD 64 /* items of the old tuple that may be missing in a row */

struct shape;
struct map_form;

struct form {
    unsigned classes;
    struct shape *shape; /* NULL: no struct */
    struct form *others; /* of the structs of a union, those behind the first */
    Py_ssize_t others_count;
    struct form *items;  /* NULL: no tuple of one type */
    struct form *places; /* NULL: no tuple with a type for each place */
    Py_ssize_t places_count;
    PyObject *conformer; /* strong */
    struct map_form *map; /* NULL: no map, or not one for C */
    PyObject *words;      /* strong; NULL: no literals of text */
};

/* A map: its check in Python, whose mark is on the maps that it has seen, and the forms of keys and values. */
struct map_form {
    PyObject *check; /* strong */
    struct form key, item;
};

struct field {
    Py_ssize_t offset;
    struct form form;
};

/* A struct's fields; filled in when the first value of the type is checked, since types may recur. */
struct shape {
    PyTypeObject *type;
    PyObject *struct_form; /* strong */
    Py_ssize_t count;      /* -1: not filled in yet */
    struct field *fields;
};

/* The progress of a walk through a value. */
struct walk {
    unsigned depth, left, deepest; /* deepest: within the map that is looked at */
};

static PyObject *outline_of, *fields_of, *absent, *map_type, *map_mark;
static PyObject *str_get, *str_check, *str_height;
static Py_ssize_t map_trie, map_set; /* where a map has its content; its mark, and what was set since */
static PyObject *shapes; /* struct type -> capsule of its shape */

static int form_make(struct form *form, PyObject *outline);
static int map_make(struct form *form, PyObject *outline);
static struct form *forms_make(PyObject *outlines, Py_ssize_t *count);

/* Where a member of a map is; -1 with an exception. */
static Py_ssize_t map_member(const char *name)
{
    PyObject *member = PyObject_GetAttrString(map_type, name);
    if (member == NULL)
        return -1;
    Py_ssize_t offset = ((PyMemberDescrObject *)member)->d_member->offset;
    Py_DECREF(member);
    return offset;
}

static int conform_bind(void)
{
    outline_of = named("engines.model.outline", "outline");
    fields_of = named("engines.model.outline", "fields_of");
    absent = named("engines.model.conform_leaves", "ABSENT");
    map_type = named("engines.model.map", "Map");
    map_mark = named("engines.model.conform_parts", "ConformMark");
    shapes = PyDict_New();
    if (map_type == NULL || (map_trie = map_member("_trie")) < 0 || (map_set = map_member("_set")) < 0)
        return -1;
    str_get = PyUnicode_InternFromString("get");
    str_check = PyUnicode_InternFromString("check");
    str_height = PyUnicode_InternFromString("height");
    if (!str_get || !str_check || !str_height)
        return -1;
    return outline_of && fields_of && absent && map_type && map_mark && shapes ? 0 : -1;
}

/* The shape of a struct's type, maybe not filled in. NULL with an exception. */
static struct shape *shape_of(PyObject *struct_form)
{
    PyObject *known = PyDict_GetItemWithError(shapes, struct_form);
    if (known != NULL)
        return PyCapsule_GetPointer(known, NULL);
    if (PyErr_Occurred())
        return NULL;
    struct shape *shape = PyMem_Calloc(1, sizeof *shape);
    PyObject *capsule = shape == NULL ? PyErr_NoMemory() : PyCapsule_New(shape, NULL, NULL);
    if (capsule == NULL || PyDict_SetItem(shapes, struct_form, capsule) < 0) {
        Py_XDECREF(capsule);
        PyMem_Free(shape);
        return NULL;
    }
    Py_DECREF(capsule);
    shape->struct_form = Py_NewRef(struct_form);
    shape->count = -1;
    PyObject *origin = PyObject_GetAttrString(struct_form, "__origin__"); /* of a generic */
    PyErr_Clear();
    shape->type = (PyTypeObject *)(origin != NULL ? origin : Py_NewRef(struct_form));
    return shape;
}

static int field_make(struct field *field, PyTypeObject *type, PyObject *name, PyObject *outline)
{
    PyObject *descriptor = PyObject_GetAttr((PyObject *)type, name);
    if (descriptor == NULL)
        return -1;
    int is_slot = Py_IS_TYPE(descriptor, &PyMemberDescr_Type);
    if (is_slot)
        field->offset = ((PyMemberDescrObject *)descriptor)->d_member->offset;
    else
        PyErr_Format(PyExc_TypeError, "%.100s.%U is no slot", type->tp_name, name);
    Py_DECREF(descriptor);
    return is_slot ? form_make(&field->form, outline) : -1;
}

/* 0, or -1 with an exception. */
static int shape_fill(struct shape *shape)
{
    PyObject *found = PyObject_CallOneArg(fields_of, shape->struct_form);
    if (found == NULL)
        return -1;
    Py_ssize_t count = PyList_GET_SIZE(found);
    struct field *fields = PyMem_Calloc(count ? (size_t)count : 1, sizeof *fields);
    int failed = fields == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; failed == 0 && i < count; i++) {
        PyObject *one = PyList_GET_ITEM(found, i);
        failed = field_make(&fields[i], shape->type, PyTuple_GET_ITEM(one, 0), PyTuple_GET_ITEM(one, 1));
    }
    Py_DECREF(found);
    if (failed < 0) {
        PyMem_Free(fields);
        return -1;
    }
    shape->fields = fields;
    shape->count = count;
    return 0;
}

/* Fills in a form from its outline. 0, or -1 with an exception. */
static int form_make(struct form *form, PyObject *outline)
{
    PyObject *struct_form = PyTuple_GET_ITEM(outline, 1), *items = PyTuple_GET_ITEM(outline, 2);
    form->classes = (unsigned)PyLong_AsUnsignedLong(PyTuple_GET_ITEM(outline, 0));
    form->conformer = Py_NewRef(PyTuple_GET_ITEM(outline, 3));
    if (struct_form != Py_None && (form->shape = shape_of(struct_form)) == NULL)
        return -1;
    if (map_make(form, PyTuple_GET_ITEM(outline, 4)) < 0)
        return -1;
    PyObject *places = PyTuple_GET_ITEM(outline, 5);
    if (places != Py_None && (form->places = forms_make(places, &form->places_count)) == NULL)
        return -1;
    PyObject *words = PyTuple_GET_ITEM(outline, 7);
    form->words = words == Py_None ? NULL : Py_NewRef(words);
    if ((form->others = forms_make(PyTuple_GET_ITEM(outline, 6), &form->others_count)) == NULL)
        return -1;
    if (items == Py_None)
        return 0;
    form->items = PyMem_Calloc(1, sizeof *form->items);
    if (form->items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return form_make(form->items, items);
}

/* Fills in the map of a form from its outline. 0, or -1 with an exception. */
static int map_make(struct form *form, PyObject *outline)
{
    if (outline == Py_None)
        return 0;
    form->map = PyMem_Calloc(1, sizeof *form->map);
    if (form->map == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    form->map->check = Py_NewRef(PyTuple_GET_ITEM(outline, 0));
    if (form_make(&form->map->key, PyTuple_GET_ITEM(outline, 1)) < 0)
        return -1;
    return form_make(&form->map->item, PyTuple_GET_ITEM(outline, 2));
}

/* Forms from a tuple of outlines, and how many; NULL with an exception. */
static struct form *forms_make(PyObject *outlines, Py_ssize_t *count)
{
    *count = PyTuple_GET_SIZE(outlines);
    struct form *forms = PyMem_Calloc(*count ? (size_t)*count : 1, sizeof *forms);
    if (forms == NULL)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; forms != NULL && i < *count; i++)
        if (form_make(&forms[i], PyTuple_GET_ITEM(outlines, i)) < 0)
            return NULL;
    return forms;
}

/* The form of a type of values. 0, or -1 with an exception. */
static int form_of(struct form *form, PyObject *type)
{
    PyObject *outline = PyObject_CallOneArg(outline_of, type);
    int failed = outline == NULL ? -1 : form_make(form, outline);
    Py_XDECREF(outline);
    return failed;
}

static int conform_in_c(const struct form *form, PyObject *value, PyObject *before, struct walk *walk);

/* Whether a number surely fits 64 bits: it has at most two of Python's 30-bit digits, or is compact. */
static inline int is_short(PyObject *number)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyUnstable_Long_IsCompact((const PyLongObject *)number);
#else
    return Py_SIZE(number) <= 2 && Py_SIZE(number) >= -2;
#endif
}

static int is_in_64_bits(PyObject *number)
{
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    (void)value;
    if (overflow <= 0)
        return overflow == 0;
    unsigned long long large = PyLong_AsUnsignedLongLong(number);
    if (large == (unsigned long long)-1 && PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    return 1;
}

static int is_utf8(PyObject *text)
{
    if (PyUnicode_AsUTF8(text) != NULL)
        return 1;
    PyErr_Clear();
    return 0;
}

static int is_word(PyObject *words, PyObject *text)
{
    int found = PySet_Contains(words, text);
    if (found < 0)
        PyErr_Clear();
    return found > 0;
}

/* Whether a value is of a plain class that the form has, or one of its words. */
static inline int conform_plain(const struct form *form, PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyLong_Type)
        return (form->classes & CLASS_INT) && (is_short(value) || is_in_64_bits(value));
    if (type == &PyUnicode_Type)
        return ((form->classes & CLASS_STR) && PyUnicode_GET_LENGTH(value) <= CONFORM_BYTES_MAX &&
                (PyUnicode_IS_COMPACT_ASCII(value) || is_utf8(value))) ||
               (form->words != NULL && is_word(form->words, value));
    if (type == &PyBytes_Type)
        return (form->classes & CLASS_BYTES) && PyBytes_GET_SIZE(value) <= CONFORM_BYTES_MAX;
    if (value == Py_None)
        return (form->classes & CLASS_NONE) != 0;
    return ((form->classes & CLASS_FLOAT) && type == &PyFloat_Type) ||
           ((form->classes & CLASS_BOOL) && PyBool_Check(value));
}

/* Checks a field by its own conformer: whether it returns the very value. */
static int conform_by_python(const struct form *form, PyObject *value, PyObject *before, struct walk *walk)
{
    PyObject *depth = PyLong_FromUnsignedLong(walk->depth);
    PyObject *given[] = {NULL, value, before == NULL ? absent : before, depth};
    PyObject *fit = depth == NULL ? NULL
                                  : PyObject_Vectorcall(form->conformer, given + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                                        NULL);
    Py_XDECREF(depth);
    int is_same = fit == value;
    Py_XDECREF(fit);
    if (fit == NULL)
        PyErr_Clear(); /* it is raised again, with the whole path */
    return is_same;
}

static inline void walk_enter(struct walk *walk)
{
    if (++walk->depth > walk->deepest)
        walk->deepest = walk->depth;
}

static int conform_fields(struct shape *shape, PyObject *value, PyObject *before, struct walk *walk)
{
    if (shape->count < 0 && shape_fill(shape) < 0) {
        PyErr_Clear();
        return 0;
    }
    if (walk->depth == CONFORM_DEPTH_MAX || walk->left == 0)
        return 0;
    walk_enter(walk);
    walk->left--;
    int is_known = before != NULL && Py_IS_TYPE(before, shape->type);
    for (Py_ssize_t i = 0; i < shape->count; i++) {
        const struct field *field = &shape->fields[i];
        PyObject *new = get(value, field->offset), *old = is_known ? get(before, field->offset) : NULL;
        if (new == old && new != NULL)
            continue;
        if (new == NULL || !(conform_plain(&field->form, new) || conform_in_c(&field->form, new, old, walk)))
            return 0;
    }
    walk->depth--;
    return 1;
}

/* Items that the old tuple has in the same order, with gaps, are known: after appending and dropping only new ones are
 * checked. */
static int conform_items(const struct form *form, PyObject *value, PyObject *before, struct walk *walk)
{
    Py_ssize_t size = PyTuple_GET_SIZE(value), at = 0;
    Py_ssize_t old_size = before != NULL && PyTuple_CheckExact(before) ? PyTuple_GET_SIZE(before) : 0;
    if (walk->depth == CONFORM_DEPTH_MAX)
        return 0;
    walk_enter(walk);
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *new = PyTuple_GET_ITEM(value, i);
        Py_ssize_t ahead = at, last = at + CONFORM_AHEAD < old_size ? at + CONFORM_AHEAD : old_size;
        while (ahead < last && PyTuple_GET_ITEM(before, ahead) != new)
            ahead++;
        if (ahead < last) {
            at = ahead + 1;
            continue;
        }
        if (walk->left == 0)
            return 0;
        walk->left--;
        if (!conform_in_c(form, new, i < old_size ? PyTuple_GET_ITEM(before, i) : NULL, walk))
            return 0;
    }
    walk->depth--;
    return 1;
}

/* A tuple with a type for each place; the old one counts if it has as many. */
static int conform_places(const struct form *form, PyObject *value, PyObject *before, struct walk *walk)
{
    Py_ssize_t size = form->places_count;
    if (PyTuple_GET_SIZE(value) != size || walk->depth == CONFORM_DEPTH_MAX || walk->left < (unsigned)size)
        return 0;
    int is_known = before != NULL && PyTuple_CheckExact(before) && PyTuple_GET_SIZE(before) == size;
    walk_enter(walk);
    walk->left -= (unsigned)size;
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *old = is_known ? PyTuple_GET_ITEM(before, i) : NULL;
        if (!conform_in_c(&form->places[i], PyTuple_GET_ITEM(value, i), old, walk))
            return 0;
    }
    walk->depth--;
    return 1;
}

/* The levels below a map's values, from the mark of this check on it. -1: it has no such mark. */
static long marked_height(const struct map_form *map, PyObject *mark)
{
    if (!Py_IS_TYPE(mark, (PyTypeObject *)map_mark))
        return -1;
    PyObject *check = PyObject_GetAttr(mark, str_check), *height = PyObject_GetAttr(mark, str_height);
    long found = check == map->check && height != NULL ? PyLong_AsLong(height) : -1;
    Py_XDECREF(check);
    Py_XDECREF(height);
    return found;
}

/* As `Map.unchecked`: the keys set since the map had its last mark, as a new dict, and that mark, borrowed. NULL, maybe
 * with an exception. */
static PyObject *map_unchecked(PyObject *value, PyObject **mark)
{
    PyObject *trie = get(value, map_trie), *since = get(value, map_set);
    PyObject *found = trie == NULL || since == NULL ? NULL : PyDict_New();
    while (found != NULL && PyTuple_CheckExact(since)) {
        PyObject *key = PyTuple_GET_ITEM(since, 1);
        int is_there = PySequence_Contains(trie, key);
        if (is_there < 0 || (is_there && PyDict_SetItem(found, key, Py_None) < 0))
            Py_CLEAR(found);
        since = PyTuple_GET_ITEM(since, 0);
    }
    *mark = since;
    return found;
}

/* As `Map.checked`; takes over the reference to the mark. */
static void map_checked(PyObject *value, PyObject *mark)
{
    PyObject **place = (PyObject **)((char *)value + map_set), *before = *place;
    *place = mark;
    Py_DECREF(before);
}

/* One key that was set, and its value. 1: conforms. */
static int conform_pair(const struct map_form *map, PyObject *value, PyObject *before, PyObject *key, struct walk *walk)
{
    if (walk->left < 2)
        return 0;
    walk->left -= 2;
    PyObject *new = PyObject_GetItem(get(value, map_trie), key);
    PyObject *old = before == NULL ? Py_NewRef(Py_None)
                                   : PyObject_CallMethodOneArg(get(before, map_trie), str_get, key);
    int fits = new != NULL && old != NULL && conform_in_c(&map->key, key, NULL, walk) &&
               conform_in_c(&map->item, new, old == Py_None ? NULL : old, walk);
    Py_XDECREF(new);
    Py_XDECREF(old);
    return fits;
}

/* The keys that were set since `map->check` last saw the map and left this mark; as `MapCheck.__call__`. A map from before
 * that the check has not seen is left to that. */
static int conform_keys(const struct map_form *map, PyObject *value, PyObject *before, PyObject *keys, PyObject *mark,
                        struct walk *walk)
{
    PyObject *known = before == NULL ? mark : get(before, map_set), *key, *none;
    long height = marked_height(map, mark), other = known == mark ? height : marked_height(map, known);
    if (height < 0 || other < 0)
        return 0;
    if (height < other)
        height = other; /* of the two maps, parts of which are skipped */
    if (walk->depth + 1 + height > CONFORM_DEPTH_MAX)
        return 0;
    unsigned outside = walk->deepest, depth = ++walk->depth;
    walk->deepest = depth + (unsigned)height;
    for (Py_ssize_t at = 0; PyDict_Next(keys, &at, &key, &none);)
        if (!conform_pair(map, value, before, key, walk))
            return 0;
    long reached = (long)(walk->deepest - depth);
    mark = reached == marked_height(map, mark) ? Py_NewRef(mark)
                                               : PyObject_CallFunction(map_mark, "Ol", map->check, reached);
    if (mark == NULL)
        return 0;
    map_checked(value, mark);
    if (walk->deepest < outside)
        walk->deepest = outside;
    walk->depth--;
    return 1;
}

/* 1: conforms. 0: maybe not, and the walk is where it was. */
static int conform_map(const struct map_form *map, PyObject *value, PyObject *before, struct walk *walk)
{
    PyObject *mark, *keys = map_unchecked(value, &mark);
    Py_XINCREF(mark); /* a check in Python runs before it is put back */
    int is_known = before != NULL && Py_IS_TYPE(before, (PyTypeObject *)map_type);
    struct walk began = *walk;
    int fits = keys != NULL && conform_keys(map, value, is_known ? before : NULL, keys, mark, walk);
    Py_XDECREF(keys);
    Py_XDECREF(mark);
    if (!fits) {
        *walk = began;
        PyErr_Clear(); /* Python's check meets it again, and says what it is */
    }
    return fits;
}

/* A map whose check in C gave up, by Python, which leaves its mark: a map around this one counts its height. */
static int map_by_python(const struct form *form, PyObject *value, PyObject *before, struct walk *walk)
{
    if (!conform_by_python(form, value, before, walk))
        return 0;
    PyObject *mark, *keys = map_unchecked(value, &mark);
    long height = keys == NULL ? -1 : marked_height(form->map, mark);
    Py_XDECREF(keys);
    if (height < 0) {
        PyErr_Clear();
        return 0;
    }
    if (walk->depth + 1 + (unsigned)height > walk->deepest)
        walk->deepest = walk->depth + 1 + (unsigned)height;
    return 1;
}

/* Whether `value` surely conforms as it is, in place of `before` (NULL: nothing). Never an exception. */
static int conform_in_c(const struct form *form, PyObject *value, PyObject *before, struct walk *walk)
{
    PyTypeObject *type = Py_TYPE(value);
    if (value == before)
        return 1;
    if (form->shape != NULL && type == form->shape->type)
        return conform_fields(form->shape, value, before, walk);
    for (Py_ssize_t i = 0; i < form->others_count; i++)
        if (type == form->others[i].shape->type)
            return conform_fields(form->others[i].shape, value, before, walk);
    if (form->items != NULL && type == &PyTuple_Type)
        return conform_items(form->items, value, before, walk);
    if (form->places != NULL && type == &PyTuple_Type)
        return conform_places(form, value, before, walk);
    if (form->map != NULL && type == (PyTypeObject *)map_type)
        return conform_map(form->map, value, before, walk) || map_by_python(form, value, before, walk);
    return conform_plain(form, value) || conform_by_python(form, value, before, walk);
}

/* Whether `value` is a struct with fields that are as they were, or plain: what `conform_in_c` says without a walk. */
static inline int conform_flat(const struct form *form, PyObject *value, PyObject *before)
{
    const struct shape *shape = form->shape;
    if (shape == NULL || !Py_IS_TYPE(value, shape->type))
        return 0;
    int is_known = before != NULL && Py_IS_TYPE(before, shape->type);
    Py_ssize_t i = 0;
    for (; i < shape->count; i++) {
        const struct field *field = &shape->fields[i];
        PyObject *new = get(value, field->offset), *old = is_known ? get(before, field->offset) : NULL;
        if (new == NULL || (new != old && !conform_plain(&field->form, new)))
            return 0;
    }
    return i == shape->count; /* not if it is not filled in yet */
}

/* `conform`: the value, maybe a converted one, as a new reference. NULL with an exception whose text explains the
 * error. */
static PyObject *conform(const struct form *form, PyObject *value, PyObject *before)
{
    struct walk walk = {0, CONFORM_VALUES_MAX, 0};
    if (conform_flat(form, value, before) || conform_in_c(form, value, before, &walk))
        return Py_NewRef(value);
    PyObject *given[] = {NULL, value, before == NULL ? absent : before};
    return PyObject_Vectorcall(form->conformer, given + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

#endif
