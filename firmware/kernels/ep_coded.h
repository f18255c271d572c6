/* Weights that are stored in fewer bytes than the kernels read: a block of filters at a time is decoded
 * into scratch memory (a tile), and the usual kernel runs over it.
 *
 * A kernel's stream consists of units of equal size: some bytes before the weights (heads), the weights,
 * and some bytes after them. Only the weights are coded, byte by byte:
 * - EP_CODED_HUFFMAN: canonical codes, most significant bit first. `book`: how many codes have length
 *   1 to EP_CODE_LENGTHS, then the symbols, shortest code first.
 * - EP_CODED_TABLE: an index of `bits` bits into `book`, least significant bits first.
 * - EP_CODED_SPARSE: `book` has a bit for each weight, least significant first; those set are in
 *   `code`, all others are `fill`.
 * `paired`: the kernel reads two filters f0, f1 as int16 f0 + 256 * f1 (ep_dot_dsp.h). */
#ifndef EP_CODED_H
#define EP_CODED_H

#include <string.h>

#include "ep_fixed.h"

#define EP_CODED_HUFFMAN 0
#define EP_CODED_TABLE 1
#define EP_CODED_SPARSE 2
#define EP_CODE_LENGTHS 12

typedef struct {
    int32_t kind;
    int32_t units, tile_units;      /* of the layer, of one tile */
    int32_t before, weights, after; /* bytes of a unit; together a multiple of 4 */
    int32_t channels;               /* filters of a unit */
    int32_t bits; /* table: of an index; Huffman: of the index of the look-up table */
    int32_t fill;
    int32_t tile; /* bytes of scratch memory before the tile; the Huffman look-up follows it */
    bool paired;
} ep_coded;

typedef struct {
    const uint8_t *heads, *code, *book;
    uint16_t *lookup;
    uint32_t window; /* the next bits: of codes from the top, else from below */
    int32_t held;    /* bits in the window, for codes */
} ep_coded_reader;

/* For the codes of at most `bits` bits: length * 256 + symbol, at every index that starts with them. */
EP_INLINE void ep_huffman_lookup(const ep_coded *c, const uint8_t *book, uint16_t *lookup) {
    const uint8_t *symbol = book + EP_CODE_LENGTHS;
    uint16_t *const end = lookup + (1 << c->bits);
    for (int32_t length = 1; length <= c->bits; ++length) {
        for (int32_t n = book[length - 1]; n > 0; --n, ++symbol) {
            for (int32_t i = 0; i < 1 << (c->bits - length); ++i) {
                *lookup++ = (uint16_t)(length << 8 | *symbol);
            }
        }
    }
    while (lookup < end) {
        *lookup++ = 0;
    }
}

