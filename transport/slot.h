/* The memory of a slot: two sealed memory files, `out` written by the slot's process, `in` too, both read by its peers.
 *
 * `out`                                                  `in`
 *   offset  size  meaning                                  offset  size  meaning
 *        0     8  magic "EHOUT\0\0\1"                           0     8  magic "EHIN\0\0\0\1"
 *        8     8  layout hash                                   8     8  layout hash
 *       16     8  identity: random, the same in both           16     8  identity
 *       24     8  lane_bytes, a power of two                   24     8  lane_bytes
 *       64     8  generation: processes so far                 64     8  generation
 *      192     8  starved: 1 = ring me for each block         128     8  armed: odd = ring me, once for each value
 *     2048    32  block 0 of the arena: u64 position,
 *                 bytes, peer, reserved (arena.h)
 *        …        blocks 1 to 63
 *     4096   128  lane to slot 0                             4096   128  marks of the lane from slot 0
 *              0 8  tail: bytes published, for ever                 0 8  head: below it space is free
 *             64 8  reader: identity this lane is for               8 8  writer: identity `head` is about
 *             72 8  waiting: 1 = ring me at half free              64 8  stable: below it nothing is sent again
 *             80 8  lent: a bit a block, see arena.h               72 8  returned: a bit a block, see arena.h
 *        …        lanes to slots 1 to 63                         …        slots 1 to 63
 *    12288     n  ring to slot 0, lane_bytes, on first use   12288        end
 *        …        rings to slots 1 to 63
 *        …     n  from the next multiple of 2 MiB: the arena, 64 blocks of 64 MiB, sparse
 *
 * One process writes a word, the owner of the slot; the others have mapped it for reading only. A slot whose memory was
 * replaced (same number, new files) has another identity. `reader` and `writer` hold the identity that a lane's positions
 * belong to, so both ends begin at zero again without exchanging a message.
 *
 * The files cannot shrink, grow or be unsealed, and a ring or block is allocated before its first byte is written, so a
 * mapping never faults. Writing is not sealed, since the slot's next process must map it writable again.
 */
#ifndef ENGINEHOST_SLOT_H
#define ENGINEHOST_SLOT_H

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frame.h"

#define SLOTS_MAX 64u
#define LANE_BYTES_MIN (1u << 14) /* the largest frame and the padding before it fit */
#define LANE_BYTES_MAX (1u << 30)
#define LAYOUT_VERSION 2u
#define LINE_BYTES 64u
#define PAGE 4096u
#define BLOCKS 64u                 /* bits of a word */
#define BLOCK_BYTES (1ull << 26)   /* the largest message */
#define LARGE_SHARE 8u             /* a message over 1/8 of a lane lies in a block */
#define ARENA_ALIGNMENT (1ull << 21) /* of huge pages, where there are some */
#define BLOCKS_OFFSET 2048u
#define ENTRY_BYTES 128u
#define RINGS_OFFSET (PAGE + SLOTS_MAX * ENTRY_BYTES)
#define IN_BYTES RINGS_OFFSET
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define MAGIC_OUT 0x01000054554f4845ull
#define MAGIC_IN 0x010000004e494845ull

#ifndef LANE_STEP
#define LANE_STEP(name) /* a point where a death is tried: tests build the core with one that kills */
#endif

typedef _Atomic uint64_t word;
_Static_assert(sizeof(word) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "shared words are plain 8-byte words");

struct slot_header {
    uint64_t magic, layout, identity, lane_bytes;
    _Alignas(LINE_BYTES) word generation;
    _Alignas(LINE_BYTES) word armed;   /* in `in` only */
    _Alignas(LINE_BYTES) word starved; /* in `out` only */
};

struct block_entry { /* in `out` */
    word position, bytes, peer, reserved;
};

struct lane_entry { /* in `out` */
    _Alignas(LINE_BYTES) word tail;
    _Alignas(LINE_BYTES) word reader;
    word waiting;
    word lent;
};

struct mark_entry { /* in `in` */
    _Alignas(LINE_BYTES) word head;
    word writer;
    _Alignas(LINE_BYTES) word stable;
    word returned;
};

struct slot_out {
    struct slot_header header;
    _Alignas(BLOCKS_OFFSET) struct block_entry blocks[BLOCKS];
    _Alignas(PAGE) struct lane_entry lanes[SLOTS_MAX];
};

struct slot_in {
    struct slot_header header;
    _Alignas(PAGE) struct mark_entry marks[SLOTS_MAX];
};
_Static_assert(sizeof(struct lane_entry) == ENTRY_BYTES && sizeof(struct mark_entry) == ENTRY_BYTES, "as the table says");
_Static_assert(sizeof(struct slot_out) == RINGS_OFFSET && sizeof(struct slot_in) == IN_BYTES, "as the table says");
_Static_assert(offsetof(struct slot_out, blocks) == BLOCKS_OFFSET && BLOCKS_OFFSET + BLOCKS * sizeof(struct block_entry) == PAGE,
               "as the table says");

static inline off_t ring_offset(uint64_t lane_bytes, unsigned slot)
{
    return (off_t)(RINGS_OFFSET + slot * lane_bytes);
}

