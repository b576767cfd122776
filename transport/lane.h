/* A lane: the ring from one slot to another, single producer, single consumer. Both ends of one peer in one struct.
 *
 * Positions count bytes for ever and are multiples of 8; an index is position & mask. The producer owns the bytes from
 * `head` + lane_bytes down to `tail`, the consumer those from `tail` down to `head`. A frame grows in place above `tail`
 * (open), is completed (sealed) and seen by the consumer once `tail` has passed it (published). It never wraps: what is
 * left of the ring before its end becomes a padding record. A producer that dies leaves an open frame that is never seen;
 * a consumer that dies between drain and release leaves `head` where it was.
 *
 * Which end wakes the other:
 *   producer: store tail | fence | load armed      receiver: store armed | fence | load tails    one of the two sees
 *   consumer: store head | fence | load waiting, armed   producer: store waiting, armed | fence | load head   the other
 *
 * The pairs of atomics, named by the same words at both ends:
 *   FRAME-IS-COMPLETE  tail     release by the producer, acquire by the consumer: the bytes below are written
 *   FRAME-WAS-READ     head     release by the consumer, acquire by the producer: the bytes below were read
 *   LANE-IS-YOURS      reader   release by the producer, acquire by the consumer: tail is about this reader
 *   HEAD-IS-YOURS      writer   release by the consumer, acquire by the producer: head is about this writer
 *   SLEEP-OR-SEE       the four fences above
 * After Lamport's one-writer queue, with the cached far index and the padding record of Aeron's ring buffers.
 */
#ifndef ENGINEHOST_LANE_H
#define ENGINEHOST_LANE_H

#include "slot.h"

#define FRAME_SOFT_BYTES_MAX 32768u /* an open frame is sealed beyond this; 300 records of 100 bytes */

struct lane {
    /* producer's end: this slot's `out`, the peer's `in` */
    uint8_t *ring;
    struct lane_entry *own;
    const struct mark_entry *far_mark;
    uint64_t capacity;           /* bytes of this slot's rings */
    uint64_t write, published;   /* sealed up to, published up to */
    uint64_t head_seen, wanted;  /* the cached far index; bytes a refused message needs, 0 = none waits */
    uint64_t block_wanted;       /* bytes of a large message that found no block, 0 = none waits */
    uint8_t *frame;              /* the open frame, or NULL */
    uint8_t *cursor, *limit;     /* where its next message goes, and its end at most */
    uint32_t count;              /* messages in it */
    const void *owner;           /* whose stream it is */
    int reserved;                /* the ring is allocated */
    /* consumer's end: the peer's `out`, this slot's `in` */
    const uint8_t *far_ring;
    const struct lane_entry *far;
    struct mark_entry *mark;
    uint64_t far_capacity, read, released;
    int yours;                   /* the peer's lane is known to be about this slot */
    /* the peer */
    const struct slot_out *far_out;
    const struct slot_in *far_in;
    uint64_t identity;           /* of this slot's memory */
    int doorbell;
    uint64_t rung;               /* the armed value this process rang last */
    uint64_t attachment;         /* odd while attached; an outlet of another value is closed */
    uint64_t frames_in, messages_in, frames_out, messages_out, rings;
};

/* --- producer ----------------------------------------------------------------------------------------------------- */

static inline uint64_t soft_bytes_max(uint64_t capacity)
{
    return capacity / 8 < FRAME_SOFT_BYTES_MAX ? capacity / 8 : FRAME_SOFT_BYTES_MAX;
}

/* Looks at the consumer's head again. 0, or -1 with a finding. */
static int lane_refresh_head(struct lane *lane, struct finding *finding)
{
    /* HEAD-IS-YOURS: acquire; pairs with the release in lane_open_reader. Until then nothing was read. */
    if (atomic_load_explicit(&lane->far_mark->writer, memory_order_acquire) != lane->identity)
        return 0;
    /* FRAME-WAS-READ: acquire; pairs with the release in lane_release. */
    uint64_t head = atomic_load_explicit(&lane->far_mark->head, memory_order_acquire);
    if (head < lane->head_seen || head > lane->published || (head & 7))
        return find(finding, "head %llu lies outside [%llu, %llu]", (unsigned long long)head,
                    (unsigned long long)lane->head_seen, (unsigned long long)lane->published);
    lane->head_seen = head;
    return 0;
}

