/* The arena of a slot: blocks for large messages, read in place. The producer's end of it, and the consumer's. No Python.
 *
 * 64 blocks, each 64 MiB of address space in `out` with as many pages as it was ever asked for. A message over an eighth
 * of a lane is copied into a free block once; its lane carries a record {length, block}, which keeps it in order with the
 * small ones. The consumer hands out views of its read-only mapping. The content has no checksum: no medium lies between
 * the two, what a dead producer left half written is never published, and a CRC of both ends would cost more than the
 * copy. The record has one, and is held against the block's entry: position (which is as good as a generation), length,
 * and that the block is lent to this lane.
 *
 * Owners. A block is its producer's to write until it is *lent*, the consumer's to read until it is *returned*. Both are
 * a bit in a word of their own: `lent` of the lane (the producer writes it), `returned` of the mark (the consumer does).
 * A block is with the consumer while the bits differ; each turns its own over, so that one word has one writer and no
 * step needs an answer. With the block goes its entry: for which lane and position, how long, how many bytes reserved.
 *
 *   free      bits alike in all lanes     the producer may fill it, reserve more, or give its pages back
 *   filled    still free                  content written, then position, bytes, peer; no peer can see it
 *   lent      `lent` turned over          then the record, then the tail: the consumer sees it
 *   drained   read, head before it        the views are out; the next process of the slot would drain it again
 *   ripe      head behind it              it will not be drained again; views may still be out
 *   returned  `returned` turned over      ripe and without a view: free
 *
 * What a death leaves:
 *   producer filling        free, with pages beyond `reserved` maybe: given back when the slot is opened again
 *   after `lent`            lent for a position the tail has not passed: turned back by lane_lend_open, it was never seen
 *   after the tail          lent; the consumer goes on reading and returns it, the next producer finds it lent
 *   consumer before head    lent; drained again by the next process
 *   after head              lent for a position before the head: returned by lane_reach_open, the views died with it
 * A slot whose memory is replaced has another identity: the lane's words begin at zero again, and so do these.
 * A producer that opens a slot takes each block as lent to the peer of its last entry until it is linked with that peer
 * and can read what was returned. A detached peer does not come back: what it had is free.
 *
 * Bounds: `reserved` of all blocks together stays within bytes_max. A send that finds no block is refused like one that
 * finds no room, and sets `starved`, so that each return rings. Blocks not used for a while give their pages back.
 *
 *   BLOCK-WAS-LENT     lent      release by the producer, acquire by the consumer: the entry is written
 *   BLOCK-WAS-READ     returned  release by the consumer, acquire by the producer: it is not read any more
 * The content itself is covered by FRAME-IS-COMPLETE. Loaned chunks as in iceoryx2's data segments; that the two owners
 * turn bits of their own is the toggle of the alternating-bit protocol.
 */
#ifndef ENGINEHOST_ARENA_H
#define ENGINEHOST_ARENA_H

#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "lane.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define ARENA_BYTES_MIN BLOCK_BYTES   /* the largest message has a block */
#define ARENA_BYTES (1ull << 28)      /* four of the largest on their way */
#define ARENA_GRAIN (1ull << 16)      /* reserved in multiples of it, and of an eighth of the size */
#define ARENA_IDLE_NS 1000000000ll    /* pages not used for so long are given back */

/* The producer's end: blocks that are not lent to anybody are its own. */
struct arena {
    struct slot_out *out;
    int fd;
    uint64_t lane_bytes, bytes_max, reserved_bytes;
    uint8_t *base;                /* mapped with the first large message */
    uint64_t lent_to[SLOTS_MAX];  /* as last seen: blocks a peer has */
    uint64_t populated[BLOCKS];   /* bytes this process has in its page table */
    int64_t used_ns;              /* coarse clock of the last large message; 0: nothing to give back */
};

/* The consumer's end of a peer's arena. Lives as long as a view does, also beyond lane and link. */
struct reach {
    const uint8_t *base;
    unsigned owners;              /* the link's end, and each view */
    uint64_t identity;            /* of the peer's memory */
    uint64_t drained, ripe;       /* blocks */
    uint32_t views[BLOCKS];
    uint64_t populated[BLOCKS];
    struct core *core;            /* NULL once the link's end has let go */
    unsigned peer;
};

static inline uint64_t block_bit(unsigned block)
{
    return (uint64_t)1 << block;
}

