/* What a hostile or mismatched peer can write, systematically, under AddressSanitizer: every byte of every kind of frame,
 * with and without a checksum that fits, every length cut, every word a peer owns. Each must be read as something or come
 * to a finding; nothing is read beyond the private copy of a frame, whose rest is poisoned as soon as it is copied.
 *
 * One line on standard output: cases, and how many came to a finding.
 */
#define _GNU_SOURCE
static void lane_step(const char *name);
#define LANE_STEP(name) lane_step(#name)
#include "world.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#endif

static struct core victim, hostile;
static int slots[3][3];
static unsigned long cases, findings;
static volatile uint8_t sink; /* what was read counts as used */
static const uint8_t bytes_tried[] = {0, 1, 2, 7, 8, 0x10, 0x3f, 0x40, 0x7f, 0x80, 0xfe, 0xff};
static const uint64_t words_tried[] = {0, 1, 4, 7, 8, 16, 63, 64, 4096, LANE_BYTES - 8, LANE_BYTES, LANE_BYTES + 8,
                                       1ull << 26, (1ull << 26) + 1, 1ull << 31, 1ull << 32, 1ull << 63, ~7ull, ~0ull};
#define COUNT_OF(list) (sizeof list / sizeof list[0])

/* The copy of the frame is there: what lies behind it in the buffer is not the frame's. */
static void lane_step(const char *name)
{
    uint32_t length;
    if (strcmp(name, "frame_copied") != 0)
        return;
    memcpy(&length, victim.lanes[2].far_ring + (victim.lanes[2].read & (LANE_BYTES - 1)), 4);
    ASAN_POISON_MEMORY_REGION(victim.scratch + length, victim.scratch_bytes - length);
}

static void begin(void)
{
    for (unsigned slot = 1; slot <= 2; slot++)
        make_slot(slots[slot]);
    open_core(&victim, 1, slots[1]);
    open_core(&hostile, 2, slots[2]);
    attach(&victim, 2, slots[2]);
    attach(&hostile, 1, slots[1]);
}

static void note(int verdict, const struct finding *finding)
{
    cases++;
    if (verdict >= 0)
        return;
    findings++;
    if (finding->text[0] == 0)
        fail("case %lu is refused and nobody says why", cases);
}