/* Completes the open frame, if any: its bytes are final, the consumer does not see it yet. */
static void lane_seal(struct lane *lane)
{
    if (lane->frame == NULL)
        return;
    uint32_t length = (uint32_t)(lane->cursor - lane->frame);
    LANE_STEP(frame_open);
    frame_seal(lane->frame, length, lane->count);
    LANE_STEP(frame_sealed);
    lane->write += ALIGN8(length);
    lane->frames_out++;
    lane->messages_out += lane->count;
    lane->frame = NULL;
    lane->owner = NULL;
}

/* Makes all sealed frames visible. 1 when there were any: the receiver is then to be rung after a fence. */
static int lane_publish(struct lane *lane)
{
    lane_seal(lane);
    if (lane->write == lane->published)
        return 0;
    /* FRAME-IS-COMPLETE: release; pairs with the acquire in lane_far_tail. */
    atomic_store_explicit(&lane->own->tail, lane->write, memory_order_release);
    LANE_STEP(tail_stored);
    lane->published = lane->write;
    return 1;
}

/* After a fence: rings a receiver that sleeps, once for each value it armed with. */
static void lane_ring(struct lane *lane)
{
    /* SLEEP-OR-SEE: relaxed, ordered by the fence before; pairs with the fence in core_arm. */
    uint64_t armed = atomic_load_explicit(&lane->far_in->header.armed, memory_order_relaxed);
    if ((armed & 1) == 0 || armed == lane->rung)
        return;
    lane->rung = armed;
    lane->rings++;
    uint64_t one = 1;
    LANE_STEP(before_ring);
    ssize_t done = write(lane->doorbell, &one, sizeof one);
    LANE_STEP(rung);
    (void)done; /* EAGAIN: the counter is full, so it is readable, which is all a ring says */
}

static void lane_publish_and_ring(struct lane *lane)
{
    if (!lane_publish(lane))
        return;
    atomic_thread_fence(memory_order_seq_cst); /* SLEEP-OR-SEE */
    lane_ring(lane);
}

static inline uint64_t lane_free(const struct lane *lane)
{
    return lane->capacity - (lane->write - lane->head_seen);
}

/* Whether the room a refused message asked for is there. Clears the request when it is. */
static int lane_room(struct lane *lane, struct finding *finding)
{
    uint64_t needed = lane->wanted > lane->capacity / 2 ? lane->wanted : lane->capacity / 2;
    if (lane_refresh_head(lane, finding) < 0)
        return -1;
    if (lane_free(lane) < needed)
        return 0;
    if (lane->wanted != 0)
        atomic_store_explicit(&lane->own->waiting, 0, memory_order_relaxed);
    LANE_STEP(room_found);
    lane->wanted = 0;
    return 1;
}

/* Refuses for want of room: publishes what is there, so that the consumer can make some, and asks to be rung. */
static int lane_refuse(struct lane *lane, uint64_t needed)
{
    lane_publish_and_ring(lane);
    lane->wanted = needed;
    /* SLEEP-OR-SEE: relaxed; the fence in core_arm comes before this process sleeps. Pairs with lane_room_ring. */
    atomic_store_explicit(&lane->own->waiting, 1, memory_order_relaxed);
    LANE_STEP(waiting_said);
    return 0;
}

/* Opens a frame of at least `bytes`, after padding to the ring's start if it must. 1, 0 for no room, -1 with a finding. */
static int lane_open_frame(struct lane *lane, uint64_t bytes, struct finding *finding)
{
    uint64_t offset = lane->write & (lane->capacity - 1), to_end = lane->capacity - offset;
    uint64_t padding = bytes > to_end ? to_end : 0;
    if (lane_free(lane) < padding + ALIGN8(bytes)) {
        if (lane_refresh_head(lane, finding) < 0)
            return -1;
        if (lane_free(lane) < padding + ALIGN8(bytes))
            return lane_refuse(lane, padding + ALIGN8(bytes));
    }
    if (padding) {
        uint32_t record[2] = {PADDING | (uint32_t)padding, ~(PADDING | (uint32_t)padding)};
        memcpy(lane->ring + offset, record, sizeof record);
        LANE_STEP(padding_written);
        lane->write += padding;
        offset = 0;
        to_end = lane->capacity;
    }
    uint64_t most = lane_free(lane) < to_end ? lane_free(lane) : to_end;
    uint64_t soft = soft_bytes_max(lane->capacity) > bytes ? soft_bytes_max(lane->capacity) : bytes;
    lane->frame = lane->ring + offset;
    lane->limit = lane->frame + (soft < most ? soft : most);
    lane->count = 0;
    return 1;
}

