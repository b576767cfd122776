/* Kill storms: a victim lives in a slot, dies by SIGKILL, and the next one takes the slot over; hundreds of times.
 *
 *   storm producer|consumer KILLS SEED STEP...
 *
 * Every other death comes at a random instant, from outside; the rest at the named steps of the core (LANE_STEP), in
 * turn, at a random pass: the victim kills itself there. What a victim did is in a ledger, memory it shares with the
 * parent and which survives it, written just before and just after the deed, so that the parent knows what must be so.
 *
 *   producer  slot 1 sends to 2 and 3, both in the parent, each life in an epoch of its own from number 0.
 *             All that was published arrives, once, in order, whole; nothing else does. Slot 4 goes on sending to 2.
 *   consumer  slot 2 handles what 1 and 3 send, both in the parent, each in one stream over all lives.
 *             A life begins between what the last one had released and what it had handled: no gap, and nothing again
 *             that was released. Slot 1 goes on sending to 4.
 *
 * Now and then the slots of the parent, or all, get new memory, so that deaths while a lane begins at zero are met. At the
 * end every block of the arenas is free again. One line on standard output for each step: its name and its deaths.
 */
#define _GNU_SOURCE
static void lane_step(const char *name);
#define LANE_STEP(name) lane_step(#name)
#include "world.h"

#define STEPS_MAX 64
#define LOOPS_OF_A_LIFE 300 /* enough for most steps; then the life ends by itself */

struct ledger {
    char *want;                           /* the step to die at; NULL: another death */
    unsigned want_index, passes;
    _Atomic unsigned deaths[STEPS_MAX];
    _Atomic uint64_t done[5];             /* published to a peer; released of a peer */
    _Atomic uint64_t handled[5];
    int quiet;                            /* nobody sends any more */
};

static struct ledger *ledger;
static int victim;
static int slots[5][3];

static void lane_step(const char *name)
{
    if (!victim || ledger->want == NULL || strcmp(ledger->want, name) != 0 || --ledger->passes > 0)
        return;
    ledger->deaths[ledger->want_index]++;
    kill(getpid(), SIGKILL);
}

/* --- victims ------------------------------------------------------------------------------------------------------ */

static void publish(struct core *core, const struct stream *streams)
{
    core_flush(core);
    for (unsigned i = 0; i < 2; i++)
        ledger->done[streams[i].peer] = streams[i].next_n;
}

static void produce(uint64_t life, int loops)
{
    struct core core;
    struct stream streams[2] = {{2, life, 0}, {3, life, 0}};
    open_core(&core, 1, slots[1]);
    attach(&core, 2, slots[2]);
    attach(&core, 3, slots[3]);
    core_collect(&core);
    if (arena_lent(&core.arena) != 0) /* the parent has read all there was */
        fail("blocks %#llx are lent and nobody has them", (unsigned long long)arena_lent(&core.arena));
    for (int i = 0; i < loops; i++) {
        struct stream *stream = &streams[chance(3) == 0];
        while (!try_send(&core, stream))
            await_room(&core, stream->peer);
        if (chance(4) == 0)
            publish(&core, streams);
    }
    publish(&core, streams);
}

/* Takes a frame of a peer; 1 if there was one. `next` is 0 before the first of this life. */
static int handle(struct core *core, unsigned peer, uint64_t *next)
{
    uint64_t epoch, first_n;
    uint32_t count = take(core, peer, &epoch, &first_n);
    if (count == 0)
        return 0;
    uint64_t least = *next ? *next - 1 : ledger->done[peer], most = *next ? *next - 1 : ledger->handled[peer];
    if (first_n < least || first_n > most)
        fail("message %llu of slot %u, expected %llu to %llu", (unsigned long long)first_n, peer,
             (unsigned long long)least, (unsigned long long)most);
    *next = first_n + count + 1;
    if (first_n + count > ledger->handled[peer])
        ledger->handled[peer] = first_n + count;
    return 1;
}