static inline off_t arena_offset(uint64_t lane_bytes)
{
    uint64_t rings_end = (uint64_t)ring_offset(lane_bytes, SLOTS_MAX);
    return (off_t)((rings_end + ARENA_ALIGNMENT - 1) & ~(ARENA_ALIGNMENT - 1));
}

static inline off_t out_bytes(uint64_t lane_bytes)
{
    return arena_offset(lane_bytes) + (off_t)(BLOCKS * BLOCK_BYTES);
}

static inline int lane_bytes_valid(uint64_t bytes)
{
    return bytes >= LANE_BYTES_MIN && bytes <= LANE_BYTES_MAX && (bytes & (bytes - 1)) == 0;
}

/* FNV-1a over what both ends must agree on. */
static uint64_t layout_hash(void)
{
    const uint32_t facts[] = {LAYOUT_VERSION, SLOTS_MAX, PAGE, ENTRY_BYTES, RINGS_OFFSET, FRAME_HEADER_BYTES,
                              FRAME_MESSAGES_MAX, NAME_BYTES_MAX, LARGE_SHARE, KIND_MAX,
                              BLOCKS, (uint32_t)BLOCK_BYTES, BLOCKS_OFFSET};
    const uint8_t *bytes = (const uint8_t *)facts;
    uint64_t hash = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < sizeof facts; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3ull;
    return hash;
}

/* Allocates pages of a file; a signal does not end it. 0 or an error number. */
static int allocate(int fd, off_t offset, off_t bytes)
{
    int error;
    do
        error = posix_fallocate(fd, offset, bytes);
    while (error == EINTR);
    return error;
}

/* Makes one of the two files: sized, its front allocated, header written, sealed. Descriptor or -1. */
static int slot_file_create(const char *name, uint64_t magic, uint64_t identity, uint64_t lane_bytes, off_t bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    struct slot_header header = {.magic = magic, .layout = layout_hash(), .identity = identity, .lane_bytes = lane_bytes};
    int error = ftruncate(fd, bytes) < 0 ? errno : allocate(fd, 0, RINGS_OFFSET);
    if (error == 0 && pwrite(fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
        error = EIO;
    if (error == 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
        error = errno;
    if (error == 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

static void close_all(const int *fds, int count)
{
    int error = errno;
    for (int i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    errno = error;
}

/* fds: out, in, doorbell. 0, or -1 with errno and nothing left open. */
static int slot_create(uint64_t lane_bytes, int fds[3])
{
    uint64_t identity = 0;
    while (identity == 0)
        if (getrandom(&identity, sizeof identity, 0) != (ssize_t)sizeof identity)
            return -1;
    fds[0] = slot_file_create("enginehost-out", MAGIC_OUT, identity, lane_bytes, out_bytes(lane_bytes));
    fds[1] = slot_file_create("enginehost-in", MAGIC_IN, identity, lane_bytes, IN_BYTES);
    fds[2] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0)
        return 0;
    close_all(fds, 3);
    return -1;
}

/* What went wrong while mapping: the operating system's error, or a finding. */
enum { MAP_OK = 0, MAP_ERRNO = -1, MAP_FINDING = -2 };

static int header_check(const struct slot_header *header, uint64_t magic, struct finding *finding)
{
    if (header->magic != magic)
        find(finding, "magic is %016llx, not %016llx", (unsigned long long)header->magic, (unsigned long long)magic);
    else if (header->layout != layout_hash())
        find(finding, "layout hash is %016llx, not %016llx", (unsigned long long)header->layout,
             (unsigned long long)layout_hash());
    else if (!lane_bytes_valid(header->lane_bytes))
        find(finding, "lane_bytes %llu is not a power of two in range", (unsigned long long)header->lane_bytes);
    else
        return MAP_OK;
    return MAP_FINDING;
}

/* Reads the header through the descriptor and holds it, the size and the seals against what they must be. */
static int file_check(int fd, uint64_t magic, struct slot_header *header, struct finding *finding)
{
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || fstat(fd, &status) < 0)
        return MAP_ERRNO;
    if ((seals & SEALS) != SEALS) {
        find(finding, "seals are %#x, not %#x", (unsigned)seals, (unsigned)SEALS);
        return MAP_FINDING;
    }
    ssize_t got = pread(fd, header, sizeof *header, 0);
    if (got < 0)
        return MAP_ERRNO;
    if (got != (ssize_t)sizeof *header) {
        find(finding, "the file ends within its header");
        return MAP_FINDING;
    }
    int verdict = header_check(header, magic, finding);
    if (verdict != MAP_OK)
        return verdict;
    off_t expected = magic == MAGIC_IN ? (off_t)IN_BYTES : out_bytes(header->lane_bytes);
    if (status.st_size != expected) {
        find(finding, "the file has %lld bytes, not %lld", (long long)status.st_size, (long long)expected);
        return MAP_FINDING;
    }
    return MAP_OK;
}

/* A descriptor of the same file that cannot be mapped for writing. */
static int reopen_read_only(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void *map(int fd, int protection, off_t offset, size_t bytes)
{
    void *at = mmap(NULL, bytes, protection, MAP_SHARED, fd, offset);
    return at == MAP_FAILED ? NULL : at;
}

#endif