/* Reads to the end of what there is, or to the first finding, as the drain of a link does; then goes back. */
static void drain(void)
{
    struct lane *lane = &victim.lanes[2];
    struct finding finding = {""};
    struct frame_view view;
    uint64_t read = lane->read;
    uint8_t sum = 0;
    int verdict;
    while ((verdict = core_take(&victim, 2, &view, &finding)) == TAKE_FRAME) {
        const uint8_t *cursor = view.messages, *payload;
        uint32_t bytes;
        for (uint32_t i = 0; i < view.header.sender_bytes + (uint32_t)view.header.target_bytes; i++)
            sum ^= view.names[i];
        if (view.header.flags & FLAG_IN_BLOCK)
            for (uint64_t i = 0; i < view.block.bytes; i += PAGE)
                sum ^= victim.reaches[2]->base[view.block.block * BLOCK_BYTES + i];
        for (uint32_t i = 0; i < view.header.count && verdict == TAKE_FRAME; i++) {
            if (frame_next(&cursor, view.end, &payload, &bytes, &finding) < 0)
                verdict = TAKE_BROKEN;
            for (uint32_t b = 0; verdict == TAKE_FRAME && b < bytes; b++)
                sum ^= payload[b];
        }
        if (verdict != TAKE_FRAME)
            break;
        lane->read += ALIGN8((uint64_t)(view.end - victim.scratch));
        ASAN_UNPOISON_MEMORY_REGION(victim.scratch, victim.scratch_bytes);
    }
    ASAN_UNPOISON_MEMORY_REGION(victim.scratch, victim.scratch_bytes);
    note(verdict, &finding);
    lane->read = read;
    lane->yours = 0;
    sink = sum;
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

static void sign(uint8_t *frame, uint32_t bytes)
{
    uint32_t checksum = frame_checksum(frame, bytes, frame[8]);
    memcpy(frame + 4, &checksum, 4);
}

/* Every byte with every value tried, then every 4 and 8 bytes as one number; signed again or not. */
static void mutate(uint8_t *frame, uint32_t bytes)
{
    uint8_t original[FRAME_SOFT_BYTES_MAX];
    memcpy(original, frame, bytes);
    for (uint32_t at = 0; at < bytes; at++)
        for (unsigned v = 0; v < COUNT_OF(bytes_tried) + COUNT_OF(words_tried); v++)
            for (int resign = 0; resign < 2; resign++) {
                uint64_t word = v < COUNT_OF(bytes_tried) ? 0 : words_tried[v - COUNT_OF(bytes_tried)];
                unsigned width = at % 8 == 0 ? 8 : 4;
                if (v < COUNT_OF(bytes_tried))
                    frame[at] = bytes_tried[v];
                else if (at % 4 == 0 && at + width <= bytes)
                    memcpy(frame + at, &word, width);
                if (resign)
                    sign(frame, bytes);
                drain();
                memcpy(frame, original, bytes);
            }
}

/* Every length the frame may claim, signed for it. */
static void truncate_frame(uint8_t *frame, uint32_t bytes)
{
    for (uint32_t length = 0; length <= bytes + 16; length++)
        for (int resign = 0; resign < 2; resign++) {
            memcpy(frame, &length, 4);
            if (resign && length > FRAME_CHECKED_FROM)
                sign(frame, length);
            drain();
        }
    memcpy(frame, &bytes, 4);
    sign(frame, bytes);
}

/* A frame of so many messages of the stream's own sizes, at the start of the ring. */
static void attack_frames(uint64_t first_n, unsigned messages)
{
    struct stream stream = {1, 1, first_n};
    begin();
    for (unsigned i = 0; i < messages; i++)
        try_send(&hostile, &stream);
    core_flush(&hostile);
    uint8_t *frame = hostile.lanes[1].ring;
    uint32_t bytes;
    memcpy(&bytes, frame, 4);
    mutate(frame, bytes);
    truncate_frame(frame, bytes);
    core_close(&victim);
    core_close(&hostile);
}

/* --- words -------------------------------------------------------------------------------------------------------- */

/* Everything below the rings, or all of `in`, word by word: what is attached goes on or finds it. */
static void attack_words(uint8_t *memory)
{
    struct finding finding = {""};
    for (uint32_t at = 0; at < RINGS_OFFSET; at += 8)
        for (unsigned v = 0; v < COUNT_OF(words_tried); v++) {
            uint64_t original;
            memcpy(&original, memory + at, 8);
            memcpy(memory + at, &words_tried[v], 8);
            uint64_t seen = victim.lanes[2].head_seen, lent = victim.arena.lent_to[2];
            drain();
            note(lane_refresh_head(&victim.lanes[2], &finding), &finding);
            core_collect(&victim);
            victim.lanes[2].head_seen = seen;
            victim.arena.lent_to[2] = lent;
            memcpy(memory + at, &original, 8);
        }
}

/* The same before a process attaches. */
static void attack_attach(int which, uint32_t from, uint32_t to)
{
    for (uint32_t at = from; at < to; at += 8)
        for (unsigned v = 0; v < COUNT_OF(words_tried); v++) {
            uint64_t original;
            struct finding finding = {""};
            pread(slots[2][which], &original, 8, at);
            pwrite(slots[2][which], &words_tried[v], 8, at);
            lane_close(&victim, 2);
            int verdict = core_attach(&victim, 2, dup(slots[2][0]), dup(slots[2][1]), dup(slots[2][2]), &finding);
            note(verdict == MAP_OK ? 0 : -1, &finding);
            if (verdict == MAP_OK)
                drain();
            pwrite(slots[2][which], &original, 8, at);
        }
}

static void attack_memory(void)
{
    struct stream stream = {1, 1, 0}, back = {2, 1, 0};
    begin();
    for (unsigned i = 0; i < 12; i++) { /* a large one among them */
        try_send(&hostile, &stream);
        try_send(&victim, &back);
    }
    core_flush(&hostile);
    core_flush(&victim);
    attack_words((uint8_t *)hostile.out);
    attack_words((uint8_t *)hostile.in);
    for (int which = 0; which < 2; which++) {
        attack_attach(which, 0, 256);
        attack_attach(which, BLOCKS_OFFSET, BLOCKS_OFFSET + 64);
        attack_attach(which, PAGE + ENTRY_BYTES, PAGE + 2 * ENTRY_BYTES);
    }
}

int main(void)
{
    checksum_init();
    uint64_t large = 0;
    while (size_of(1, large) <= LANE_BYTES / LARGE_SHARE)
        large++;
    attack_frames(large + 1, 1);
    attack_frames(large + 1, 3);
    attack_frames(large, 1);
    attack_memory();
    printf("%lu cases, %lu findings\n", cases, findings);
    return 0;
}
