/* host.check._visited: the fingerprints of visited states, in memory that processes share after a fork.
 *
 * Each slot has a fingerprint and that of the state it was first reached from. Open addressing in *windows* of eight
 * slots, in a series of tables of which each is twice as large as the one before it. A fingerprint belongs to one window
 * of each table. It is added to the first free slot of the first window that is not full, by compare-and-swap; the one
 * process whose swap succeeds owns the state. Slots are never freed, and a full window stays full, so two processes that
 * add one fingerprint look at the same slots in the same order and meet in the same one. Hence nothing is ever moved,
 * and nobody waits: the series grows while it is in use.
 *
 * All tables are mapped at once, since what is mapped after a fork is not shared; a table costs memory once it is used.
 * They take at most the machine's memory, or half of the address space a limit allows.
 *
 * Awkward: a parent is written after its fingerprint. Its reader has to wait for the writer by other means; the search
 * does so at the end of each level. Fingerprint 0 marks a free slot; a state with it is kept under another number.
 *
 * After A. Laarman, J. van de Pol, M. Weber, "Boosting Multi-Core Reachability Performance with Shared Hash Tables"
 * (2010): fingerprints by compare-and-swap, probing within cache lines; the bound on probing is in TLC's
 * OffHeapDiskFPSet, too, which moves what does not fit to disk.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define WINDOW 8u
#define TABLES_MAX 40u
#define FIRST_BITS 13u /* windows of the first table: 65,536 slots, a megabyte */
#define ZERO_STAND_IN 0x9e3779b97f4a7c15u

struct slot {
    _Atomic uint64_t print;
    _Atomic uint64_t parent;
};

typedef struct {
    PyObject_HEAD
    unsigned bits; /* of the number of windows in the first table */
    unsigned tables;
    struct slot *table[TABLES_MAX];
    _Atomic uint64_t *count; /* in a mapping of its own, shared like the tables */
} Visited;

static void *map_shared(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static size_t table_bytes(const Visited *self, unsigned number)
{
    return ((size_t)WINDOW << (self->bits + number)) * sizeof(struct slot);
}

static size_t bytes_max(void)
{
    size_t bytes = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur / 2 < bytes)
        bytes = limit.rlim_cur / 2;
    return bytes;
}

static struct slot *window_of(const Visited *self, unsigned number, uint64_t print)
{
    uint64_t mixed = print * (0x9e3779b97f4a7c15u + 2u * (uint64_t)number * 0xbf58476d1ce4e5b9u);
    return self->table[number] + (mixed >> (64 - self->bits - number)) * WINDOW;
}

/* The slot of a fingerprint, or NULL. */
static struct slot *find(const Visited *self, uint64_t print)
{
    for (unsigned number = 0; number < self->tables; number++) {
        struct slot *slot = window_of(self, number, print);
        for (unsigned at = 0; at < WINDOW; at++, slot++) {
            uint64_t there = atomic_load_explicit(&slot->print, memory_order_relaxed);
            if (there == print)
                return slot;
            if (there == 0)
                return NULL;
        }
    }
    return NULL;
}

/* 1 if the fingerprint was added by this call, 0 if it was there, -1 if there is no room. */
static int add(Visited *self, uint64_t print, uint64_t parent)
{
    for (unsigned number = 0; number < self->tables; number++) {
        struct slot *slot = window_of(self, number, print);
        for (unsigned at = 0; at < WINDOW; at++, slot++) {
            uint64_t there = atomic_load_explicit(&slot->print, memory_order_relaxed);
            if (there == 0 && atomic_compare_exchange_strong_explicit(&slot->print, &there, print,
                                                                      memory_order_relaxed, memory_order_relaxed)) {
                atomic_store_explicit(&slot->parent, parent, memory_order_relaxed);
                atomic_fetch_add_explicit(self->count, 1, memory_order_relaxed);
                return 1;
            }
            if (there == print) /* also what another process put there between the look and the swap */
                return 0;
        }
    }
    return -1;
}

