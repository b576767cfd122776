/* The lane of lane.h and the arm and ring handshake of core.h, for spin: torn reads, overwritten ones, lost wake-ups.
 *
 * One producer, one consumer, CELLS messages of two words in the ring, MESSAGES in all. Memory is weaker than x86: each
 * process has a buffer in which a store to each word waits; they reach memory in any order, except that a release waits
 * for all stores before it, and a fence for the whole buffer. Each word has one writer, so that a reader of its own words
 * needs no memory. What an acquire keeps below it, and a release above it, loads may do earlier or later without it.
 *
 * A sleeper waits for its bell: who sleeps for ever with work left is an invalid end state, which spin reports.
 *
 * Weakened by -D, each of which must fail: NO_FENCE_PUBLISH, NO_FENCE_ARM_CONSUMER, NO_FENCE_RELEASE,
 * NO_FENCE_ARM_PRODUCER, RELAXED_TAIL_STORE, RELAXED_TAIL_LOAD, RELAXED_HEAD_STORE, RELAXED_HEAD_LOAD, NO_LOOK_AGAIN.
 */
#ifndef MESSAGES
#define MESSAGES 4
#endif
#define CELLS 2

#define LEFT(n) ((n) % CELLS)            /* words of the producer: two halves of each cell, then */
#define RIGHT(n) (CELLS + (n) % CELLS)
#define TAIL (2 * CELLS)
#define WAITING (2 * CELLS + 1)
#define ARMED_P (2 * CELLS + 2)
#define HEAD (2 * CELLS + 3)             /* words of the consumer */
#define ARMED_C (2 * CELLS + 4)
#define WORDS 9
#define OWN_P 127                        /* masks */
#define OWN_C (3 << HEAD)

byte memory[WORDS];
byte buf[WORDS];
short waits;           /* words that wait in a buffer */
short before_tail, before_head; /* words a release waits for */
bool bell_p, bell_c;

#define BIT(word) (1 << (word))
#define OWN_VALUE(word) ((waits & BIT(word)) -> buf[word] : memory[word])
#define FENCE(own) (waits & (own)) == 0

#define PUT(word, value) buf[word] = value; waits = waits | BIT(word)
#define store(word, value) atomic { PUT(word, value) }
#ifdef RELAXED_TAIL_STORE
#define store_tail(value) store(TAIL, value)
#else
#define store_tail(value) atomic { before_tail = waits & OWN_P & ~BIT(TAIL); PUT(TAIL, value) }
#endif
#define store_head(value) atomic { before_head = waits & OWN_C & ~BIT(HEAD); PUT(HEAD, value) }

/* Stores reach memory. */
#define DRAIN(word) :: d_step { (waits & BIT(word)) -> memory[word] = buf[word]; waits = waits & ~BIT(word) }
#define DRAIN_RELEASE(word, before) \
    :: d_step { (waits & BIT(word)) && (waits & before) == 0 -> memory[word] = buf[word]; waits = waits & ~BIT(word) }

active proctype wires()
{
end:
    do
    DRAIN(0)
    DRAIN(1)
    DRAIN(2)
    DRAIN(3)
    DRAIN(WAITING)
    DRAIN(ARMED_P)
    DRAIN(ARMED_C)
    DRAIN_RELEASE(TAIL, before_tail)
    DRAIN_RELEASE(HEAD, before_head)
    od
}

/* core_arm and core_disarm: odd while asleep, another value each time. */
#define ARMED_NEXT(word) ((OWN_VALUE(word) % 2) -> OWN_VALUE(word) + 2 : OWN_VALUE(word) + 1)

active proctype producer()
{
    byte n = 0, head_seen = 0, rung = 0, armed;
    do
    :: n == MESSAGES -> break
    :: else ->
#ifdef RELAXED_HEAD_LOAD
        if /* the bytes of the message are written before the head was looked at */
        :: store(LEFT(n), n + 1)
        :: skip
        fi;
#endif
        do
        :: n - head_seen < CELLS -> break
        :: else ->
            head_seen = memory[HEAD];
            if
            :: n - head_seen < CELLS
            :: else -> /* lane_refuse, core_arm */
                store(WAITING, 1);
                store(ARMED_P, ARMED_NEXT(ARMED_P));
#ifndef NO_FENCE_ARM_PRODUCER
                FENCE(OWN_P);
#endif
                head_seen = memory[HEAD];
                if
                :: n - head_seen < CELLS
                :: else -> atomic { bell_p -> bell_p = false }
                fi;
                store(ARMED_P, OWN_VALUE(ARMED_P) + 1);
                store(WAITING, 0)
            fi
        od;
        store(LEFT(n), n + 1);
        store(RIGHT(n), n + 1);
        n++;
        store_tail(n);
#ifndef NO_FENCE_PUBLISH
        FENCE(OWN_P);
#endif
        armed = memory[ARMED_C];
        if
        :: armed % 2 == 1 && armed != rung -> rung = armed; bell_c = true
        :: else
        fi;
        armed = 0
    od
}

active proctype consumer()
{
    byte read = 0, tail, left, right, rung = 0, armed;
    bool early, late;
    do
    :: read == MESSAGES -> break
    :: else ->
        early = false;
        late = false;
#ifdef RELAXED_TAIL_LOAD
        if /* the bytes of the message are read before the tail */
        :: left = memory[LEFT(read)]; early = true
        :: skip
        fi;
#endif
        tail = memory[TAIL];
        if
        :: tail > read ->
#ifdef RELAXED_HEAD_STORE
            if /* the bytes of the message are read after the head was moved */
            :: store_head(read + 1); late = true
            :: skip
            fi;
#endif
            if
            :: early
            :: else -> left = memory[LEFT(read)]
            fi;
            right = memory[RIGHT(read)];
            assert(left == read + 1 && right == read + 1);
            read++;
            if
            :: late
            :: else -> store_head(read)
            fi;
#ifndef NO_FENCE_RELEASE
            FENCE(OWN_C);
#endif
            if /* lane_room_ring */
            :: memory[WAITING] == 1 ->
                armed = memory[ARMED_P];
                if
                :: armed % 2 == 1 && armed != rung -> rung = armed; bell_p = true
                :: else
                fi
            :: else
            fi
        :: else -> /* core_arm, core_news */
            store(ARMED_C, ARMED_NEXT(ARMED_C));
#ifndef NO_FENCE_ARM_CONSUMER
            FENCE(OWN_C);
#endif
#ifndef NO_LOOK_AGAIN
            tail = memory[TAIL];
#endif
            if
            :: tail > read
            :: else -> atomic { bell_c -> bell_c = false }
            fi;
            store(ARMED_C, OWN_VALUE(ARMED_C) + 1)
        fi;
        d_step { left = 0; right = 0; tail = 0; armed = 0 }
    od
}