static inline uint64_t word_of(const word *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

/* Fills page tables ahead; where the kernel cannot, the first touch does. */
static void populate(const uint8_t *at, uint64_t bytes, int advice, uint64_t *populated)
{
    if (bytes <= *populated)
        return;
    madvise((void *)(at + *populated), bytes - *populated, advice);
    *populated = bytes;
}

/* --- producer ----------------------------------------------------------------------------------------------------- */

static void block_give_back(struct arena *arena, unsigned block)
{
    struct block_entry *entry = &arena->out->blocks[block];
    off_t at = arena_offset(arena->lane_bytes) + (off_t)(block * BLOCK_BYTES);
    arena->reserved_bytes -= word_of(&entry->reserved);
    arena->populated[block] = 0;
    /* first: pages too many are found again, too few not */
    atomic_store_explicit(&entry->reserved, 0, memory_order_relaxed);
    LANE_STEP(block_unreserved);
    fallocate(arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)BLOCK_BYTES);
}

/* Takes the arena over from the slot's last process; `let_go`: that stopped between two messages, so no block has pages
 * beyond what its entry says. 0, or -1 with a finding. */
static int arena_open(struct arena *arena, struct slot_out *out, int fd, uint64_t lane_bytes, int let_go,
                      struct finding *finding)
{
    arena->out = out;
    arena->fd = fd;
    arena->lane_bytes = lane_bytes;
    atomic_store_explicit(&out->header.starved, 0, memory_order_relaxed);
    for (unsigned block = 0; block < BLOCKS; block++) {
        uint64_t reserved = word_of(&out->blocks[block].reserved), peer = word_of(&out->blocks[block].peer);
        if (reserved > BLOCK_BYTES || reserved % PAGE != 0 || peer >= SLOTS_MAX)
            return find(finding, "block %u has %llu bytes and was lent to %llu", block, (unsigned long long)reserved,
                        (unsigned long long)peer);
        arena->reserved_bytes += reserved;
        if (word_of(&out->blocks[block].bytes) != 0)
            arena->lent_to[peer] |= block_bit(block);
        off_t at = arena_offset(lane_bytes) + (off_t)(block * BLOCK_BYTES + reserved);
        if (!let_go && word_of(&out->header.generation) != 0 && reserved < BLOCK_BYTES)
            fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)(BLOCK_BYTES - reserved));
    }
    return 0;
}

static void arena_close(struct arena *arena)
{
    if (arena->base != NULL)
        munmap(arena->base, BLOCKS * BLOCK_BYTES);
    *arena = (struct arena){.fd = -1, .bytes_max = arena->bytes_max};
}

/* What a peer that is linked has returned by now. */
static void arena_collect(struct arena *arena, unsigned peer, const struct lane *lane)
{
    /* HEAD-IS-YOURS: acquire; pairs with the release in lane_open_reader. Until then nothing was read or returned. */
    if (arena->lent_to[peer] == 0 ||
        atomic_load_explicit(&lane->far_mark->writer, memory_order_acquire) != lane->identity)
        return;
    /* BLOCK-WAS-READ: acquire; pairs with the release in reach_return. */
    uint64_t returned = atomic_load_explicit(&lane->far_mark->returned, memory_order_acquire);
    arena->lent_to[peer] &= word_of(&lane->own->lent) ^ returned;
}

/* Goes on lending where the slot's last process was. 0, or -1 with a finding. */
static int lane_lend_open(struct arena *arena, struct lane *lane, unsigned peer, struct finding *finding)
{
    /* HEAD-IS-YOURS, BLOCK-WAS-READ: acquire; as in arena_collect. */
    int known = atomic_load_explicit(&lane->far_mark->writer, memory_order_acquire) == lane->identity;
    uint64_t returned = known ? atomic_load_explicit(&lane->far_mark->returned, memory_order_acquire) : 0;
    uint64_t lent = word_of(&lane->own->lent), out = lent ^ returned;
    for (uint64_t left = out; left; left &= left - 1) {
        unsigned block = (unsigned)__builtin_ctzll(left);
        const struct block_entry *entry = &arena->out->blocks[block];
        if (word_of(&entry->peer) != peer)
            return find(finding, "block %u is lent to slot %u, its entry says %llu", block, peer,
                        (unsigned long long)word_of(&entry->peer));
        if (word_of(&entry->position) >= lane->published)
            out &= ~block_bit(block), lent ^= block_bit(block);
    }
    /* BLOCK-WAS-LENT: release; pairs with the acquire in lane_reach_open. What is turned back here was never seen. */
    atomic_store_explicit(&lane->own->lent, lent, memory_order_release);
    LANE_STEP(lent_taken_over);
    arena->lent_to[peer] = out;
    return 0;
}

