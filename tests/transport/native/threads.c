/* Two links of one process, each on a thread of its own, for ThreadSanitizer: it knows races by address, so that both
 * ends must see the shared memory at the same one. Wrap-around, the arm and ring handshake, rings for room and blocks.
 *
 *   threads MESSAGES SEED
 *
 * The second thread sends every 64th number back, so that both ends sleep and both ends ring.
 */
#define _GNU_SOURCE
#define LANE_STEP(name)
#include <pthread.h>

#include "world.h"

static struct core left, right;
static uint64_t messages;

/* Lets `near` see the memory of `far` where `far` has it. */
static void share(struct core *near, struct core *far)
{
    struct lane *lane = &near->lanes[far->slot];
    lane->far_out = far->out;
    lane->far_in = far->in;
    lane->far_ring = (uint8_t *)far->out + ring_offset(far->lane_bytes, near->slot);
    lane->far = &far->out->lanes[near->slot];
    lane->far_mark = &far->in->marks[near->slot];
    if (arena_map(&far->arena) != 0)
        fail("no arena: %s", strerror(errno));
    near->reaches[far->slot]->base = far->arena.base;
}

/* Takes what is there; returns the number that comes next. */
static uint64_t receive(struct core *core, unsigned peer, uint64_t next)
{
    uint64_t epoch, first_n;
    for (uint32_t count; (count = take(core, peer, &epoch, &first_n)) != 0; next += count)
        if (first_n != next)
            fail("message %llu, not %llu", (unsigned long long)first_n, (unsigned long long)next);
    core_release(core);
    return next;
}

static void *send_all(void *unused)
{
    struct stream stream = {2, 1, 0};
    uint64_t returned = 0;
    while (stream.next_n < messages) {
        if (!try_send(&left, &stream))
            await_room(&left, 2);
        if (stream.next_n % 7 == 0)
            core_flush(&left);
        if (stream.next_n % 640 == 0) { /* wait for all answers, asleep */
            core_flush(&left);
            while ((returned = receive(&left, 2, returned)) < stream.next_n / 64)
                nap(&left, STALL_NS);
        }
        returned = receive(&left, 2, returned);
    }
    core_flush(&left);
    while ((returned = receive(&left, 2, returned)) < messages / 64)
        nap(&left, STALL_NS);
    return unused;
}

static void *answer_all(void *unused)
{
    struct stream stream = {1, 2, 0};
    uint64_t next = 0;
    while (next < messages || stream.next_n < messages / 64) {
        next = receive(&right, 1, next);
        while (stream.next_n < next / 64)
            if (!try_send(&right, &stream))
                await_room(&right, 1);
        core_flush(&right);
        if (next < messages)
            nap(&right, STALL_NS);
    }
    return unused;
}

int main(int count, char **words)
{
    int slots[2][3];
    pthread_t threads[2];
    if (count != 3)
        return 2;
    messages = strtoull(words[1], NULL, 10) / 640 * 640;
    chance_state = strtoull(words[2], NULL, 10) * 2 + 1;
    checksum_init();
    for (unsigned i = 0; i < 2; i++)
        make_slot(slots[i]);
    open_core(&left, 1, slots[0]);
    open_core(&right, 2, slots[1]);
    attach(&left, 2, slots[1]);
    attach(&right, 1, slots[0]);
    share(&left, &right);
    share(&right, &left);
    pthread_create(&threads[0], NULL, send_all, NULL);
    pthread_create(&threads[1], NULL, answer_all, NULL);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("%llu frames, %llu rings\n", (unsigned long long)left.lanes[2].frames_out,
           (unsigned long long)(left.lanes[2].rings + right.lanes[1].rings));
    fflush(stdout);
    _exit(0);
}
