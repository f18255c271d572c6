/* Weights of less than one bit: eight weights of a filter are one of up to 32 vectors of a layer's
 * book, stored as an index of five bits, three to a halfword (cf. Y. Wang et al., Sub-bit Neural
 * Networks, ICCV 2021). The products of eight inputs with all vectors are computed once for all
 * filters, and looked up. */
#ifndef EP_BITS_CODES_H
#define EP_BITS_CODES_H

#include "ep_bits_sums.h"

enum { EP_BITS_BOOK = 32, EP_BITS_GROUPS = 3 }; /* vectors; indices of a halfword */

/* Halfwords of a filter whose weights are in `groups` groups of eight. */
EP_INLINE int32_t ep_bits_code_units(int32_t groups) {
    return (groups + EP_BITS_GROUPS - 1) / EP_BITS_GROUPS;
}

/* Entry j: the bits of x that differ from vector j, of those that mask has. */
EP_INLINE void ep_bits_code_differ(uint32_t x, uint32_t mask, const uint32_t *book, uint32_t *to) {
    for (int32_t i = 0; i < EP_BITS_BOOK / 4; ++i) {
        to[i] = ep_bits_in_bytes((book[i] ^ (x * 0x01010101u)) & (mask * 0x01010101u));
    }
}

#define EP_BITS_LOOK_UP(TABLE, CODE)                                                               \
    ((TABLE)[(CODE) & 31u] + (TABLE)[32u + (((CODE) >> 5) & 31u)] + (TABLE)[64u + ((CODE) >> 10)])

/* The sums of a window of bits for all filters: codes [unit][out_c]; of the last of several planes of
 * the input, the mean of all. mask: NULL where all bits count; count: how many do. */
EP_INLINE void ep_bits_codes(const ep_bits_params *p, int32_t in_plane, const uint32_t *window,
                             const uint32_t *mask, int32_t count, const uint16_t *codes,
                             const uint32_t *book, uint32_t *table, int32_t *sums) {
    const int32_t bytes = ep_bits_window_bytes(p), units = ep_bits_code_units(bytes);
    const uint8_t *x = (const uint8_t *)window, *valid = (const uint8_t *)mask;
    const uint8_t *found = (const uint8_t *)table;
    for (int32_t f = 0; f < p->out_c; ++f) {
        sums[f] = in_plane > 0 ? sums[f] + count : count;
    }
    for (int32_t unit = 0; unit < units; ++unit) {
        for (int32_t i = 0; i < EP_BITS_GROUPS; ++i) {
            const int32_t at = EP_BITS_GROUPS * unit + i;
            const uint32_t counts = at >= bytes ? 0 : mask ? valid[at] : 0xFFu;
            ep_bits_code_differ(at < bytes ? x[at] : 0u, counts, book, table + 8 * i);
        }
        for (int32_t f = 0; f < p->out_c; ++f) {
            const uint32_t code = *codes++;
            sums[f] -= 2 * EP_BITS_LOOK_UP(found, code);
        }
    }
    if (in_plane > 0) {
        for (int32_t f = 0; f < p->out_c; ++f) {
            sums[f] /= 2;
        }
    }
}

/* Entry j: the sum of eight values, with the signs of vector j. */
EP_INLINE void ep_bits_code_sums(const int16_t *x, const uint32_t *book, int16_t *to) {
    int16_t low[16], high[16];
    ep_bits_signed_sums(x, low);
    ep_bits_signed_sums(x + 4, high);
    for (int32_t i = 0; i < EP_BITS_BOOK / 4; ++i) {
        uint32_t vectors = book[i];
        EP_UNROLL(4)
        for (int32_t j = 0; j < 4; ++j) {
            *to++ = (int16_t)(low[vectors & 15u] + high[(vectors >> 4) & 15u]);
            vectors >>= 8;
        }
    }
}