/* Opens a frame with this header, its names, and room for one message of `payload_bytes`; SIZE_MAX: for none. */
static int lane_begin(struct lane *lane, const struct frame_header *header, const uint8_t *names, uint32_t names_bytes,
                      size_t payload_bytes, struct finding *finding)
{
    uint64_t bytes = FRAME_HEADER_BYTES + names_bytes;
    lane_seal(lane);
    if (payload_bytes != SIZE_MAX)
        bytes += MESSAGE_BYTES(payload_bytes);
    int verdict = lane_open_frame(lane, bytes, finding);
    if (verdict <= 0)
        return verdict;
    memcpy(lane->frame, header, sizeof *header);
    ((struct frame_header *)lane->frame)->position = lane->write;
    memcpy(lane->frame + FRAME_HEADER_BYTES, names, names_bytes);
    LANE_STEP(header_written);
    lane->cursor = lane->frame + FRAME_HEADER_BYTES + names_bytes;
    return 1;
}

/* Whether the open frame takes one more message. */
static inline int lane_fits(const struct lane *lane, size_t payload_bytes)
{
    return lane->count < FRAME_MESSAGES_MAX && MESSAGE_BYTES(payload_bytes) <= (size_t)(lane->limit - lane->cursor);
}

static inline void lane_append(struct lane *lane, const char *payload, size_t bytes)
{
    uint8_t *at = lane->cursor;
    uint32_t length = (uint32_t)bytes, zero = 0;
    lane->cursor = at + MESSAGE_BYTES(bytes);
    if (bytes & 3)
        memcpy(lane->cursor - 4, &zero, 4); /* the zeros behind it, before it is written over them */
    memcpy(at, &length, 4);
    LANE_STEP(message_half);
    memcpy(at + 4, payload, bytes);
    LANE_STEP(message_written);
    lane->count++;
}

/* Continues where the slot's last process was, or at zero when the peer's memory is another one than before. */
static int lane_open_writer(struct lane *lane, uint64_t far_identity, struct finding *finding)
{
    atomic_store_explicit(&lane->own->waiting, 0, memory_order_relaxed);
    if (atomic_load_explicit(&lane->own->reader, memory_order_relaxed) != far_identity) {
        atomic_store_explicit(&lane->own->reader, 0, memory_order_relaxed);
        LANE_STEP(reader_zeroed);
        atomic_store_explicit(&lane->own->tail, 0, memory_order_release);
        LANE_STEP(tail_zeroed);
        atomic_store_explicit(&lane->own->lent, 0, memory_order_release);
        LANE_STEP(lent_zeroed);
        /* LANE-IS-YOURS: release; pairs with the acquire in lane_far_tail. */
        atomic_store_explicit(&lane->own->reader, far_identity, memory_order_release);
    }
    lane->write = lane->published = atomic_load_explicit(&lane->own->tail, memory_order_relaxed);
    lane->head_seen = lane->published > lane->capacity ? lane->published - lane->capacity : 0;
    if (lane->published & 7)
        return find(finding, "tail %llu is not a multiple of 8", (unsigned long long)lane->published);
    return lane_refresh_head(lane, finding);
}

/* --- consumer ----------------------------------------------------------------------------------------------------- */

static int lane_open_reader(struct lane *lane, uint64_t far_identity, struct finding *finding)
{
    if (atomic_load_explicit(&lane->mark->writer, memory_order_relaxed) != far_identity) {
        atomic_store_explicit(&lane->mark->writer, 0, memory_order_relaxed);
        LANE_STEP(writer_zeroed);
        atomic_store_explicit(&lane->mark->head, 0, memory_order_release);
        LANE_STEP(head_zeroed);
        atomic_store_explicit(&lane->mark->stable, 0, memory_order_release);
        atomic_store_explicit(&lane->mark->returned, 0, memory_order_release);
        LANE_STEP(returned_zeroed);
        /* HEAD-IS-YOURS: release; pairs with the acquire in lane_refresh_head. */
        atomic_store_explicit(&lane->mark->writer, far_identity, memory_order_release);
    }
    lane->read = lane->released = atomic_load_explicit(&lane->mark->head, memory_order_relaxed);
    if (lane->read & 7)
        return find(finding, "head %llu is not a multiple of 8", (unsigned long long)lane->read);
    return 0;
}

