/* Checksums of frames: CRC32C by the processor where it can, by table elsewhere; zlib's CRC-32 by table.
 *
 * The crc32 instruction takes three cycles but a new one can start each cycle, so long input is read as three streams
 * side by side, joined by a carry-less multiplication (V. Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using
 * CRC32 Instruction", 2011). Reflected bit order throughout: a product of two 32-bit remainders that is fed to the
 * instruction as 64 bits comes out times x^33, hence the exponent 8n - 33 of the constants.
 *
 * Nothing here knows Python. `checksum_init` runs once before anything else.
 */
#ifndef ENGINEHOST_CRC32C_H
#define ENGINEHOST_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CRC32C_POLYNOMIAL 0x82F63B78u
#define CRC32_POLYNOMIAL 0xEDB88320u

enum { CHECKSUM_CRC32C = 1, CHECKSUM_CRC32 = 2 };

static uint32_t crc32c_table[256], crc32_table[256];

static void crc_table_init(uint32_t *table, uint32_t polynomial)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t r = byte;
        for (int bit = 0; bit < 8; bit++)
            r = (r >> 1) ^ (polynomial & -(r & 1));
        table[byte] = r;
    }
}

static uint32_t crc_by_table(const uint32_t *table, const uint8_t *data, size_t bytes)
{
    uint32_t r = ~0u;
    while (bytes--)
        r = (r >> 8) ^ table[(r ^ *data++) & 0xff];
    return ~r;
}

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>

#define STREAM_BYTES_SMALL 64u
#define STREAM_BYTES_LARGE 1024u

static int crc32c_by_processor;
static uint32_t shift_small[2], shift_large[2]; /* over one and over two streams */

/* x^exponent modulo the polynomial. */
static uint32_t crc32c_power(uint32_t exponent)
{
    uint32_t r = 0x80000000u; /* x^0 */
    while (exponent--)
        r = (r >> 1) ^ (CRC32C_POLYNOMIAL & -(r & 1));
    return r;
}

static void crc32c_shifts_init(uint32_t *shift, uint32_t stream_bytes)
{
    shift[0] = crc32c_power(8 * stream_bytes - 33);
    shift[1] = crc32c_power(16 * stream_bytes - 33);
}

__attribute__((target("sse4.2,pclmul"))) static inline uint64_t crc32c_shift(uint64_t r, uint32_t power)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)r), _mm_cvtsi32_si128((int)power), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

static inline uint64_t load_word(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

__attribute__((target("sse4.2,pclmul"))) static inline uint64_t crc32c_three(uint64_t r, const uint8_t **data,
                                                                            size_t *left, size_t stream,
                                                                            const uint32_t *shift)
{
    const uint8_t *p = *data;
    while (*left >= 3 * stream) {
        uint64_t second = 0, third = 0;
        for (size_t i = 0; i < stream; i += 8) {
            r = _mm_crc32_u64(r, load_word(p + i));
            second = _mm_crc32_u64(second, load_word(p + stream + i));
            third = _mm_crc32_u64(third, load_word(p + 2 * stream + i));
        }
        r = crc32c_shift(r, shift[1]) ^ crc32c_shift(second, shift[0]) ^ third;
        p += 3 * stream;
        *left -= 3 * stream;
    }
    *data = p;
    return r;
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc32c_fast(const uint8_t *data, size_t bytes)
{
    uint64_t r = ~0u;
    r = crc32c_three(r, &data, &bytes, STREAM_BYTES_LARGE, shift_large);
    r = crc32c_three(r, &data, &bytes, STREAM_BYTES_SMALL, shift_small);
    for (; bytes >= 8; bytes -= 8, data += 8)
        r = _mm_crc32_u64(r, load_word(data));
    for (; bytes; bytes--, data++)
        r = _mm_crc32_u8((uint32_t)r, *data);
    return ~(uint32_t)r;
}
#endif

static void checksum_init(void)
{
    crc_table_init(crc32c_table, CRC32C_POLYNOMIAL);
    crc_table_init(crc32_table, CRC32_POLYNOMIAL);
#if defined(__x86_64__)
    crc32c_by_processor = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
    crc32c_shifts_init(shift_small, STREAM_BYTES_SMALL);
    crc32c_shifts_init(shift_large, STREAM_BYTES_LARGE);
#endif
}

static inline uint32_t crc32c(const uint8_t *data, size_t bytes)
{
#if defined(__x86_64__)
    if (crc32c_by_processor)
        return crc32c_fast(data, bytes);
#endif
    return crc_by_table(crc32c_table, data, bytes);
}

static inline uint32_t crc32_of_zlib(const uint8_t *data, size_t bytes)
{
    return crc_by_table(crc32_table, data, bytes);
}

#endif