/* The same of a window of int8 values, which are `groups` groups of eight. */
EP_INLINE void ep_bits_codes_of_s8(const ep_bits_params *p, const int8_t *position, int16_t *window,
                                   int32_t groups, const uint16_t *codes, const uint32_t *book,
                                   int16_t *table, int32_t *sums) {
    for (int32_t f = 0; f < p->out_c; ++f) {
        sums[f] = 0;
    }
    for (int32_t unit = 0; unit < ep_bits_code_units(groups); ++unit) {
        const int32_t count = 8 * EP_BITS_GROUPS;
        const int16_t *x = ep_bits_values(p, position, count * unit, count, window);
        for (int32_t i = 0; i < EP_BITS_GROUPS; ++i) {
            ep_bits_code_sums(x + 8 * i, book, table + EP_BITS_BOOK * i);
        }
        for (int32_t f = 0; f < p->out_c; ++f) {
            const uint32_t code = *codes++;
            sums[f] += EP_BITS_LOOK_UP(table, code);
        }
    }
}

/* Scratch: a window and its mask, three tables, a sum per filter. */
#define EP_BITS_CODES_LAYER(P, END)                                                                \
    uint32_t *mask = window + ep_bits_window_words(P);                                             \
    uint32_t *table = mask + ep_bits_window_words(P);                                              \
    int32_t *sums = (int32_t *)(void *)(table + EP_BITS_GROUPS * EP_BITS_BOOK / 4);                \
    EP_BITS_POSITIONS(                                                                             \
        P, for (int32_t i = 0; i < (P)->in_planes; ++i) {                                          \
            const uint8_t *from = in + i * ep_bits_plane(P);                                       \
            const int32_t taps = ep_bits_gather(P, from, b, top, left, window, mask);              \
            const uint32_t *counts = taps == ep_bits_taps(P) ? NULL : mask;                        \
            ep_bits_codes(P, i, window, counts, taps * (P)->in_c, codes, book, table, sums);       \
        } END)

EP_INLINE void ep_bits_codes_bits(const ep_bits_params *p, const uint8_t *in, const uint16_t *codes,
                                  const uint32_t *book, const int16_t *threshold, uint8_t *out,
                                  uint32_t *window) {
    EP_BITS_CODES_LAYER(p, EP_BITS_COMPARE(p, sums, threshold, out, at));
}

EP_INLINE void ep_bits_codes_s8(const ep_bits_params *p, const uint8_t *in, const uint16_t *codes,
                                const uint32_t *book, const int32_t *bias,
                                const int32_t *multiplier, const int8_t *shift, int8_t *out,
                                uint32_t *window) {
    EP_BITS_CODES_LAYER(p,
                        ep_bits_requantize(p, sums, bias, multiplier, shift, out + at * p->out_c));
}

/* Scratch: a sum per filter, three tables, a window of whole units (of a single position, one). */
#define EP_BITS_CODE_SUMS_LAYER(P, END)                                                            \
    int16_t *table = (int16_t *)(void *)(sums + (P)->out_c);                                       \
    int16_t *window = table + EP_BITS_GROUPS * EP_BITS_BOOK;                                       \
    const int32_t groups = ep_bits_bytes(ep_bits_taps(P) * (P)->in_c);                             \
    const int32_t room = 8 * EP_BITS_GROUPS * ep_bits_code_units(groups);                          \
    EP_BITS_POSITIONS(                                                                             \
        P, const int8_t *position = ep_bits_window_s8(P, in, b, top, left, room, window);          \
        ep_bits_codes_of_s8(P, position, window, groups, codes, book, table, sums); END)

EP_INLINE void ep_bits_code_sums_bits(const ep_bits_params *p, const int8_t *in,
                                      const uint16_t *codes, const uint32_t *book,
                                      const int32_t *threshold, uint8_t *out, int32_t *sums) {
    EP_BITS_CODE_SUMS_LAYER(p, EP_BITS_COMPARE(p, sums, threshold, out, at));
}

EP_INLINE void ep_bits_code_sums_s8(const ep_bits_params *p, const int8_t *in,
                                    const uint16_t *codes, const uint32_t *book,
                                    const int32_t *bias, const int32_t *multiplier,
                                    const int8_t *shift, int8_t *out, int32_t *sums) {
    EP_BITS_CODE_SUMS_LAYER(
        p, ep_bits_requantize(p, sums, bias, multiplier, shift, out + at * p->out_c));
}

#endif