/* The producer's tail; what was read so far while the lane is not about this slot. */
static inline uint64_t lane_far_tail(struct lane *lane)
{
    if (!lane->yours) {
        /* LANE-IS-YOURS: acquire; pairs with the release in lane_open_writer. */
        if (atomic_load_explicit(&lane->far->reader, memory_order_acquire) != lane->identity)
            return lane->read;
        lane->yours = 1;
    }
    /* FRAME-IS-COMPLETE: acquire; pairs with the release in lane_publish. */
    return atomic_load_explicit(&lane->far->tail, memory_order_acquire);
}

/* Passes a padding record. 1, or -1 with a finding. */
static int lane_pass_padding(struct lane *lane, uint64_t available, uint64_t to_end, struct finding *finding)
{
    uint32_t record[2];
    memcpy(record, lane->far_ring + (lane->read & (lane->far_capacity - 1)), sizeof record);
    uint64_t bytes = record[0] & ~PADDING;
    if (record[1] != ~record[0] || bytes != to_end || bytes > available || bytes == lane->far_capacity)
        return find(finding, "a padding record of %llu bytes, %llu before the end", (unsigned long long)bytes,
                    (unsigned long long)to_end);
    lane->read += bytes;
    LANE_STEP(padding_passed);
    return 1;
}

/* Where the next frame lies and how long it says it is. 1, 0 when there is none, -1 with a finding. */
static int lane_locate(struct lane *lane, const uint8_t **at, uint32_t *length, struct finding *finding)
{
    for (;;) {
        uint64_t tail = lane_far_tail(lane), available = tail - lane->read;
        if (available == 0)
            return 0;
        if ((tail & 7) || available > lane->far_capacity - (lane->read - lane->released))
            return find(finding, "tail %llu lies outside [%llu, head + lane_bytes]", (unsigned long long)tail,
                        (unsigned long long)lane->read);
        uint64_t offset = lane->read & (lane->far_capacity - 1), to_end = lane->far_capacity - offset;
        *at = lane->far_ring + offset;
        *length = *(const volatile uint32_t *)*at; /* taken once */
        if ((*length & PADDING) == 0) {
            uint64_t most = FRAME_HEAD_BYTES_MAX + MESSAGE_BYTES(lane->far_capacity / LARGE_SHARE);
            most = most < FRAME_SOFT_BYTES_MAX ? FRAME_SOFT_BYTES_MAX : most;
            if (*length < FRAME_HEADER_BYTES || *length > most || ALIGN8(*length) > available || ALIGN8(*length) > to_end)
                return find(finding, "a frame of %u bytes, %llu published, %llu before the end", *length,
                            (unsigned long long)available, (unsigned long long)to_end);
            return 1;
        }
        if (lane_pass_padding(lane, available, to_end, finding) < 0)
            return -1;
    }
}

/* Space up to what was read is the producer's again. 1 when something was released: see lane_room_ring. */
static int lane_release(struct lane *lane)
{
    if (lane->read == lane->released)
        return 0;
    atomic_store_explicit(&lane->mark->stable, lane->read, memory_order_release);
    LANE_STEP(stable_stored);
    /* FRAME-WAS-READ: release; pairs with the acquire in lane_refresh_head. */
    atomic_store_explicit(&lane->mark->head, lane->read, memory_order_release);
    LANE_STEP(head_stored);
    lane->released = lane->read;
    return 1;
}

/* After a fence: rings a producer that waits for room once half the lane is free. */
static void lane_room_ring(struct lane *lane)
{
    /* SLEEP-OR-SEE: relaxed, ordered by the fence before; pairs with lane_refuse and the fence in core_arm. */
    if (atomic_load_explicit(&lane->far->waiting, memory_order_relaxed) == 0)
        return;
    uint64_t tail = atomic_load_explicit(&lane->far->tail, memory_order_relaxed);
    if (tail - lane->released <= lane->far_capacity / 2)
        lane_ring(lane);
}

#endif
