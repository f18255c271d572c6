/* How many bits of two rows of words differ.
 *
 * Cores that count bits do so; Helium counts those of sixteen bytes at once. On others words are first
 * added bit by bit with full adders (Harley and Seal's method, as in H. S. Warren, Hacker's Delight,
 * 5-1), so that only every fourth word is counted. */
#ifndef EP_BITS_DOT_H
#define EP_BITS_DOT_H

#include "ep_bits.h"

#if defined(__ARM_FEATURE_MVE) && defined(__GNUC__) && !defined(EP_NO_ASM)

#include <arm_mve.h>

EP_INLINE uint32_t ep_bits_count_vector(uint32_t total, uint8x16_t x) {
    x = vsubq_u8(x, vandq_u8(vshrq_n_u8(x, 1), vdupq_n_u8(0x55)));
    x = vaddq_u8(vandq_u8(x, vdupq_n_u8(0x33)), vandq_u8(vshrq_n_u8(x, 2), vdupq_n_u8(0x33)));
    x = vandq_u8(vaddq_u8(x, vshrq_n_u8(x, 4)), vdupq_n_u8(0x0F));
    return vaddvaq_u8(total, x);
}
/* Words from `from`, zeros where fewer than four are left. */
EP_INLINE uint32x4_t ep_bits_vector(const uint32_t *from, int32_t left) {
    if (left >= 4) {
        return vldrwq_u32(from);
    }
    uint32_t lanes = (1u << (4u * (uint32_t)left)) - 1u;
    __asm__("" : "+r"(lanes)); /* GCC 12.2 reads constant predicates wrongly (PR 108443) */
    return vldrwq_z_u32(from, (mve_pred16_t)lanes);
}
#define EP_BITS_COUNT(N, WORD, VECTOR)                                                             \
    uint32_t total = 0;                                                                            \
    for (int32_t i = 0; i < (N); i += 4) {                                                         \
        total = ep_bits_count_vector(total, vreinterpretq_u8_u32(VECTOR(i, (N) - i)));             \
    }                                                                                              \
    return (int32_t)total

#elif defined(__GNUC__) && (defined(__aarch64__) || defined(__POPCNT__) || defined(__riscv_zbb))

#define EP_BITS_COUNT(N, WORD, VECTOR)                                                             \
    int32_t total = 0;                                                                             \
    for (int32_t i = 0; i < (N); ++i) {                                                            \
        total += __builtin_popcount(WORD(i));                                                      \
    }                                                                                              \
    return total

#else

#define EP_BITS_BLOCKS 31 /* of four words, or words: their counts in a byte stay below 256 */

/* Masks stay in registers: on Arm an operand is shifted or a constant, not both. */
#if defined(__GNUC__) && defined(__arm__)
#define EP_BITS_KEEP(X) __asm__("" : "+r"(X))
#else
#define EP_BITS_KEEP(X) (void)(X)
#endif

/* carry (with weight two) and sum: a + b + c, bit by bit */
EP_INLINE uint32_t ep_bits_carry(uint32_t *a, uint32_t b, uint32_t c) {
    const uint32_t half = *a ^ b;
    const uint32_t carry = (*a & b) | (half & c);
    *a = half ^ c;
    return carry;
}
/* The same of two. */
EP_INLINE uint32_t ep_bits_half(uint32_t *a, uint32_t b) {
    const uint32_t carry = *a & b;
    *a ^= b;
    return carry;
}
/* How many bits each four of x have; m1: 0101..., m2: 0011... */
EP_INLINE uint32_t ep_bits_fours(uint32_t x, uint32_t m1, uint32_t m2) {
    x -= (x >> 1) & m1;
    return (x & m2) + ((x >> 2) & m2);
}
/* Counts of fours, together below 16, as those of bytes; m4: 00001111... */
EP_INLINE uint32_t ep_bits_bytes_of(uint32_t x, uint32_t m4) {
    return (x & m4) + ((x >> 4) & m4);
}

