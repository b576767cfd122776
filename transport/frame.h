/* The layout of a frame, and the checks on one that came in. `frames.py` is the same in Python; change both together.
 *
 * A frame is what one sender sent to one mailbox between two flushes. All words are little endian.
 *
 *   offset  size  type   meaning
 *        0     4  u32    length: bytes of the whole frame; the next one starts at the next multiple of 8
 *        4     4  u32    checksum of the bytes [8, length)
 *        8     1  u8     checksum kind: 1 CRC32C, 2 zlib's CRC-32
 *        9     1  u8     kind: 0 messages, 1 stop, 2 go
 *       10     2  u16    flags: 1 = its one message lies in a block of the sender's arena (lanes only)
 *       12     4  u32    count of messages, at most 256
 *       16     8  u64    position: of the frame's first byte: in the lane, or over ZeroMQ in the ring of the keep
 *       24     8  u64    first_n: number of the first message in the stream (sender, target) of this epoch
 *       32     8  u64    epoch
 *       40     4  u32    mailbox
 *       44     2  u16    bytes of the sender's name, at most 1024
 *       46     2  u16    bytes of the target's name, at most 1024
 *       48     s  utf-8  sender's name, t bytes target's name, zeros to a multiple of 8
 *        …           then for each message: u32 bytes, the bytes, zeros to a multiple of 4; of one in a block
 *                    instead the 16 bytes u64 its length, u32 block, u32 0, as if they were the message
 *
 * A padding record fills a ring up to its end: u32 PADDING | bytes, u32 complement of the former, the rest undefined.
 *
 * What came in is not trusted: it is copied out of shared memory first, its length taken once, and every length inside
 * is held against what is left.
 */
#ifndef ENGINEHOST_FRAME_H
#define ENGINEHOST_FRAME_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "crc32c.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "frames are little endian"
#endif

#define FRAME_HEADER_BYTES 48u
#define FRAME_CHECKED_FROM 8u
#define FRAME_MESSAGES_MAX 256u
#define NAME_BYTES_MAX 1024u
#define FRAME_HEAD_BYTES_MAX (FRAME_HEADER_BYTES + 2 * NAME_BYTES_MAX)
#define PADDING 0x80000000u
#define KIND_MAX 2u
#define FLAG_IN_BLOCK 1u

#define ALIGN4(bytes) (((bytes) + 3u) & ~3u)
#define ALIGN8(bytes) (((bytes) + 7u) & ~7u)
#define MESSAGE_BYTES(payload_bytes) (4u + ALIGN4(payload_bytes))

struct frame_header {
    uint32_t length, checksum;
    uint8_t checksum_kind, kind;
    uint16_t flags;
    uint32_t count;
    uint64_t position, first_n, epoch;
    uint32_t mailbox;
    uint16_t sender_bytes, target_bytes;
};
_Static_assert(sizeof(struct frame_header) == FRAME_HEADER_BYTES, "the header has no padding");

/* Why a lane is broken, for `Broken`. */
struct finding {
    char text[160];
};

__attribute__((format(printf, 2, 3))) static int find(struct finding *finding, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(finding->text, sizeof finding->text, format, values);
    va_end(values);
    return -1;
}

/* Where a large message lies. */
struct block_record {
    uint64_t bytes;
    uint32_t block, zero;
};

/* A checked frame: pointers into the reader's private copy. */
struct frame_view {
    struct frame_header header;
    const uint8_t *names;
    uint32_t names_bytes; /* padded */
    const uint8_t *messages, *end;
    struct block_record block; /* with FLAG_IN_BLOCK, once core_take has checked it */
};

static uint32_t frame_checksum(const uint8_t *frame, uint32_t length, uint8_t kind)
{
    const uint8_t *data = frame + FRAME_CHECKED_FROM;
    return kind == CHECKSUM_CRC32C ? crc32c(data, length - FRAME_CHECKED_FROM)
                                   : crc32_of_zlib(data, length - FRAME_CHECKED_FROM);
}

/* Completes a frame in place: what was not known when it was opened. */
static void frame_seal(uint8_t *frame, uint32_t length, uint32_t count)
{
    struct frame_header *header = (struct frame_header *)frame;
    header->length = length;
    header->count = count;
    header->checksum_kind = CHECKSUM_CRC32C;
    header->checksum = frame_checksum(frame, length, CHECKSUM_CRC32C);
}

/* Checks a private copy of `length` bytes, at least a header. 0, or -1 with a finding. */
static int frame_check(const uint8_t *frame, uint32_t length, uint64_t position, struct frame_view *view,
                       struct finding *finding)
{
    struct frame_header *h = &view->header;
    memcpy(h, frame, sizeof *h);
    if (h->checksum_kind != CHECKSUM_CRC32C && h->checksum_kind != CHECKSUM_CRC32)
        return find(finding, "checksum kind %u is not known", h->checksum_kind);
    uint32_t computed = frame_checksum(frame, length, h->checksum_kind);
    if (computed != h->checksum)
        return find(finding, "checksum is %08x, the bytes give %08x", h->checksum, computed);
    if (h->position != position)
        return find(finding, "frame says it is at position %llu", (unsigned long long)h->position);
    if (h->kind > KIND_MAX || h->flags > FLAG_IN_BLOCK || (h->flags && (h->kind != 0 || h->count != 1)))
        return find(finding, "kind %u with flags %u and count %u is not known", h->kind, h->flags, h->count);
    if (h->count > FRAME_MESSAGES_MAX || (h->kind != 0 && h->count != 0))
        return find(finding, "count %u is too large for kind %u", h->count, h->kind);
    if (h->sender_bytes > NAME_BYTES_MAX || h->target_bytes > NAME_BYTES_MAX)
        return find(finding, "names of %u and %u bytes are too long", h->sender_bytes, h->target_bytes);
    view->names = frame + FRAME_HEADER_BYTES;
    view->names_bytes = ALIGN8((uint32_t)h->sender_bytes + h->target_bytes);
    if (FRAME_HEADER_BYTES + view->names_bytes + 4 * h->count > length)
        return find(finding, "names and %u messages do not fit into %u bytes", h->count, length);
    view->messages = view->names + view->names_bytes;
    view->end = frame + length;
    return 0;
}

/* The next message at `*cursor`. 0, or -1 with a finding when it reaches beyond `end`. */
static inline int frame_next(const uint8_t **cursor, const uint8_t *end, const uint8_t **payload, uint32_t *bytes,
                             struct finding *finding)
{
    size_t left = (size_t)(end - *cursor);
    if (left < 4)
        return find(finding, "a message begins behind the frame's end");
    memcpy(bytes, *cursor, 4);
    if (*bytes > left - 4 || ALIGN4(*bytes) > left - 4)
        return find(finding, "a message of %u bytes reaches beyond the frame's end", *bytes);
    *payload = *cursor + 4;
    *cursor += 4 + ALIGN4(*bytes);
    return 0;
}

#endif
