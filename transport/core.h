/* One process's end of its slot: its two memory files, the lanes to its peers, its doorbell. Knows no Python.
 *
 * Owned here: the mappings; the descriptors `out` (to allocate rings), doorbell and epoll, and one doorbell a peer. All
 * other descriptors are closed once they are mapped. Peers are bits of 64-bit masks, since there are 64 slots.
 * Large messages go through the arena (arena.h).
 *
 * Sleeping: the armed word of `in` is odd while this process sleeps or is about to, with another value each time. A peer
 * that publishes reads it after a fence and rings at most once for each value. A fence between storing the word and reading
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

#include "arena.h"

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

/* Before it sleeps a process gives way at least so often, which on busy cores lets everybody else run, and for at least so
 * long, which on idle ones is about what a running peer's engine takes to answer: a wake-up costs both sides more. */
#define YIELDS_MIN 20
#define YIELD_NS 30000
#define WATCHED_MAX 64
#define NOT_OWNED UINT64_MAX
#define NS_PER_S 1000000000ll

struct core {
    unsigned slot;
    int open, adaptive;
    pid_t pid; /* whose end it is: a forked child has a copy, and may write nothing */
    uint64_t identity, generation, lane_bytes; /* generation NOT_OWNED: mapped only, another process has the slot */
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
    struct arena arena;
    struct reach *reaches[SLOTS_MAX]; /* peers' arenas; kept beyond a lane while views are out */
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
    return core->out == NULL || core->in == NULL ? MAP_ERRNO : MAP_OK;
}

/* Takes the slot over from its last process: a new generation, not armed. */
static void core_begin(struct core *core)
{
    core->pid = getpid();
    core->generation = atomic_load_explicit(&core->out->header.generation, memory_order_relaxed) + 1;
    atomic_store_explicit(&core->out->header.generation, core->generation, memory_order_relaxed);
    LANE_STEP(generation_half);
    atomic_store_explicit(&core->in->header.generation, core->generation, memory_order_relaxed);
    uint64_t armed = atomic_load_explicit(&core->in->header.armed, memory_order_relaxed);
    atomic_store_explicit(&core->in->header.armed, (armed | 1) + 1, memory_order_relaxed);
}

static void lane_close(struct core *core, unsigned peer);

/* Drops the link's end of a peer's arena; views of it stay valid. */
static void reach_drop(struct core *core, unsigned peer)
{
    struct reach *reach = core->reaches[peer];
    core->reaches[peer] = NULL;
    if (reach == NULL)
        return;
    reach->core = NULL;
    reach_let_go(reach);
}

