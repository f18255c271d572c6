/* Bits times weights of one bit: a product is +1 where the bits are equal, so that a sum of n products
 * is n minus twice the number of bits that differ. Ternary weights: two planes, the signs, and a 1
 * for each weight that is not 0. */
#ifndef EP_BITS_XNOR_H
#define EP_BITS_XNOR_H

#include "ep_bits.h"
#include "ep_bits_dot.h"

/* The sums of a window for all filters [out_c][planes][words]; of the last of several planes of the
 * input, the mean of all.
 *
 * mask: the bits that count, NULL where all do; count: how many do for binary weights; nonzero: per
 * filter, the weights that are not 0 (ternary only). */
EP_INLINE void ep_bits_xnor(const ep_bits_params *p, int32_t in_plane, const uint32_t *window,
                            const uint32_t *mask, int32_t count, const uint32_t *weights,
                            const uint16_t *nonzero, int32_t *sums) {
    const int32_t words = ep_bits_window_words(p);
    for (int32_t f = 0; f < p->out_c; ++f) {
        int32_t sum;
        if (p->ternary) {
            const uint32_t *plane = weights + words;
            const int32_t all = mask ? ep_bits_both(plane, mask, words) : nonzero[f];
            sum = all - 2 * ep_bits_differ_in(window, weights, plane, mask, words);
            weights += 2 * words;
        } else {
            sum = count - 2 * (mask ? ep_bits_differ_in(window, weights, mask, NULL, words)
                                    : ep_bits_differ(window, weights, words));
            weights += words;
        }
        sums[f] = in_plane > 0 ? (sums[f] + sum) / 2 : sum;
    }
}

/* Scratch: a window and its mask (words each), then a sum per filter. */
#define EP_BITS_XNOR_LAYER(P, END)                                                                 \
    uint32_t *mask = window + ep_bits_window_words(P);                                             \
    int32_t *sums = (int32_t *)(void *)(mask + ep_bits_window_words(P));                           \
    EP_BITS_POSITIONS(                                                                             \
        P, for (int32_t i = 0; i < (P)->in_planes; ++i) {                                          \
            const uint8_t *from = in + i * ep_bits_plane(P);                                       \
            const int32_t taps = ep_bits_gather(P, from, b, top, left, window, mask);              \
            const int32_t count = taps * (P)->in_c;                                                \
            if (taps == ep_bits_taps(P)) {                                                         \
                ep_bits_xnor(P, i, window, NULL, count, weights, nonzero, sums);                   \
            } else {                                                                               \
                ep_bits_xnor(P, i, window, mask, count, weights, nonzero, sums);                   \
            }                                                                                      \
        } END)

/* nonzero may be NULL for binary weights. */
EP_INLINE void ep_bits_xnor_bits(const ep_bits_params *p, const uint8_t *in,
                                 const uint32_t *weights, const uint16_t *nonzero,
                                 const int16_t *threshold, uint8_t *out, uint32_t *window) {
    EP_BITS_XNOR_LAYER(p, EP_BITS_COMPARE(p, sums, threshold, out, at));
}

EP_INLINE void ep_bits_xnor_s8(const ep_bits_params *p, const uint8_t *in, const uint32_t *weights,
                               const uint16_t *nonzero, const int32_t *bias,
                               const int32_t *multiplier, const int8_t *shift, int8_t *out,
                               uint32_t *window) {
    EP_BITS_XNOR_LAYER(p,
                       ep_bits_requantize(p, sums, bias, multiplier, shift, out + at * p->out_c));
}

#endif
