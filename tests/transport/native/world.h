/* Slots, links and numbered messages for the C tests of the lanes: what an outlet does, without Python.
 *
 * A message says its epoch and number, and its size and bytes follow from them, so that whoever reads it can tell whether
 * it is whole, the right one, and the next one. LANE_STEP is defined by the test before this file is read.
 */
#ifndef WORLD_H
#define WORLD_H

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "core.h"

#define LANE_BYTES LANE_BYTES_MIN
#define ARENA_BYTES_OF_TESTS (1u << 18) /* so small that blocks run out, and give their pages to each other */
#ifndef STALL_NS
#define STALL_NS (10 * NS_PER_S) /* no wait is so long */
#endif
#define PAYLOAD_BYTES_MAX (200u << 10)

struct stream {
    unsigned peer;
    uint64_t epoch, next_n;
};

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("FAILED: ", stderr);
    vfprintf(stderr, format, values);
    fputs("\n", stderr);
    va_end(values);
    _exit(3);
}

static uint64_t chance_state = 1;

/* xorshift64*: the same numbers for the same seed. */
static uint64_t chance(uint64_t below)
{
    chance_state ^= chance_state >> 12;
    chance_state ^= chance_state << 25;
    chance_state ^= chance_state >> 27;
    return (chance_state * 2685821657736338717ull >> 20) % below;
}

/* --- slots -------------------------------------------------------------------------------------------------------- */

static void make_slot(int fds[3])
{
    if (slot_create(LANE_BYTES, fds) < 0)
        fail("slot_create: %s", strerror(errno));
}

static void open_core(struct core *core, unsigned slot, const int fds[3])
{
    struct finding finding = {"an error of the system"};
    *core = (struct core){.out_fd = -1, .doorbell = -1, .epoll = -1, .arena = {.fd = -1, .bytes_max = ARENA_BYTES_OF_TESTS}};
    for (unsigned peer = 0; peer < SLOTS_MAX; peer++)
        core->lanes[peer].doorbell = -1;
    unsigned peer;
    if (core_open(core, slot, dup(fds[0]), dup(fds[1]), dup(fds[2]), &finding) != MAP_OK ||
        core_own(core, 0, &peer, &finding) != MAP_OK)
        fail("slot %u: %s, %s", slot, finding.text, strerror(errno));
}

static void attach(struct core *core, unsigned peer, const int fds[3])
{
    struct finding finding = {"an error of the system"};
    if (core_attach(core, peer, dup(fds[0]), dup(fds[1]), dup(fds[2]), &finding) != MAP_OK)
        fail("slot %u to %u: %s, %s", core->slot, peer, finding.text, strerror(errno));
    int error = core_reserve(core, peer);
    if (error != 0)
        fail("slot %u to %u: %s", core->slot, peer, strerror(error));
}