/* The bits of WORD(i) for i from 0 to N - 1. */
#define EP_BITS_COUNT(N, WORD, VECTOR)                                                             \
    uint32_t m1 = 0x55555555u, m2 = 0x33333333u, m4 = 0x0F0F0F0Fu;                                 \
    uint32_t ones = 0, twos = 0, rest = 0, bytes = 0;                                              \
    int32_t total = 0, i = 0;                                                                      \
    EP_BITS_KEEP(m1);                                                                              \
    EP_BITS_KEEP(m2);                                                                              \
    EP_BITS_KEEP(m4);                                                                              \
    if ((N) >= 4) {                                                                                \
        ones = WORD(0);                                                                            \
        twos = ep_bits_half(&ones, WORD(1));                                                       \
        const uint32_t high = ep_bits_carry(&ones, WORD(2), WORD(3));                              \
        bytes = ep_bits_bytes_of(ep_bits_fours(ep_bits_half(&twos, high), m1, m2), m4);            \
        i = 4;                                                                                     \
    }                                                                                              \
    while (i + 4 <= (N)) {                                                                         \
        const int32_t left = (N) - (N) % 4 - i;                                                    \
        const int32_t most = 4 * (EP_BITS_BLOCKS - 1);                                             \
        const int32_t stop = i + (left < most ? left : most);                                      \
        for (; i < stop; i += 4) {                                                                 \
            const uint32_t low = ep_bits_carry(&ones, WORD(i), WORD(i + 1));                       \
            const uint32_t high = ep_bits_carry(&ones, WORD(i + 2), WORD(i + 3));                  \
            const uint32_t fours = ep_bits_carry(&twos, low, high);                                \
            bytes += ep_bits_bytes_of(ep_bits_fours(fours, m1, m2), m4);                           \
        }                                                                                          \
        if ((N) > EP_BITS_BLOCKS) {                                                                \
            total += 4 * ep_bits_add_full_bytes(bytes);                                            \
            bytes = 0;                                                                             \
        }                                                                                          \
    }                                                                                              \
    if ((N) >= 4) {                                                                                \
        rest = ep_bits_fours(ones, m1, m2) + 2 * ep_bits_fours(twos, m1, m2);                      \
        rest = ep_bits_bytes_of(rest, m4);                                                         \
    }                                                                                              \
    if ((N) % 4 > 0) { /* at most three words: their counts of fours together are below 16 */      \
        uint32_t fours = 0;                                                                        \
        for (; i < (N); ++i) {                                                                     \
            fours += ep_bits_fours(WORD(i), m1, m2);                                               \
        }                                                                                          \
        rest += ep_bits_bytes_of(fours, m4);                                                       \
    }                                                                                              \
    return total + ep_bits_add_full_bytes(rest + 4 * bytes)

#endif

EP_INLINE int32_t ep_bits_differ(const uint32_t *x, const uint32_t *w, int32_t n) {
#define EP_BITS_WORD(I) (x[I] ^ w[I])
#define EP_BITS_WORDS(I, LEFT)                                                                     \
    veorq_u32(ep_bits_vector(x + (I), LEFT), ep_bits_vector(w + (I), LEFT))
    EP_BITS_COUNT(n, EP_BITS_WORD, EP_BITS_WORDS);
#undef EP_BITS_WORD
#undef EP_BITS_WORDS
}

/* Only where `mask`, and `other` unless it is NULL, have ones. */
EP_INLINE int32_t ep_bits_differ_in(const uint32_t *x, const uint32_t *w, const uint32_t *mask,
                                    const uint32_t *other, int32_t n) {
#define EP_BITS_WORD(I) ((x[I] ^ w[I]) & mask[I] & (other ? other[I] : 0xFFFFFFFFu))
#define EP_BITS_WORDS(I, LEFT)                                                                     \
    vandq_u32(vandq_u32(veorq_u32(ep_bits_vector(x + (I), LEFT), ep_bits_vector(w + (I), LEFT)),   \
                        ep_bits_vector(mask + (I), LEFT)),                                         \
              ep_bits_vector((other ? other : mask) + (I), LEFT))
    EP_BITS_COUNT(n, EP_BITS_WORD, EP_BITS_WORDS);
#undef EP_BITS_WORD
#undef EP_BITS_WORDS
}

/* How many bits are 1 in both. */
EP_INLINE int32_t ep_bits_both(const uint32_t *x, const uint32_t *y, int32_t n) {
#define EP_BITS_WORD(I) (x[I] & y[I])
#define EP_BITS_WORDS(I, LEFT)                                                                     \
    vandq_u32(ep_bits_vector(x + (I), LEFT), ep_bits_vector(y + (I), LEFT))
    EP_BITS_COUNT(n, EP_BITS_WORD, EP_BITS_WORDS);
#undef EP_BITS_WORD
#undef EP_BITS_WORDS
}

#endif
