/* One process's end of its slot: its two memory files, the lanes to its peers, its doorbell. Knows no Python.
 *
 * Owned here: the mappings; the descriptors `out` (to allocate rings), doorbell and epoll, and one doorbell a peer. All
 * other descriptors are closed once they are mapped. Peers are bits of 64-bit masks, since there are 64 slots.
 *
 * Sleeping: the armed word of `in` is odd while this process sleeps or is about to, with another value each time. Who
 * publishes looks at it after a fence and rings at most once for each value. A fence between storing the word and reading
 * the tails once more closes the gap (SLEEP-OR-SEE in lane.h).
 */
#ifndef ENGINEHOST_CORE_H
#define ENGINEHOST_CORE_H

#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>

#include "lane.h"

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

/* Before it sleeps a process gives way at least so often, which on busy cores lets everybody else run, and for at least so
 * long, which on idle ones is about what a running peer's engine takes to answer: a wake-up costs both sides more. */
#define YIELDS_MIN 20
#define YIELD_NS 30000
#define WATCHED_MAX 64
#define NS_PER_S 1000000000ll

struct core {
    unsigned slot;
    int open, adaptive;
    uint64_t identity, generation, lane_bytes;
    struct slot_out *out;
    struct slot_in *in;
    int out_fd, doorbell, epoll;
    int watched;
    uint64_t attached, dirty, drained, waiting; /* masks of peers */
    unsigned turn;                              /* whose lane the next drain begins with */
    uint8_t *scratch;                           /* the private copy of the frame being read */
    size_t scratch_bytes;
    uint64_t yields, blocks;
    int64_t looked_ns; /* coarse clock when the watched descriptors were last looked at */
    struct lane lanes[SLOTS_MAX];
};