static void consume(int loops)
{
    struct core core;
    uint64_t next[4] = {0};
    const unsigned peers[2] = {1, 3};
    open_core(&core, 2, slots[2]);
    attach(&core, 1, slots[1]);
    attach(&core, 3, slots[3]);
    for (int i = 0; i < loops; i++) {
        int got = 0;
        for (unsigned p = 0; p < 2; p++)
            for (uint64_t left = 1 + chance(6); left && handle(&core, peers[p], &next[peers[p]]); left--)
                got = 1;
        core_release(&core);
        for (unsigned p = 0; p < 2; p++)
            if (next[peers[p]])
                ledger->done[peers[p]] = next[peers[p]] - 1;
        if (got)
            continue;
        if (ledger->quiet)
            return;
        nap(&core, STALL_NS);
    }
}

/* --- the parent --------------------------------------------------------------------------------------------------- */

static int producers;
static struct core cores[5];
static uint64_t expected[5];  /* producer storm: of this life, at slots 2 and 3 */
static struct stream by[5] = {{0}, {2, 1, 0}, {0}, {2, 1, 0}, {2, 1, 0}}; /* streams of slots 1, 3, and of the bystander */
static uint64_t bystander_n;

static void serve_consumers(uint64_t life)
{
    for (unsigned slot = 2; slot <= 3; slot++) {
        uint64_t epoch, first_n;
        uint32_t count = 0;
        for (uint64_t left = chance(5); left && (count = take(&cores[slot], 1, &epoch, &first_n)); left--) {
            if (epoch != life || first_n != expected[slot])
                fail("slot %u: message %llu of life %llu, expected %llu of %llu", slot, (unsigned long long)first_n,
                     (unsigned long long)epoch, (unsigned long long)expected[slot], (unsigned long long)life);
            expected[slot] += count;
        }
        if (chance(2))
            core_release(&cores[slot]);
    }
}

static void serve_producers(void)
{
    for (unsigned slot = 1; slot <= 3; slot += 2) {
        for (uint64_t left = chance(8); left && try_send(&cores[slot], &by[slot]); left--)
            continue;
        core_flush(&cores[slot]);
    }
}

/* A lane of the same slot that has nothing to do with the victim moves at once. */
static void check_bystander(void)
{
    struct core *from = &cores[producers ? 4 : 1], *to = &cores[producers ? 2 : 4];
    struct stream *stream = &by[4];
    uint64_t epoch, first_n, sent = bystander_n;
    stream->peer = to->slot;
    for (unsigned i = 0; i < 3; i++)
        sent += (uint64_t)try_send(from, stream);
    core_flush(from);
    for (uint32_t count; (count = take(to, from->slot, &epoch, &first_n)) != 0; bystander_n += count)
        if (first_n != bystander_n)
            fail("the bystander's message %llu, not %llu", (unsigned long long)first_n, (unsigned long long)bystander_n);
    core_release(to);
    if (bystander_n != sent || sent == 0)
        fail("the bystander's lane stalls");
}

static void open_parent(void)
{
    const unsigned links[2][4][2] = {{{1, 2}, {1, 4}, {3, 2}, {4, 1}}, {{2, 1}, {2, 4}, {3, 1}, {4, 2}}};
    for (unsigned slot = 1; slot <= 4; slot++)
        if (slot != (producers ? 1u : 2u))
            open_core(&cores[slot], slot, slots[slot]);
    for (unsigned i = 0; i < 4; i++)
        attach(&cores[links[producers][i][0]], links[producers][i][1], slots[links[producers][i][1]]);
}

/* New memory: for the parent's slots, so that the victim finds peers with another identity; or for all of them. */
static void renew(int all)
{
    unsigned own = producers ? 1 : 2;
    for (unsigned slot = 1; slot <= 4; slot++) {
        if (slot != own)
            core_close(&cores[slot]);
        if (slot != own || all) {
            close_all(slots[slot], 3);
            make_slot(slots[slot]);
        }
        by[slot].next_n = 0;
        ledger->done[slot] = ledger->handled[slot] = 0;
    }
    bystander_n = by[4].next_n = 0;
    open_parent();
}

static pid_t start(uint64_t life, int loops)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    victim = 1;
    chance_state ^= life * 0x9e3779b97f4a7c15ull;
    if (producers)
        produce(life, loops);
    else
        consume(loops);
    _exit(0);
}

