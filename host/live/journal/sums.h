/* CRC32C with a start value: `crc32c_more(crc32c_more(0, a), b)` is that of a and b.
 *
 * For short input, so one stream of the crc32 instruction: three cycles a word. `transport/crc32c.h` has the table, and
 * the faster way for long input without a start value; a frame of a few kilobytes takes a microsecond here, once for
 * its record. The including module calls `checksum_init` first.
 */
#ifndef ENGINEHOST_SUMS_H
#define ENGINEHOST_SUMS_H

#include "../../../transport/crc32c.h"

static uint32_t by_table(uint32_t r, const uint8_t *data, size_t bytes)
{
    while (bytes--)
        r = (r >> 8) ^ crc32c_table[(r ^ *data++) & 0xff];
    return r;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_processor(uint32_t start, const uint8_t *data, size_t bytes)
{
    uint64_t r = start;
    for (; bytes >= 8; bytes -= 8, data += 8)
        r = _mm_crc32_u64(r, load_word(data));
    for (; bytes; bytes--, data++)
        r = _mm_crc32_u8((uint32_t)r, *data);
    return (uint32_t)r;
}
#endif

static uint32_t crc32c_more(uint32_t start, const uint8_t *data, size_t bytes)
{
#if defined(__x86_64__)
    if (crc32c_by_processor)
        return ~by_processor(~start, data, bytes);
#endif
    return ~by_table(~start, data, bytes);
}

#endif