static uint64_t arena_lent(const struct arena *arena)
{
    uint64_t lent = 0;
    for (unsigned peer = 0; peer < SLOTS_MAX; peer++)
        lent |= arena->lent_to[peer];
    return lent;
}

/* What to reserve for so many bytes: some more, so that a block fits the next message too. */
static uint64_t reserved_for(uint64_t bytes)
{
    uint64_t grain = ARENA_GRAIN;
    while (grain * 16 <= bytes)
        grain *= 2;
    uint64_t rounded = (bytes + grain - 1) / grain * grain;
    return rounded < BLOCK_BYTES ? rounded : BLOCK_BYTES;
}

struct choice {
    int fitting; /* the smallest free block with enough pages, or -1 */
    int largest; /* the largest free one without, or -1 */
    uint64_t free_bytes;
};

static struct choice arena_look(const struct arena *arena, uint64_t lent, uint64_t bytes)
{
    struct choice choice = {-1, -1, 0};
    uint64_t fitting_bytes = 0, largest_bytes = 0;
    for (uint64_t left = ~lent; left; left &= left - 1) {
        unsigned block = (unsigned)__builtin_ctzll(left);
        uint64_t reserved = word_of(&arena->out->blocks[block].reserved);
        choice.free_bytes += reserved;
        if (reserved >= bytes && (choice.fitting < 0 || reserved < fitting_bytes)) {
            choice.fitting = (int)block;
            fitting_bytes = reserved;
        } else if (reserved < bytes && (choice.largest < 0 || reserved > largest_bytes)) {
            choice.largest = (int)block;
            largest_bytes = reserved;
        }
    }
    return choice;
}

/* Whether a message of so many bytes finds a block, one with pages or one that may get them. */
static int arena_has(const struct arena *arena, uint64_t bytes)
{
    struct choice choice = arena_look(arena, arena_lent(arena), bytes);
    uint64_t kept = arena->reserved_bytes - choice.free_bytes;
    return choice.fitting >= 0 || (choice.largest >= 0 && kept + reserved_for(bytes) <= arena->bytes_max);
}

static int arena_map(struct arena *arena)
{
    if (arena->base != NULL)
        return 0;
    arena->base = map(arena->fd, PROT_READ | PROT_WRITE, arena_offset(arena->lane_bytes), BLOCKS * BLOCK_BYTES);
    if (arena->base == NULL)
        return errno;
    madvise(arena->base, BLOCKS * BLOCK_BYTES, MADV_HUGEPAGE);
    madvise(arena->base, BLOCKS * BLOCK_BYTES, MADV_DONTDUMP);
    return 0;
}

/* More pages for a free block, within the bound: other free blocks give theirs. 0, or an error number. */
static int block_grow(struct arena *arena, unsigned block, uint64_t bytes, uint64_t lent)
{
    struct block_entry *entry = &arena->out->blocks[block];
    uint64_t had = word_of(&entry->reserved), wanted = reserved_for(bytes);
    for (uint64_t left = ~lent & ~block_bit(block);
         left && arena->reserved_bytes - had + wanted > arena->bytes_max; left &= left - 1)
        block_give_back(arena, (unsigned)__builtin_ctzll(left));
    int error = allocate(arena->fd, arena_offset(arena->lane_bytes) + (off_t)(block * BLOCK_BYTES + had),
                         (off_t)(wanted - had));
    if (error != 0)
        return error;
    LANE_STEP(block_allocated);
    atomic_store_explicit(&entry->reserved, wanted, memory_order_relaxed);
    arena->reserved_bytes += wanted - had;
    return 0;
}