/* Serves the victim until it is dead; kills it after `instant_ns` unless that is negative. Whether it was killed. */
static int outlive(pid_t pid, uint64_t life, int64_t instant_ns)
{
    int64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
    int status, killed = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        int64_t now_ns = clock_ns(CLOCK_MONOTONIC) - begin_ns;
        if (!killed && instant_ns >= 0 && now_ns >= instant_ns)
            killed = kill(pid, SIGKILL) == 0;
        if (now_ns > 2 * STALL_NS)
            fail("the victim of life %llu does not end", (unsigned long long)life);
        if (producers)
            serve_consumers(life);
        else
            serve_producers();
        nap(&cores[producers ? 2 : 1], 50000);
    }
    if (WIFEXITED(status) ? WEXITSTATUS(status) != 0 : WTERMSIG(status) != SIGKILL)
        fail("the victim of life %llu ended with status %#x", (unsigned long long)life, (unsigned)status);
    return WIFSIGNALED(status);
}

/* What the dead producer had published is there to the last message. */
static void check_published(uint64_t life)
{
    for (int i = 0; i < 1000; i++)
        serve_consumers(life);
    for (unsigned slot = 2; slot <= 3; slot++) {
        core_release(&cores[slot]);
        if (expected[slot] < ledger->done[slot])
            fail("%llu messages of %llu published ones arrived in slot %u", (unsigned long long)expected[slot],
                 (unsigned long long)ledger->done[slot], slot);
    }
}

static int live(uint64_t life, int64_t instant_ns, int loops)
{
    for (unsigned slot = 2; slot <= 3 && producers; slot++)
        expected[slot] = ledger->done[slot] = 0;
    int killed = outlive(start(life, loops), life, instant_ns);
    if (producers)
        check_published(life);
    check_bystander();
    return killed;
}

/* A life without death: all that was sent is handled, and all blocks come back. */
static void settle(uint64_t life)
{
    ledger->want = NULL;
    if (producers) {
        live(life, -1, 0);
        return;
    }
    int status;
    ledger->quiet = 1;
    waitpid(start(life, 1 << 30), &status, 0);
    ledger->quiet = 0;
    if (status != 0)
        fail("the victim of life %llu ended with status %#x", (unsigned long long)life, (unsigned)status);
    for (unsigned slot = 1; slot <= 3; slot += 2) {
        const struct lane *lane = &cores[slot].lanes[2];
        if (ledger->handled[slot] != by[slot].next_n || lane->far_mark->head != lane->own->tail)
            fail("handled %llu of %llu of slot %u", (unsigned long long)ledger->handled[slot],
                 (unsigned long long)by[slot].next_n, slot);
        core_collect(&cores[slot]);
        if (arena_lent(&cores[slot].arena) != 0)
            fail("slot %u: blocks are lent and nobody has them", slot);
    }
}

/* The fate of the next life: a step to die at, or NULL. Renews memory now and then, and where the step needs it. */
static void choose_fate(uint64_t life, char **names, unsigned steps)
{
    int by_step = life % 2 == 0 && steps > 0;
    ledger->want_index = steps > 0 ? life / 2 % steps : 0;
    char *want = by_step ? names[ledger->want_index] : NULL;
    int begins = want != NULL && (strstr(want, "zeroed") != NULL || strstr(want, "block") != NULL);
    if (begins || life % 16 == 15) {
        settle(life);
        renew(begins && chance(2));
    }
    ledger->want = want;
    ledger->passes = 1 + (unsigned)(chance(2) ? 0 : chance(20));
}

int main(int count, char **words)
{
    if (count < 4 || count - 4 > STEPS_MAX)
        return 2;
    producers = strcmp(words[1], "producer") == 0;
    unsigned kills = (unsigned)atoi(words[2]), steps = (unsigned)count - 4;
    chance_state = strtoull(words[3], NULL, 10) * 2 + 1;
    checksum_init();
    ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (unsigned slot = 1; slot <= 4; slot++)
        make_slot(slots[slot]);
    open_parent();
    uint64_t life = 0;
    for (unsigned deaths = 0; deaths < kills; life++) {
        choose_fate(life, words + 4, steps);
        int by_step = ledger->want != NULL;
        deaths += (unsigned)live(life, by_step ? -1 : (int64_t)chance(2500000), by_step ? LOOPS_OF_A_LIFE : 1 << 30);
    }
    settle(life);
    for (unsigned i = 0; i < steps; i++)
        printf("%s %u\n", words[4 + i], ledger->deaths[i]);
    return 0;
}
