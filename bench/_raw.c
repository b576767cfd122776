/* The floor under our figures: what the operating system itself takes for a round trip, with no Python in the way.
 *
 * `eventfd_round_trips(rounds, core, child_core)` forks a child that only echoes; parent and child each block in read(2)
 * on an eventfd the other one writes. The cores are an argument because the figure changes altogether when both share a
 * core (a hand-over of 2 us) or sleep on two (two wake-ups across cores, 25 us each in a virtual machine). What is timed
 * is two wake-ups of a sleeping process and four system calls: the least that any pair of sleeping receivers can take
 * here. Nothing of the project is involved; only `bench` may use this file.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 10000000

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int pass_token(int take_fd, int give_fd, int give_first)
{
    uint64_t token = 1;
    if (give_first && write(give_fd, &token, sizeof token) != sizeof token)
        return -1;
    if (read(take_fd, &token, sizeof token) != sizeof token)
        return -1;
    if (!give_first && write(give_fd, &token, sizeof token) != sizeof token)
        return -1;
    return 0;
}

static int pin(int core)
{
    cpu_set_t set;
    if (core < 0)
        return 0;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    return sched_setaffinity(0, sizeof set, &set);
}

/* The child: echoes until its peer's last round, then leaves without running any of the parent's exit code. */
static void echo(int take_fd, int give_fd, long rounds, int core)
{
    if (pin(core) != 0)
        _exit(2);
    for (long i = 0; i < rounds; i++)
        if (pass_token(take_fd, give_fd, 0) != 0)
            _exit(1);
    _exit(0);
}

static int time_rounds(int take_fd, int give_fd, long rounds, uint64_t *taken_ns, int core)
{
    cpu_set_t before;
    if (sched_getaffinity(0, sizeof before, &before) != 0 || pin(core) != 0)
        return -1;
    for (long i = 0; i < rounds; i++) {
        uint64_t start = now_ns();
        if (pass_token(take_fd, give_fd, 1) != 0)
            return -1;
        taken_ns[i] = now_ns() - start;
    }
    return sched_setaffinity(0, sizeof before, &before);
}

static PyObject *eventfd_round_trips(PyObject *module, PyObject *args)
{
    long rounds;
    int core = -1, child_core = -1;
    (void)module;
    if (!PyArg_ParseTuple(args, "l|ii", &rounds, &core, &child_core))
        return NULL;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        return PyErr_Format(PyExc_ValueError, "rounds must lie in 1..%d, not %ld", ROUNDS_MAX, rounds);
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(rounds * (long)sizeof(uint64_t)));
    if (result == NULL)
        return NULL;
    uint64_t *taken_ns = (uint64_t *)PyBytes_AS_STRING(result);
    int there = eventfd(0, EFD_CLOEXEC), back = eventfd(0, EFD_CLOEXEC), failed = there < 0 || back < 0, status = 0;
    Py_BEGIN_ALLOW_THREADS
    if (!failed) {
        pid_t child = fork();
        if (child == 0)
            echo(there, back, rounds, child_core);
        failed = child < 0 || time_rounds(back, there, rounds, taken_ns, core) != 0;
        if (child > 0)
            failed |= waitpid(child, &status, 0) != child || status != 0;
    }
    Py_END_ALLOW_THREADS
    if (there >= 0)
        close(there);
    if (back >= 0)
        close(back);
    if (failed) {
        Py_DECREF(result);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return result;
}

static PyMethodDef methods[] = {
    {"eventfd_round_trips", eventfd_round_trips, METH_VARARGS,
     "eventfd_round_trips(rounds, core=-1, child_core=-1) -> bytes\n\nNanoseconds of each round trip, as native "
     "uint64. A core of -1 leaves the choice to the kernel."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_raw", "Raw operating system figures for bench.", -1,
                                    methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__raw(void) { return PyModule_Create(&module); }