/* Sleeps until something happens, `most_ns` at most. Whether it did; a wake-up that was lost is a failure. */
static int nap(struct core *core, int64_t most_ns)
{
    struct epoll_event events[WATCHED_MAX + 1];
    int ready = 0;
    core_arm(core);
    if (!core_news(core)) {
        ready = core_poll(core, events, most_ns);
        if (ready == 0 && most_ns >= STALL_NS)
            fail("slot %u slept for %lld s, and there is %s", core->slot, (long long)(most_ns / NS_PER_S),
                 core_news(core) ? "news: a wake-up was lost" : "nothing");
    }
    core_disarm(core);
    return ready;
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

/* Most are small, some fill a good part of the lane, a few lie in blocks. */
static uint32_t size_of(uint64_t epoch, uint64_t n)
{
    uint32_t mixed = (uint32_t)((n * 2654435761u) ^ (epoch * 40503u)) >> 8;
    if (mixed % 23 == 0)
        return 2100 + mixed % (PAYLOAD_BYTES_MAX - 2100);
    return 16 + mixed % (mixed % 5 == 0 ? 1900 : 200);
}

static void fill(uint8_t *at, uint64_t epoch, uint64_t n, uint32_t bytes)
{
    memcpy(at, &epoch, 8);
    memcpy(at + 8, &n, 8);
    memset(at + 16, (int)(n * 31 + epoch) & 0xff, bytes - 16);
}

static void check_bytes(const uint8_t *at, uint64_t bytes, uint64_t epoch, uint64_t n)
{
    static _Thread_local uint8_t expected[PAYLOAD_BYTES_MAX];
    if (bytes != size_of(epoch, n))
        fail("message %llu of epoch %llu has %llu bytes, not %u", (unsigned long long)n, (unsigned long long)epoch,
             (unsigned long long)bytes, size_of(epoch, n));
    fill(expected, epoch, n, (uint32_t)bytes);
    if (memcmp(expected, at, bytes) != 0)
        fail("message %llu of epoch %llu has other bytes than were sent", (unsigned long long)n,
             (unsigned long long)epoch);
}

/* Sends the stream's next message, as an outlet does. 1, or 0 when there is no room now. */
static int try_send(struct core *core, struct stream *stream)
{
    static _Thread_local uint8_t payload[PAYLOAD_BYTES_MAX];
    struct lane *lane = &core->lanes[stream->peer];
    uint32_t bytes = size_of(stream->epoch, stream->next_n);
    struct frame_header header = {.first_n = stream->next_n, .epoch = stream->epoch, .sender_bytes = 1, .target_bytes = 2};
    struct finding finding;
    int verdict = SEND_DONE;
    fill(payload, stream->epoch, stream->next_n, bytes);
    if (bytes > LANE_BYTES / LARGE_SHARE) {
        struct iovec parts[2] = {{payload, bytes / 2}, {payload + bytes / 2, bytes - bytes / 2}};
        verdict = core_send_large(core, stream->peer, &header, (const uint8_t *)"abc\0\0\0\0", 8, parts, 2, bytes, &finding);
    } else if (lane->owner == stream && lane_fits(lane, bytes)) {
        lane_append(lane, (const char *)payload, bytes);
    } else {
        core->dirty |= bit(stream->peer);
        if (lane->owner == stream)
            lane_publish_and_ring(lane);
        verdict = lane_begin(lane, &header, (const uint8_t *)"abc\0\0\0\0", 8, bytes, &finding);
        if (verdict == SEND_DONE) {
            lane->owner = stream;
            lane_append(lane, (const char *)payload, bytes);
        }
    }
    if (verdict < 0)
        fail("slot %u to %u: %s", core->slot, stream->peer, verdict == SEND_BROKEN ? finding.text : strerror(errno));
    if (verdict == SEND_REFUSED)
        core->waiting |= bit(stream->peer);
    stream->next_n += (uint64_t)verdict;
    return verdict;
}

/* Waits until there is what a refused message needs. */
static void await_room(struct core *core, unsigned peer)
{
    struct finding finding;
    for (int verdict; (verdict = core_ask_room(core, peer, &finding)) != 1;) {
        if (verdict < 0)
            fail("slot %u to %u: %s", core->slot, peer, finding.text);
        nap(core, STALL_NS);
    }
}

/* Reads one frame of a peer and checks every message. Messages in it, 0 when there is no frame. */
static uint32_t take(struct core *core, unsigned peer, uint64_t *epoch, uint64_t *first_n)
{
    struct frame_view view;
    struct finding finding = {"no memory"};
    int verdict = core_take(core, peer, &view, &finding);
    if (verdict < 0)
        fail("lane %u>%u: %s", peer, core->slot, finding.text);
    if (verdict == TAKE_NONE)
        return 0;
    *epoch = view.header.epoch;
    *first_n = view.header.first_n;
    const uint8_t *cursor = view.messages, *payload;
    uint32_t bytes;
    if (view.header.flags & FLAG_IN_BLOCK) {
        check_bytes(reach_view(core->reaches[peer], &view.block), view.block.bytes, *epoch, *first_n);
        core_took(core, peer, &view);
        reach_unview(core->reaches[peer], view.block.block);
        return 1;
    }
    for (uint32_t i = 0; i < view.header.count; i++) {
        if (frame_next(&cursor, view.end, &payload, &bytes, &finding) < 0)
            fail("lane %u>%u: %s", peer, core->slot, finding.text);
        check_bytes(payload, bytes, *epoch, *first_n + i);
    }
    core_took(core, peer, &view);
    return view.header.count;
}

#endif