/* A free block with pages for so many bytes. 0 and the block; ENOBUFS: none now; else an error number. */
static int arena_take(struct arena *arena, uint64_t bytes, unsigned *block)
{
    uint64_t lent = arena_lent(arena);
    struct choice choice = arena_look(arena, lent, bytes);
    uint64_t kept = arena->reserved_bytes - choice.free_bytes;
    int may_grow = choice.largest >= 0 && kept + reserved_for(bytes) <= arena->bytes_max;
    int error = arena_map(arena);
    if (error != 0)
        return error;
    /* a block far too large is left to larger messages while there is room for one that fits */
    uint64_t wanted = reserved_for(bytes);
    int spare = choice.fitting >= 0 && word_of(&arena->out->blocks[choice.fitting].reserved) > 4 * wanted &&
                arena->reserved_bytes + wanted <= arena->bytes_max;
    if (choice.fitting >= 0 && !(spare && may_grow)) {
        *block = (unsigned)choice.fitting;
    } else if (may_grow) {
        *block = (unsigned)choice.largest;
        error = block_grow(arena, *block, bytes, lent);
        if (error != 0)
            return error;
    } else
        return ENOBUFS;
    populate(arena->base + *block * BLOCK_BYTES, word_of(&arena->out->blocks[*block].reserved), MADV_POPULATE_WRITE,
             &arena->populated[*block]);
    return 0;
}

/* Copies a message, in parts, into a free block. */
static void block_fill(struct arena *arena, unsigned block, const struct iovec *parts, size_t count)
{
    uint8_t *at = arena->base + block * BLOCK_BYTES;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, parts[i].iov_base, parts[i].iov_len);
        at += parts[i].iov_len;
        LANE_STEP(block_filled);
    }
}

/* The block is the consumer's as soon as a frame at `position` is published. */
static void block_lend(struct arena *arena, struct lane *lane, unsigned peer, unsigned block, uint64_t bytes,
                       uint64_t position)
{
    struct block_entry *entry = &arena->out->blocks[block];
    atomic_store_explicit(&entry->position, position, memory_order_relaxed);
    LANE_STEP(entry_half);
    atomic_store_explicit(&entry->peer, peer, memory_order_relaxed);
    atomic_store_explicit(&entry->bytes, bytes, memory_order_relaxed);
    LANE_STEP(entry_written);
    /* BLOCK-WAS-LENT: release; pairs with the acquires in lane_reach_open and block_check. */
    atomic_store_explicit(&lane->own->lent, word_of(&lane->own->lent) ^ block_bit(block), memory_order_release);
    LANE_STEP(block_lent);
    arena->lent_to[peer] |= block_bit(block);
}

/* A peer will not come back, nor will any process that read its blocks. */
static void arena_forget(struct arena *arena, struct lane *lane, unsigned peer)
{
    if (lane->own != NULL && lane->far_mark != NULL) {
        int known = atomic_load_explicit(&lane->far_mark->writer, memory_order_acquire) == lane->identity;
        uint64_t returned = known ? atomic_load_explicit(&lane->far_mark->returned, memory_order_acquire) : 0;
        atomic_store_explicit(&lane->own->lent, returned, memory_order_release);
    }
    /* those it returned too: the slot's next process, which is not linked with it, would take them for lent */
    for (unsigned block = 0; block < BLOCKS; block++)
        if (word_of(&arena->out->blocks[block].peer) == peer)
            atomic_store_explicit(&arena->out->blocks[block].bytes, 0, memory_order_relaxed);
    arena->lent_to[peer] = 0;
}

/* Gives the pages of all free blocks back. */
static void arena_trim(struct arena *arena)
{
    for (uint64_t left = ~arena_lent(arena); left; left &= left - 1) {
        unsigned block = (unsigned)__builtin_ctzll(left);
        if (word_of(&arena->out->blocks[block].reserved) != 0)
            block_give_back(arena, block);
    }
}

/* --- consumer ----------------------------------------------------------------------------------------------------- */

static void reach_let_go(struct reach *reach)
{
    if (--reach->owners > 0)
        return;
    munmap((void *)reach->base, BLOCKS * BLOCK_BYTES);
    free(reach);
}

