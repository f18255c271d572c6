/* int8 inputs times weights of one bit: four inputs have only sixteen signed sums, so that a table of
 * them, made once for all filters, replaces the additions of four weights by a look-up. */
#ifndef EP_BITS_SUMS_H
#define EP_BITS_SUMS_H

#include "ep_bits.h"

enum { EP_BITS_CHUNK = 32 }; /* weights of a word */

/* Entry j: the sum of four values, each added where its bit of j is 1 and subtracted where not. */
EP_INLINE void ep_bits_signed_sums(const int16_t *x, int16_t *sums) {
    const int32_t a = 2 * x[0], b = 2 * x[1], c = 2 * x[2], d = 2 * x[3];
    const int32_t none = -(a + b + c + d) / 2;
    const int32_t low[4] = {none, none + a, none + b, none + a + b};
    EP_UNROLL(4)
    for (int32_t j = 0; j < 4; ++j) {
        sums[j] = (int16_t)low[j];
        sums[4 + j] = (int16_t)(low[j] + c);
        sums[8 + j] = (int16_t)(low[j] + d);
        sums[12 + j] = (int16_t)(low[j] + c + d);
    }
}

/* The sum of the first `fours` groups of four inputs, at most eight. */
EP_INLINE int32_t ep_bits_look_up(const int16_t *sums, uint32_t word, uint32_t fours) {
    int32_t total = 0;
    EP_UNROLL(8)
    for (uint32_t i = 0; i < fours; ++i) {
        total += sums[16 * i + ((word >> (4 * i)) & 15u)];
    }
    return total;
}

EP_INLINE int32_t ep_bits_chunks(const ep_bits_params *p) {
    return (ep_bits_taps(p) * p->in_c + EP_BITS_CHUNK - 1) / EP_BITS_CHUNK;
}

/* Adds the products of a chunk's inputs to the sums of all filters: weights [out_c][planes]. */
EP_INLINE void ep_bits_add_chunk(const ep_bits_params *p, const int16_t *window, uint32_t fours,
                                 const uint32_t *weights, int16_t *table, int32_t *sums) {
    for (uint32_t i = 0; i < fours; ++i) {
        ep_bits_signed_sums(window + 4 * i, table + 16 * i);
    }
    for (int32_t f = 0; f < p->out_c; ++f) {
        int32_t sum = ep_bits_look_up(table, *weights++, fours);
        if (p->ternary) {
            sum = (sum - ep_bits_look_up(table, *weights++, fours)) / 2;
        }
        sums[f] += sum;
    }
}

/* The sums of a window for all filters [chunk][out_c][planes]; the planes of ternary weights are the
 * +1 and the -1. */
EP_INLINE void ep_bits_sums(const ep_bits_params *p, const int8_t *position, int16_t *window,
                            const uint32_t *weights, int16_t *table, int32_t *sums) {
    const int32_t inputs = ep_bits_taps(p) * p->in_c, whole = inputs / EP_BITS_CHUNK;
    const int32_t step = p->ternary ? 2 * p->out_c : p->out_c;
    const uint32_t rest = (uint32_t)(inputs % EP_BITS_CHUNK + 3) / 4;
    for (int32_t f = 0; f < p->out_c; ++f) {
        sums[f] = 0;
    }
    for (int32_t chunk = 0; chunk < whole; ++chunk) {
        const int16_t *x =
            ep_bits_values(p, position, EP_BITS_CHUNK * chunk, EP_BITS_CHUNK, window);
        ep_bits_add_chunk(p, x, 8, weights + step * chunk, table, sums);
    }
    if (rest > 0) {
        const int16_t *x =
            ep_bits_values(p, position, EP_BITS_CHUNK * whole, EP_BITS_CHUNK, window);
        ep_bits_add_chunk(p, x, rest, weights + step * whole, table, sums);
    }
}

/* Scratch: a sum per filter, the table of a chunk, a window of whole chunks (of a single position, one
 * chunk). */
#define EP_BITS_SUMS_LAYER(P, END)                                                                 \
    int16_t *table = (int16_t *)(void *)(sums + (P)->out_c);                                       \
    int16_t *window = table + 4 * EP_BITS_CHUNK;                                                   \
    const int32_t room = EP_BITS_CHUNK * ep_bits_chunks(P);                                        \
    EP_BITS_POSITIONS(P, const int8_t *position =                                                  \
                             ep_bits_window_s8(P, in, b, top, left, room, window);                 \
                      ep_bits_sums(P, position, window, weights, table, sums); END)

EP_INLINE void ep_bits_sums_bits(const ep_bits_params *p, const int8_t *in, const uint32_t *weights,
                                 const int32_t *threshold, uint8_t *out, int32_t *sums) {
    EP_BITS_SUMS_LAYER(p, EP_BITS_COMPARE(p, sums, threshold, out, at));
}

EP_INLINE void ep_bits_sums_s8(const ep_bits_params *p, const int8_t *in, const uint32_t *weights,
                               const int32_t *bias, const int32_t *multiplier, const int8_t *shift,
                               int8_t *out, int32_t *sums) {
    EP_BITS_SUMS_LAYER(p,
                       ep_bits_requantize(p, sums, bias, multiplier, shift, out + at * p->out_c));
}

#endif