static inline uint64_t bit(unsigned slot)
{
    return (uint64_t)1 << slot;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* --- opening and closing ------------------------------------------------------------------------------------------ */

static int core_map(struct core *core, int in_fd, struct finding *finding)
{
    struct slot_header out, in;
    int verdict = file_check(core->out_fd, MAGIC_OUT, &out, finding);
    if (verdict == MAP_OK)
        verdict = file_check(in_fd, MAGIC_IN, &in, finding);
    if (verdict != MAP_OK)
        return verdict;
    if (out.identity != in.identity || out.lane_bytes != in.lane_bytes) {
        find(finding, "its two memory files belong to different slots");
        return MAP_FINDING;
    }
    core->identity = out.identity;
    core->lane_bytes = out.lane_bytes;
    core->out = map(core->out_fd, PROT_READ | PROT_WRITE, 0, (size_t)ring_offset(out.lane_bytes, SLOTS_MAX));
    core->in = map(in_fd, PROT_READ | PROT_WRITE, 0, IN_BYTES);
    return core->out != NULL && core->in != NULL ? MAP_OK : MAP_ERRNO;
}

/* Takes the slot over from its last process: a new generation, not armed. */
static void core_begin(struct core *core)
{
    core->generation = atomic_load_explicit(&core->out->header.generation, memory_order_relaxed) + 1;
    atomic_store_explicit(&core->out->header.generation, core->generation, memory_order_relaxed);
    atomic_store_explicit(&core->in->header.generation, core->generation, memory_order_relaxed);
    uint64_t armed = atomic_load_explicit(&core->in->header.armed, memory_order_relaxed);
    atomic_store_explicit(&core->in->header.armed, (armed | 1) + 1, memory_order_relaxed);
    core->open = 1;
}

static void lane_close(struct core *core, unsigned peer);

static void core_close(struct core *core)
{
    for (unsigned peer = 0; peer < SLOTS_MAX; peer++)
        if (core->attached & bit(peer))
            lane_close(core, peer);
    if (core->out != NULL)
        munmap(core->out, (size_t)ring_offset(core->lane_bytes, SLOTS_MAX));
    if (core->in != NULL)
        munmap(core->in, IN_BYTES);
    close_all((int[]){core->out_fd, core->doorbell, core->epoll}, 3);
    core->out_fd = core->doorbell = core->epoll = -1;
    core->out = NULL;
    core->in = NULL;
    core->open = 0;
    core->watched = 0;
    free(core->scratch);
    core->scratch = NULL;
    core->scratch_bytes = 0;
}

/* Takes the three descriptors whatever comes of it. */
static int core_open(struct core *core, unsigned slot, int out_fd, int in_fd, int doorbell, struct finding *finding)
{
    core->slot = slot;
    core->out_fd = out_fd;
    core->doorbell = doorbell;
    core->epoll = epoll_create1(EPOLL_CLOEXEC);
    /* Edge triggered: each ring wakes, nobody has to read the counter before sleeping again. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = doorbell};
    int verdict = MAP_ERRNO;
    if (core->epoll >= 0 && epoll_ctl(core->epoll, EPOLL_CTL_ADD, doorbell, &event) == 0)
        verdict = core_map(core, in_fd, finding);
    close_all(&in_fd, 1);
    if (verdict == MAP_OK) {
        core_begin(core);
        return MAP_OK;
    }
    int error = errno;
    core_close(core);
    errno = error;
    return verdict;
}

static int lane_map(struct core *core, unsigned peer, int out_fd, int in_fd, struct finding *finding)
{
    struct lane *lane = &core->lanes[peer];
    struct slot_header out, in;
    int verdict = file_check(out_fd, MAGIC_OUT, &out, finding);
    if (verdict == MAP_OK)
        verdict = file_check(in_fd, MAGIC_IN, &in, finding);
    if (verdict != MAP_OK)
        return verdict;
    if (out.identity != in.identity || out.identity == core->identity) {
        find(finding, out.identity == core->identity ? "a slot cannot be its own peer"
                                                     : "its two memory files belong to different slots");
        return MAP_FINDING;
    }
    lane->far_capacity = out.lane_bytes;
    lane->far_out = map(out_fd, PROT_READ, 0, RINGS_OFFSET);
    lane->far_in = map(in_fd, PROT_READ, 0, IN_BYTES);
    lane->far_ring = map(out_fd, PROT_READ, ring_offset(out.lane_bytes, core->slot), out.lane_bytes);
    if (lane->far_out == NULL || lane->far_in == NULL || lane->far_ring == NULL)
        return MAP_ERRNO;
    lane->far = &lane->far_out->lanes[core->slot];
    lane->far_mark = &lane->far_in->marks[core->slot];
    lane->identity = core->identity;
    if (lane_open_writer(lane, out.identity, finding) < 0 || lane_open_reader(lane, out.identity, finding) < 0)
        return MAP_FINDING;
    return MAP_OK;
}

/* Ends a lane: the open frame and what was not released are forgotten; counters stay for the next attachment. */
static void lane_close(struct core *core, unsigned peer)
{
    struct lane *lane = &core->lanes[peer];
    if (lane->far_out != NULL)
        munmap((void *)lane->far_out, RINGS_OFFSET);
    if (lane->far_in != NULL)
        munmap((void *)lane->far_in, IN_BYTES);
    if (lane->far_ring != NULL)
        munmap((void *)lane->far_ring, lane->far_capacity);
    close_all(&lane->doorbell, 1);
    *lane = (struct lane){.doorbell = -1, .attachment = (lane->attachment | 1) + 1, .frames_in = lane->frames_in,
                          .messages_in = lane->messages_in, .frames_out = lane->frames_out,
                          .messages_out = lane->messages_out, .rings = lane->rings};
    uint64_t others = ~bit(peer);
    core->attached &= others;
    core->dirty &= others;
    core->drained &= others;
    core->waiting &= others;
}

/* Takes the three descriptors whatever comes of it. */
static int core_attach(struct core *core, unsigned peer, int out_fd, int in_fd, int doorbell, struct finding *finding)
{
    struct lane *lane = &core->lanes[peer];
    lane->ring = (uint8_t *)core->out + ring_offset(core->lane_bytes, peer);
    lane->own = &core->out->lanes[peer];
    lane->mark = &core->in->marks[peer];
    lane->capacity = core->lane_bytes;
    lane->doorbell = doorbell;
    int read_only[2] = {reopen_read_only(out_fd), reopen_read_only(in_fd)};
    int verdict = MAP_ERRNO;
    if (read_only[0] >= 0 && read_only[1] >= 0)
        verdict = lane_map(core, peer, read_only[0], read_only[1], finding);
    close_all(read_only, 2);
    close_all((int[]){out_fd, in_fd}, 2);
    if (verdict == MAP_OK) {
        core->attached |= bit(peer);
        lane->attachment |= 1;
        return MAP_OK;
    }
    int error = errno;
    lane_close(core, peer);
    errno = error;
    return verdict;
}

/* Allocates the ring to a peer before its first byte is written. 0 or an error number. */
static int core_reserve(struct core *core, unsigned peer)
{
    struct lane *lane = &core->lanes[peer];
    if (lane->reserved)
        return 0;
    int error = allocate(core->out_fd, ring_offset(core->lane_bytes, peer), (off_t)core->lane_bytes);
    lane->reserved = error == 0;
    return error;
}

/* --- moving ------------------------------------------------------------------------------------------------------- */

/* Whether another process has opened this slot meanwhile: best effort, no check can stop a store. */
static inline int core_stale(const struct core *core)
{
    return atomic_load_explicit(&core->out->header.generation, memory_order_relaxed) != core->generation;
}

static void core_flush(struct core *core)
{
    uint64_t fresh = 0;
    for (uint64_t left = core->dirty; left; left &= left - 1) {
        unsigned peer = (unsigned)__builtin_ctzll(left);
        if (lane_publish(&core->lanes[peer]))
            fresh |= bit(peer);
    }
    core->dirty = 0;
    if (fresh == 0)
        return;
    atomic_thread_fence(memory_order_seq_cst); /* SLEEP-OR-SEE */
    for (; fresh; fresh &= fresh - 1)
        lane_ring(&core->lanes[__builtin_ctzll(fresh)]);
}

static void core_release(struct core *core)
{
    uint64_t released = 0;
    for (uint64_t left = core->drained; left; left &= left - 1) {
        unsigned peer = (unsigned)__builtin_ctzll(left);
        if (lane_release(&core->lanes[peer]))
            released |= bit(peer);
    }
    core->drained = 0;
    if (released == 0)
        return;
    atomic_thread_fence(memory_order_seq_cst); /* SLEEP-OR-SEE */
    for (; released; released &= released - 1)
        lane_room_ring(&core->lanes[__builtin_ctzll(released)]);
}

static int scratch_grow(struct core *core, size_t bytes)
{
    if (bytes <= core->scratch_bytes)
        return 0;
    size_t size = 4096;
    while (size < bytes)
        size *= 2;
    uint8_t *grown = realloc(core->scratch, size);
    if (grown == NULL)
        return -1;
    core->scratch = grown;
    core->scratch_bytes = size;
    return 0;
}

enum { TAKE_NONE = 0, TAKE_FRAME = 1, TAKE_BROKEN = -1, TAKE_MEMORY = -2 };

/* The next frame of a peer as a checked private copy; `lane_took` moves on. */
static int core_take(struct core *core, unsigned peer, struct frame_view *view, struct finding *finding)
{
    struct lane *lane = &core->lanes[peer];
    const uint8_t *at = NULL;
    uint32_t length = 0;
    int verdict = lane_locate(lane, &at, &length, finding);
    if (verdict <= 0)
        return verdict;
    if (scratch_grow(core, length) < 0)
        return TAKE_MEMORY;
    memcpy(core->scratch, at, length);
    return frame_check(core->scratch, length, lane->read, view, finding) < 0 ? TAKE_BROKEN : TAKE_FRAME;
}

static void core_took(struct core *core, unsigned peer, const struct frame_view *view)
{
    struct lane *lane = &core->lanes[peer];
    lane->read += ALIGN8((uint64_t)(view->end - core->scratch));
    lane->frames_in++;
    lane->messages_in += view->header.count;
    core->drained |= bit(peer);
}

/* --- sleeping ----------------------------------------------------------------------------------------------------- */

/* Whether there is mail, or room a refused message waits for. The latter is said once; `has_room` says it again. */
static int core_news(struct core *core)
{
    struct finding ignored; /* drain, send and has_room report it */
    for (uint64_t left = core->attached; left; left &= left - 1) {
        struct lane *lane = &core->lanes[__builtin_ctzll(left)];
        if (lane_far_tail(lane) != lane->read)
            return 1;
    }
    for (uint64_t left = core->waiting; left; left &= left - 1) {
        unsigned peer = (unsigned)__builtin_ctzll(left);
        if (lane_room(&core->lanes[peer], &ignored) != 0) {
            core->waiting &= ~bit(peer);
            return 1;
        }
    }
    return 0;
}

static void core_arm(struct core *core)
{
    uint64_t armed = atomic_load_explicit(&core->in->header.armed, memory_order_relaxed);
    atomic_store_explicit(&core->in->header.armed, (armed | 1) + (armed & 1 ? 2 : 0), memory_order_relaxed);
    /* SLEEP-OR-SEE: the callers read all tails and heads next. Pairs with the fences of core_flush, core_release,
     * lane_publish_and_ring. */
    atomic_thread_fence(memory_order_seq_cst);
}

static void core_disarm(struct core *core)
{
    uint64_t armed = atomic_load_explicit(&core->in->header.armed, memory_order_relaxed);
    atomic_store_explicit(&core->in->header.armed, (armed | 1) + 1, memory_order_relaxed);
}

/* Gives way until there is news, or it was done often and long enough. */
static int core_yield(struct core *core)
{
    int64_t until_ns = clock_ns(CLOCK_MONOTONIC) + YIELD_NS;
    for (int given = 1;; given++) {
        core->yields++;
        sched_yield();
        if (core_news(core))
            return 1;
        if (given >= YIELDS_MIN && clock_ns(CLOCK_MONOTONIC) >= until_ns)
            return 0;
    }
}

/* Events ready within `timeout_ns` (negative: for ever), or -1 with errno. */
static int core_poll(struct core *core, struct epoll_event *events, int64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = timeout_ns / NS_PER_S, .tv_nsec = timeout_ns % NS_PER_S};
    long ready = syscall(SYS_epoll_pwait2, core->epoll, events, WATCHED_MAX + 1, timeout_ns < 0 ? NULL : &timeout, NULL,
                         (size_t)0);
    if (ready >= 0 || errno != ENOSYS)
        return (int)ready;
    int64_t ms = timeout_ns < 0 ? -1 : (timeout_ns + 999999) / 1000000;
    return epoll_pwait(core->epoll, events, WATCHED_MAX + 1, ms > INT_MAX ? INT_MAX : (int)ms, NULL);
}

static int core_watch(struct core *core, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (core->watched == WATCHED_MAX) {
        errno = ENOSPC;
        return -1;
    }
    if (epoll_ctl(core->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        return -1;
    core->watched++;
    return 0;
}

static int core_unwatch(struct core *core, int fd)
{
    if (fd == core->doorbell) {
        errno = ENOENT;
        return -1;
    }
    if (epoll_ctl(core->epoll, EPOLL_CTL_DEL, fd, NULL) < 0)
        return -1;
    core->watched--;
    return 0;
}

#endif
