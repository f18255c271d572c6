/* How many bits of two rows of words differ, on cores without an instruction that counts bits.
 *
 * Words are first added bit by bit with full adders (Harley and Seal's method, as in H. S. Warren,
 * Hacker's Delight, 5-1), so that only every fourth word is counted. */
#ifndef EP_BITS_DOT_H
#define EP_BITS_DOT_H

#include "ep_bits.h"

#define EP_BITS_BLOCKS 31 /* of four words: the counts of a byte stay below 256 */

/* sum + 2 carry = a + b + c, bit by bit */
EP_INLINE uint32_t ep_bits_carry(uint32_t *sum, uint32_t b, uint32_t c) {
    const uint32_t half = *sum ^ b;
    const uint32_t carry = (*sum & b) | (half & c);
    *sum = half ^ c;
    return carry;
}

/* The bits of `word(i)` for i from 0 to n - 1. */
#define EP_BITS_COUNT(N, WORD)                                                                     \
    uint32_t ones = 0, twos = 0;                                                                   \
    int32_t total = 0, i = 0;                                                                      \
    while (i + 4 <= (N)) {                                                                         \
        const int32_t left = (N) - (N) % 4 - i;                                                    \
        const int32_t stop = i + (left < 4 * EP_BITS_BLOCKS ? left : 4 * EP_BITS_BLOCKS);          \
        uint32_t bytes = 0;                                                                        \
        for (; i < stop; i += 4) {                                                                 \
            const uint32_t low = ep_bits_carry(&ones, WORD(i), WORD(i + 1));                       \
            const uint32_t high = ep_bits_carry(&ones, WORD(i + 2), WORD(i + 3));                  \
            bytes += ep_bits_in_bytes(ep_bits_carry(&twos, low, high));                            \
        }                                                                                          \
        total += 4 * ep_bits_add_full_bytes(bytes);                                                \
    }                                                                                              \
    uint32_t rest = 0;                                                                             \
    if ((N) >= 4) {                                                                                \
        rest = ep_bits_in_bytes(ones) + 2 * ep_bits_in_bytes(twos);                                \
    }                                                                                              \
    for (; i < (N); ++i) {                                                                         \
        rest += ep_bits_in_bytes(WORD(i));                                                         \
    }                                                                                              \
    return total + ep_bits_add_bytes(rest)

EP_INLINE int32_t ep_bits_differ(const uint32_t *x, const uint32_t *w, int32_t n) {
#define EP_BITS_WORD(I) (x[I] ^ w[I])
    EP_BITS_COUNT(n, EP_BITS_WORD);
#undef EP_BITS_WORD
}

/* Only where `mask`, and `other` unless it is NULL, have ones. */
EP_INLINE int32_t ep_bits_differ_in(const uint32_t *x, const uint32_t *w, const uint32_t *mask,
                                    const uint32_t *other, int32_t n) {
#define EP_BITS_WORD(I) ((x[I] ^ w[I]) & mask[I] & (other ? other[I] : 0xFFFFFFFFu))
    EP_BITS_COUNT(n, EP_BITS_WORD);
#undef EP_BITS_WORD
}

/* How many bits are 1 in both. */
EP_INLINE int32_t ep_bits_both(const uint32_t *x, const uint32_t *y, int32_t n) {
#define EP_BITS_WORD(I) (x[I] & y[I])
    EP_BITS_COUNT(n, EP_BITS_WORD);
#undef EP_BITS_WORD
}

#endif