/* A code that is longer than the look-up's index: symbol, and length * 256. */
EP_INLINE uint32_t ep_huffman_long(const uint8_t *book, uint32_t window) {
    uint32_t code = 0, first = 0, at = EP_CODE_LENGTHS;
    for (uint32_t length = 1; length < EP_CODE_LENGTHS; ++length) {
        const uint32_t count = book[length - 1];
        code |= window >> 31;
        window <<= 1;
        if (code - first < count) {
            return length << 8 | book[at + code - first];
        }
        at += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    return EP_CODE_LENGTHS << 8 | book[at + (code | window >> 31) - first];
}

EP_INLINE void ep_coded_begin(const ep_coded *c, ep_coded_reader *r, const uint8_t *heads,
                              const uint8_t *code, const uint8_t *book, void *lookup) {
    *r = (ep_coded_reader){heads, code, book, (uint16_t *)lookup, 0, 0};
    if (c->kind == EP_CODED_HUFFMAN) {
        ep_huffman_lookup(c, book, r->lookup);
    }
}

EP_NOINLINE void ep_coded_huffman(const ep_coded *c, ep_coded_reader *r, uint8_t *to) {
    const uint16_t *const lookup = r->lookup;
    const uint8_t *const end = to + c->weights, *code = r->code;
    const uint32_t unused = 32u - (uint32_t)c->bits;
    uint32_t window = r->window;
    int32_t held = r->held;
    do {
        if (held < 16) { /* up to three bytes behind the last code are read */
            window |= ((uint32_t)code[0] << 8 | code[1]) << (16 - held);
            code += 2;
            held += 16;
        }
        uint32_t entry = lookup[window >> unused];
        if (entry == 0) {
            entry = ep_huffman_long(r->book, window);
        }
        *to++ = (uint8_t)entry;
        window <<= entry >> 8;
        held -= (int32_t)(entry >> 8);
    } while (to < end);
    r->window = window, r->held = held, r->code = code;
}

EP_NOINLINE void ep_coded_table(const ep_coded *c, ep_coded_reader *r, uint8_t *to) {
    const uint32_t bits = (uint32_t)c->bits, mask = (1u << bits) - 1u;
    const uint8_t *const end = to + c->weights, *const book = r->book;
    const uint8_t *code = r->code;
    uint32_t window = r->window; /* with a 1 above the last index */
    do {
        if (window <= 1u) {
            window = 0x100u | *code++;
        }
        *to++ = book[window & mask];
        window >>= bits;
    } while (to < end);
    r->window = window, r->code = code;
}

EP_NOINLINE void ep_coded_sparse(const ep_coded *c, ep_coded_reader *r, uint8_t *to) {
    const uint8_t *const end = to + c->weights;
    const uint8_t fill = (uint8_t)c->fill;
    const uint8_t *code = r->code, *book = r->book;
    uint32_t window = r->window; /* with a 1 above the last bit */
    do {
        if (window <= 1u) {
            window = 0x100u | *book++;
        }
        *to++ = (window & 1u) != 0u ? *code++ : fill;
        window >>= 1;
    } while (to < end);
    r->window = window, r->code = code, r->book = book;
}

/* Bytes f0, f1, f0, f1 to the int16 f0 + 256 * f1: where f0 is negative, it takes one off f1. */
EP_INLINE void ep_coded_pair(uint8_t *at, int32_t bytes) {
    for (const uint8_t *const end = at + bytes; at < end; at += 2) {
        at[1] = (uint8_t)(at[1] - (at[0] >> 7));
    }
}

/* The next `units` units, as the kernel reads them. */
EP_INLINE void ep_coded_fill(const ep_coded *c, ep_coded_reader *r, void *tile, int32_t units) {
    uint8_t *to = (uint8_t *)tile;
    for (; units > 0; --units) {
        for (int32_t i = 0; i < c->before; ++i) {
            *to++ = *r->heads++;
        }
        if (c->kind == EP_CODED_HUFFMAN) {
            ep_coded_huffman(c, r, to);
        } else if (c->kind == EP_CODED_TABLE) {
            ep_coded_table(c, r, to);
        } else {
            ep_coded_sparse(c, r, to);
        }
        if (c->paired) {
            ep_coded_pair(to, c->weights);
        }
        to += c->weights;
        for (int32_t i = 0; i < c->after; ++i) {
            *to++ = *r->heads++;
        }
    }
}

/* NAME_coded for a convolution: its kernel over one tile after the other. */
#define EP_CODED_CONV(NAME, STREAM, SCRATCH)                                                       \
    typedef struct {                                                                               \
        NAME##_params kernel;                                                                      \
        ep_coded coded;                                                                            \
    } NAME##_coded_params;                                                                         \
    EP_INLINE void NAME##_coded(const NAME##_coded_params *p, const int8_t *in,                    \
                                const uint8_t *heads, const uint8_t *code, const uint8_t *book,    \
                                int8_t *out, uint8_t *scratch) {                                   \
        const ep_coded *const c = &p->coded;                                                       \
        const int32_t unit = c->before + c->weights + c->after;                                    \
        uint8_t *const tile = scratch + c->tile;                                                   \
        NAME##_params kernel = p->kernel;                                                          \
        ep_coded_reader reader;                                                                    \
        ep_coded_begin(c, &reader, heads, code, book, tile + c->tile_units * unit);                \
        for (int32_t at = 0; at < c->units; at += c->tile_units) {                                 \
            const int32_t filters = p->kernel.out_c - at * c->channels;                            \
            ep_coded_fill(c, &reader, tile, ep_min32(c->tile_units, c->units - at));               \
            kernel.out_c = ep_min32(filters, c->tile_units * c->channels);                         \
            NAME##_rows(&kernel, in, (const STREAM *)(const void *)tile, out + at * c->channels,   \
                        (SCRATCH *)(void *)scratch, p->kernel.out_c);                              \
        }                                                                                          \
    }

/* NAME_coded for a dense layer with one row of inputs. */
#define EP_CODED_DENSE(NAME, STREAM)                                                               \
    typedef struct {                                                                               \
        NAME##_params kernel;                                                                      \
        ep_coded coded;                                                                            \
    } NAME##_coded_params;                                                                         \
    EP_INLINE void NAME##_coded(const NAME##_coded_params *p, const int8_t *in,                    \
                                const uint8_t *heads, const uint8_t *code, const uint8_t *book,    \
                                int8_t *out, uint8_t *scratch) {                                   \
        const ep_coded *const c = &p->coded;                                                       \
        const int32_t unit = c->before + c->weights + c->after;                                    \
        uint8_t *const tile = scratch + c->tile;                                                   \
        NAME##_params kernel = p->kernel;                                                          \
        ep_coded_reader reader;                                                                    \
        ep_coded_begin(c, &reader, heads, code, book, tile + c->tile_units * unit);                \
        for (int32_t at = 0; at < c->units; at += c->tile_units) {                                 \
            const int32_t filters = p->kernel.out_n - at * c->channels;                            \
            ep_coded_fill(c, &reader, tile, ep_min32(c->tile_units, c->units - at));               \
            kernel.out_n = ep_min32(filters, c->tile_units * c->channels);                         \
            NAME(&kernel, in, (const STREAM *)(const void *)tile, out + at * c->channels);         \
        }                                                                                          \
    }

#endif