static int print_from(PyObject *number, uint64_t *print)
{
    *print = PyLong_AsUnsignedLongLong(number);
    if (*print == (uint64_t)-1 && PyErr_Occurred())
        return -1;
    if (*print == 0)
        *print = ZERO_STAND_IN;
    return 0;
}

static PyObject *visited_add(Visited *self, PyObject *const *args, Py_ssize_t count)
{
    uint64_t print, parent;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "add takes 2 arguments, not %zd", count);
    if (print_from(args[0], &print) < 0)
        return NULL;
    parent = PyLong_AsUnsignedLongLong(args[1]);
    if (parent == (uint64_t)-1 && PyErr_Occurred())
        return NULL;
    int verdict = add(self, print, parent);
    if (verdict < 0)
        return PyErr_Format(PyExc_MemoryError, "no room for another state");
    return PyBool_FromLong(verdict);
}

static PyObject *visited_parent(Visited *self, PyObject *number)
{
    uint64_t print;
    if (print_from(number, &print) < 0)
        return NULL;
    struct slot *slot = find(self, print);
    if (slot == NULL) {
        PyErr_SetObject(PyExc_KeyError, number);
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(atomic_load_explicit(&slot->parent, memory_order_relaxed));
}

static int visited_contains(Visited *self, PyObject *number)
{
    uint64_t print;
    return print_from(number, &print) < 0 ? -1 : find(self, print) != NULL;
}

static Py_ssize_t visited_length(Visited *self)
{
    return (Py_ssize_t)atomic_load_explicit(self->count, memory_order_relaxed);
}

static void visited_dealloc(Visited *self)
{
    for (unsigned number = 0; number < self->tables; number++)
        munmap(self->table[number], table_bytes(self, number));
    if (self->count != NULL)
        munmap(self->count, sizeof *self->count);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *visited_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"bits", "tables", NULL};
    unsigned bits = FIRST_BITS, tables = TABLES_MAX;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|II", names, &bits, &tables))
        return NULL;
    if (bits < 1 || bits > FIRST_BITS || tables < 1 || tables > TABLES_MAX)
        return PyErr_Format(PyExc_ValueError, "bits are 1 to %u, tables 1 to %u", FIRST_BITS, TABLES_MAX);
    Visited *self = (Visited *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->bits = bits;
    self->count = map_shared(sizeof *self->count);
    size_t left = bytes_max();
    while (self->count != NULL && self->tables < tables && table_bytes(self, self->tables) <= left) {
        left -= table_bytes(self, self->tables);
        if ((self->table[self->tables] = map_shared(table_bytes(self, self->tables))) == NULL)
            break;
        self->tables++;
    }
    if (self->tables == 0) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static PyMethodDef methods[] = {
    {"add", (PyCFunction)(void (*)(void))visited_add, METH_FASTCALL,
     "add(print, parent) -> bool\n\nWhether the state was not there; then it is now. Raises MemoryError."},
    {"parent", (PyCFunction)visited_parent, METH_O,
     "parent(print) -> int\n\nThe state it was first reached from; 0: none. Raises KeyError."},
    {NULL, NULL, 0, NULL},
};

static PySequenceMethods as_sequence = {
    .sq_length = (lenfunc)visited_length,
    .sq_contains = (objobjproc)visited_contains,
};

static PyTypeObject visited_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "host.check._visited.SharedVisited",
    .tp_basicsize = sizeof(Visited),
    .tp_dealloc = (destructor)visited_dealloc,
    .tp_as_sequence = &as_sequence,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "SharedVisited(bits=13, tables=40)\n\nFingerprints with their parents, shared with processes forked later.",
    .tp_methods = methods,
    .tp_new = visited_new,
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "host.check._visited",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__visited(void)
{
    PyObject *module;
    if (PyType_Ready(&visited_type) < 0 || (module = PyModule_Create(&definition)) == NULL)
        return NULL;
    Py_INCREF(&visited_type);
    if (PyModule_AddObject(module, "SharedVisited", (PyObject *)&visited_type) < 0) {
        Py_DECREF(&visited_type);
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