static void core_close(struct core *core)
{
    for (unsigned peer = 0; peer < SLOTS_MAX; peer++)
        if (core->attached & bit(peer))
            lane_close(core, peer);
    for (unsigned peer = 0; peer < SLOTS_MAX; peer++)
        reach_drop(core, peer);
    arena_close(&core->arena);
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

/* Takes over the three descriptors, also when it fails. Writes nothing: `core_own` follows, now or later. */
static int core_open(struct core *core, unsigned slot, int out_fd, int in_fd, int doorbell, struct finding *finding)
{
    core->slot = slot;
    core->generation = NOT_OWNED;
    core->out_fd = out_fd;
    core->doorbell = doorbell;
    core->epoll = epoll_create1(EPOLL_CLOEXEC);
    /* Edge triggered: each ring wakes, and the counter need not be read before sleeping again. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = doorbell};
    int verdict = MAP_ERRNO;
    if (core->epoll >= 0 && epoll_ctl(core->epoll, EPOLL_CTL_ADD, doorbell, &event) == 0)
        verdict = core_map(core, in_fd, finding);
    close_all(&in_fd, 1);
    core->open = verdict == MAP_OK;
    if (verdict == MAP_OK)
        return MAP_OK;
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
    if (core->reaches[peer] != NULL && core->reaches[peer]->identity != out.identity)
        reach_drop(core, peer);
    if (core->reaches[peer] == NULL)
        core->reaches[peer] = reach_open(core, peer, out_fd, out.lane_bytes, out.identity);
    return core->reaches[peer] == NULL ? MAP_ERRNO : MAP_OK;
}

/* Goes on at both ends of a mapped lane where the slot's last process was. */
static int lane_own(struct core *core, unsigned peer, struct finding *finding)
{
    struct lane *lane = &core->lanes[peer];
    struct reach *reach = core->reaches[peer];
    if (lane_open_writer(lane, reach->identity, finding) < 0 || lane_open_reader(lane, reach->identity, finding) < 0 ||
        lane_lend_open(&core->arena, lane, peer, finding) < 0)
        return MAP_FINDING;
    lane_reach_open(reach, lane, core->slot);
    return MAP_OK;
}

/* Takes the slot over, with the lanes attached so far; `let_go` as in `arena_open`. On a finding `*peer` has the lane, or
 * the slot itself. */
static int core_own(struct core *core, int let_go, unsigned *peer, struct finding *finding)
{
    *peer = core->slot;
    if (arena_open(&core->arena, core->out, core->out_fd, core->lane_bytes, let_go, finding) < 0)
        return MAP_FINDING;
    core_begin(core);
    for (uint64_t left = core->attached; left; left &= left - 1) {
        *peer = (unsigned)__builtin_ctzll(left);
        if (lane_own(core, *peer, finding) != MAP_OK)
            return MAP_FINDING;
    }
    return MAP_OK;
}

/* Ends a lane: the open frame and what was not released are forgotten; counters stay for the next attachment, and so
 * does the peer's arena while there are views of it. */
static void lane_close(struct core *core, unsigned peer)
{
    struct lane *lane = &core->lanes[peer];
    if (core->reaches[peer] != NULL && core->reaches[peer]->owners == 1)
        reach_drop(core, peer);
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

/* Takes over the three descriptors, also when it fails. */
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
    if (verdict == MAP_OK && core->generation != NOT_OWNED)
        verdict = lane_own(core, peer, finding);
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
    LANE_STEP(ring_reserved);
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
    LANE_STEP(flushed_not_rung);
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
        LANE_STEP(lane_released);
        struct reach *reach = core->reaches[peer];
        if (reach->drained == 0)
            continue;
        reach->ripe |= reach->drained; /* after the head: a kill between the two cannot bring these back */
        reach->drained = 0;
        reach_return(reach, &core->lanes[peer]);
    }
    core->drained = 0;
    if (released == 0)
        return;
    LANE_STEP(released_not_rung);
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
    LANE_STEP(frame_copied);
    if (frame_check(core->scratch, length, lane->read, view, finding) < 0)
        return TAKE_BROKEN;
    if (view->header.flags & FLAG_IN_BLOCK)
        return block_locate(lane, view, finding) < 0 ? TAKE_BROKEN : TAKE_FRAME;
    return TAKE_FRAME;
}

static void core_took(struct core *core, unsigned peer, const struct frame_view *view)
{
    struct lane *lane = &core->lanes[peer];
    lane->read += ALIGN8((uint64_t)(view->end - core->scratch));
    lane->frames_in++;
    lane->messages_in += view->header.count;
    core->drained |= bit(peer);
    if (view->header.flags & FLAG_IN_BLOCK)
        core->reaches[peer]->drained |= block_bit(view->block.block);
    LANE_STEP(frame_taken);
}

/* --- large messages ----------------------------------------------------------------------------------------------- */

static void core_collect(struct core *core)
{
    for (uint64_t left = core->attached; left; left &= left - 1) {
        unsigned peer = (unsigned)__builtin_ctzll(left);
        arena_collect(&core->arena, peer, &core->lanes[peer]);
    }
}

/* Refuses for want of a block: asks to be rung when one is returned, and when the lane is half free. */
static int core_starve(struct core *core, unsigned peer, uint64_t bytes, uint64_t record_bytes)
{
    core->lanes[peer].block_wanted = bytes;
    /* SLEEP-OR-SEE: relaxed; the fence in core_arm comes before this process sleeps. Pairs with reach_return. */
    atomic_store_explicit(&core->out->header.starved, 1, memory_order_relaxed);
    LANE_STEP(starved_said);
    return lane_refuse(&core->lanes[peer], record_bytes);
}

/* Whether there is what a refused message asked for: room, and a block if it is large. 1, 0, -1 with a finding. */
static int core_room(struct core *core, unsigned peer, struct finding *finding)
{
    struct lane *lane = &core->lanes[peer];
    if (lane->block_wanted != 0) {
        core_collect(core);
        if (!arena_has(&core->arena, lane->block_wanted))
            return 0;
    }
    int verdict = lane_room(lane, finding);
    if (verdict <= 0 || lane->block_wanted == 0)
        return verdict;
    lane->block_wanted = 0;
    for (uint64_t left = core->attached; left; left &= left - 1)
        if (core->lanes[__builtin_ctzll(left)].block_wanted != 0)
            return verdict;
    atomic_store_explicit(&core->out->header.starved, 0, memory_order_relaxed);
    return verdict;
}

/* `core_room` for a waiting sender: a yes ends the wait, a no counts as a refusal. */
static int core_ask_room(struct core *core, unsigned peer, struct finding *finding)
{
    struct lane *lane = &core->lanes[peer];
    int verdict = core_room(core, peer, finding);
    if (verdict != 0) {
        core->waiting &= ~bit(peer);
        return verdict;
    }
    core->waiting |= bit(peer);
    return lane->wanted != 0 ? 0 : lane_refuse(lane, 1);
}

enum { SEND_DONE = 1, SEND_REFUSED = 0, SEND_BROKEN = -1, SEND_ERRNO = -2 };

/* Copies a message of `bytes`, in parts, into a block, and its record into a frame of its own, which is published at
 * once: what follows takes long enough for the receiver to begin. */
static int core_send_large(struct core *core, unsigned peer, const struct frame_header *header, const uint8_t *names,
                           uint32_t names_bytes, const struct iovec *parts, size_t count, uint64_t bytes,
                           struct finding *finding)
{
    struct lane *lane = &core->lanes[peer];
    struct frame_header flagged = *header;
    struct block_record record = {.bytes = bytes};
    core_collect(core);
    int error = arena_take(&core->arena, bytes, &record.block);
    if (error == ENOBUFS || (error != 0 && arena_lent(&core->arena) != 0))
        return core_starve(core, peer, bytes, FRAME_HEADER_BYTES + names_bytes + MESSAGE_BYTES(sizeof record));
    if (error != 0) {
        errno = error;
        return SEND_ERRNO;
    }
    flagged.flags = FLAG_IN_BLOCK;
    int verdict = lane_begin(lane, &flagged, names, names_bytes, sizeof record, finding);
    if (verdict <= 0)
        return verdict;
    block_fill(&core->arena, record.block, parts, count);
    block_lend(&core->arena, lane, peer, record.block, bytes, lane->write);
    lane_append(lane, (const char *)&record, sizeof record);
    lane_publish_and_ring(lane);
    core->arena.used_ns = clock_ns(CLOCK_MONOTONIC_COARSE);
    return SEND_DONE;
}

/* Gives back pages that were not used for a while. Nanoseconds until it is worth another look, or -1. */
static int64_t core_trim(struct core *core)
{
    struct arena *arena = &core->arena;
    if (arena->reserved_bytes == 0)
        return -1;
    int64_t idle_ns = clock_ns(CLOCK_MONOTONIC_COARSE) - arena->used_ns;
    if (idle_ns < ARENA_IDLE_NS)
        return ARENA_IDLE_NS - idle_ns;
    core_collect(core);
    arena_trim(arena);
    return arena->reserved_bytes == 0 ? -1 : ARENA_IDLE_NS; /* the rest is lent */
}

/* The last view of a block is gone. */
static void reach_unview(struct reach *reach, unsigned block)
{
    struct core *core = reach->core;
    if (--reach->views[block] == 0 && core != NULL && (core->attached & bit(reach->peer)) && !core_stale(core) &&
        core->pid == getpid())
        reach_return(reach, &core->lanes[reach->peer]);
    reach_let_go(reach);
}

static const uint8_t *reach_view(struct reach *reach, const struct block_record *record)
{
    const uint8_t *at = reach->base + record->block * BLOCK_BYTES;
    populate(at, record->bytes, MADV_POPULATE_READ, &reach->populated[record->block]);
    reach->views[record->block]++;
    reach->owners++;
    return at;
}

/* --- sleeping ----------------------------------------------------------------------------------------------------- */

/* Whether there is mail, or room for a refused message. Room is reported once; `has_room` answers it again. */
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
        if (core_room(core, peer, &ignored) != 0) {
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
    LANE_STEP(armed);
}

static void core_disarm(struct core *core)
{
    uint64_t armed = atomic_load_explicit(&core->in->header.armed, memory_order_relaxed);
    atomic_store_explicit(&core->in->header.armed, (armed | 1) + 1, memory_order_relaxed);
    LANE_STEP(disarmed);
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