/* The end of a peer's arena, mapped for reading. NULL with errno. */
static struct reach *reach_open(struct core *core, unsigned peer, int out_fd, uint64_t lane_bytes, uint64_t identity)
{
    struct reach *reach = calloc(1, sizeof *reach);
    if (reach == NULL)
        return NULL;
    reach->base = map(out_fd, PROT_READ, arena_offset(lane_bytes), BLOCKS * BLOCK_BYTES);
    if (reach->base == NULL) {
        free(reach);
        return NULL;
    }
    madvise((void *)reach->base, BLOCKS * BLOCK_BYTES, MADV_HUGEPAGE);
    madvise((void *)reach->base, BLOCKS * BLOCK_BYTES, MADV_DONTDUMP);
    reach->owners = 1;
    reach->identity = identity;
    reach->core = core;
    reach->peer = peer;
    return reach;
}

/* Returns blocks that are ripe and have no view; rings a producer that waits for one. */
static void reach_return(struct reach *reach, struct lane *lane)
{
    uint64_t back = 0;
    for (uint64_t left = reach->ripe; left; left &= left - 1)
        if (reach->views[__builtin_ctzll(left)] == 0)
            back |= left & -left;
    if (back == 0)
        return;
    reach->ripe &= ~back;
    /* BLOCK-WAS-READ: release; pairs with the acquires in arena_collect and lane_lend_open. */
    atomic_store_explicit(&lane->mark->returned, word_of(&lane->mark->returned) ^ back, memory_order_release);
    LANE_STEP(block_returned);
    atomic_thread_fence(memory_order_seq_cst); /* SLEEP-OR-SEE */
    /* SLEEP-OR-SEE: relaxed, ordered by the fence; pairs with core_starve and the fence in core_arm. */
    if (word_of(&lane->far_out->header.starved) != 0)
        lane_ring(lane);
}

/* Blocks the slot's last process had read, but not returned: their readers are gone, or are views of ours. */
static void lane_reach_open(struct reach *reach, struct lane *lane, unsigned slot)
{
    reach->drained = reach->ripe = 0;
    /* LANE-IS-YOURS: acquire; pairs with the release in lane_open_writer. */
    if (atomic_load_explicit(&lane->far->reader, memory_order_acquire) != lane->identity)
        return;
    /* BLOCK-WAS-LENT: acquire; pairs with the release in block_lend. */
    uint64_t lent = atomic_load_explicit(&lane->far->lent, memory_order_acquire);
    for (uint64_t left = lent ^ word_of(&lane->mark->returned); left; left &= left - 1) {
        const struct block_entry *entry = &lane->far_out->blocks[__builtin_ctzll(left)];
        if (word_of(&entry->peer) == slot && word_of(&entry->position) < lane->read)
            reach->ripe |= left & -left;
    }
    reach_return(reach, lane);
}

/* Holds a record against the block's entry. 0, or -1 with a finding. */
static int block_check(const struct lane *lane, const struct block_record *record, uint64_t position,
                       struct finding *finding)
{
    if (record->block >= BLOCKS || record->zero != 0)
        return find(finding, "a message lies in block %u, %u", record->block, record->zero);
    const struct block_entry *entry = &lane->far_out->blocks[record->block];
    /* BLOCK-WAS-LENT: acquire; pairs with the release in block_lend. */
    uint64_t lent = atomic_load_explicit(&lane->far->lent, memory_order_acquire);
    if (((lent ^ word_of(&lane->mark->returned)) & block_bit(record->block)) == 0)
        return find(finding, "a message lies in block %u, which is not lent", record->block);
    if (word_of(&entry->position) != position || word_of(&entry->bytes) != record->bytes)
        return find(finding, "a message of %llu bytes in block %u, whose entry says %llu at position %llu",
                    (unsigned long long)record->bytes, record->block, (unsigned long long)word_of(&entry->bytes),
                    (unsigned long long)word_of(&entry->position));
    if (record->bytes == 0 || record->bytes > BLOCK_BYTES)
        return find(finding, "a message of %llu bytes in a block", (unsigned long long)record->bytes);
    return 0;
}

/* Fills in where the message of a checked frame lies. 0, or -1 with a finding. */
static int block_locate(const struct lane *lane, struct frame_view *view, struct finding *finding)
{
    const uint8_t *cursor = view->messages, *payload = NULL;
    uint32_t bytes = 0;
    if (frame_next(&cursor, view->end, &payload, &bytes, finding) < 0)
        return -1;
    if (bytes != sizeof view->block || cursor != view->end)
        return find(finding, "a block record of %u bytes", bytes);
    memcpy(&view->block, payload, sizeof view->block);
    return block_check(lane, &view->block, lane->read, finding);
}

#endif
