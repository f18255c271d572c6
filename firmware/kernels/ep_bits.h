/* Layers whose weights are +1 and -1 (or 0, +1 and -1): geometry, windows and outputs. A bit is 1 for
 * +1. The bits of a position's channels begin with a byte of their own, lowest bit first; what is
 * left of the last byte is 0. Words hold bytes as little-endian targets read them.
 *
 * Activations of three values have two planes of bits, one after the other: x > 0, and x >= 0. The
 * mean of what the planes stand for is x, so that they are computed on one by one. */
#ifndef EP_BITS_H
#define EP_BITS_H

#include "ep_fixed.h"

typedef struct {
    int32_t batches, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    bool ternary;                  /* a second plane says which weights are not 0 */
    int32_t in_planes, out_planes; /* of activations */
    /* of int8 inputs: minus their zero point */
    int32_t input_offset;
    /* of int8 outputs: what a unit of the sum is worth, requantization as everywhere */
    int32_t gain, scale_step, output_offset, act_min, act_max;
} ep_bits_params;

/* For every output position: P's position `at` and its window. */
#define EP_BITS_POSITIONS(P, BODY)                                                                 \
    for (int32_t b = 0; b < (P)->batches; ++b) {                                                   \
        for (int32_t oy = 0; oy < (P)->out_h; ++oy) {                                              \
            for (int32_t ox = 0; ox < (P)->out_w; ++ox) {                                          \
                const int32_t at = (b * (P)->out_h + oy) * (P)->out_w + ox;                        \
                const int32_t top = oy * (P)->stride_h - (P)->pad_top;                             \
                const int32_t left = ox * (P)->stride_w - (P)->pad_left;                           \
                BODY;                                                                              \
            }                                                                                      \
        }                                                                                          \
    }

EP_INLINE int32_t ep_bits_taps(const ep_bits_params *p) {
    return p->kernel_h * p->kernel_w;
}
/* Bytes that the bits of `count` channels take. */
EP_INLINE int32_t ep_bits_bytes(int32_t count) {
    return (count + 7) / 8;
}
EP_INLINE int32_t ep_bits_window_bytes(const ep_bits_params *p) {
    return ep_bits_taps(p) * ep_bits_bytes(p->in_c);
}
EP_INLINE int32_t ep_bits_window_words(const ep_bits_params *p) {
    return (ep_bits_window_bytes(p) + 3) / 4;
}

/* Every byte of x becomes the number of its bits. */
EP_INLINE uint32_t ep_bits_in_bytes(uint32_t x) {
    x -= (x >> 1) & 0x55555555u;
    x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
    return (x + (x >> 4)) & 0x0F0F0F0Fu;
}
/* The sum of four bytes, which is below 256. */
EP_INLINE int32_t ep_bits_add_bytes(uint32_t x) {
    return (int32_t)((x * 0x01010101u) >> 24);
}
/* The same of bytes of any size. */
EP_INLINE int32_t ep_bits_add_full_bytes(uint32_t x) {
    x = (x & 0x00FF00FFu) + ((x >> 8) & 0x00FF00FFu);
    return (int32_t)((x + (x >> 16)) & 0xFFFFu);
}

/* Bytes of a plane of the input. */
EP_INLINE int32_t ep_bits_plane(const ep_bits_params *p) {
    return p->batches * p->in_h * p->in_w * ep_bits_bytes(p->in_c);
}

/* The bits of a window, one after the other in `window`, whose last word is filled up with zeros.
 * Returns how many of its positions lie inside the input; unless all do, `mask` gets a byte of ones
 * for each of their bytes, and the others hold anything. */
EP_INLINE int32_t ep_bits_gather(const ep_bits_params *p, const uint8_t *in, int32_t b, int32_t top,
                                 int32_t left, uint32_t *window, uint32_t *mask) {
    const int32_t bytes = ep_bits_bytes(p->in_c), words = ep_bits_window_words(p);
    uint8_t *to = (uint8_t *)window, *valid = (uint8_t *)mask;
    const int32_t below = top + (p->kernel_h - 1) * p->dilation_h;
    const int32_t right = left + (p->kernel_w - 1) * p->dilation_w;
    const bool inside = top >= 0 && left >= 0 && below < p->in_h && right < p->in_w;
    int32_t taps = 0;
    window[words - 1] = 0;
    if (!inside) {
        for (int32_t i = 0; i < words; ++i) {
            mask[i] = 0;
        }
    }
    for (int32_t ky = 0; ky < p->kernel_h; ++ky) {
        const int32_t y = top + ky * p->dilation_h;
        if (inside && p->dilation_w == 1) {
            const uint8_t *from = in + ((b * p->in_h + y) * p->in_w + left) * bytes;
            for (int32_t i = 0; i < p->kernel_w * bytes; ++i) {
                *to++ = from[i];
            }
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; ++kx) {
            const int32_t x = left + kx * p->dilation_w;
            if (y >= 0 && y < p->in_h && x >= 0 && x < p->in_w) {
                const uint8_t *from = in + ((b * p->in_h + y) * p->in_w + x) * bytes;
                for (int32_t i = 0; i < bytes; ++i) {
                    to[i] = from[i];
                    if (!inside) {
                        valid[to - (uint8_t *)window + i] = 0xFF;
                    }
                }
                ++taps;
            }
            to += bytes;
        }
    }
    return inside ? ep_bits_taps(p) : taps;
}

/* The int8 values of a window minus their zero point; 0 outside of the input and up to `room`. */
EP_INLINE void ep_bits_gather_s8(const ep_bits_params *p, const int8_t *in, int32_t b, int32_t top,
                                 int32_t left, int32_t room, int16_t *window) {
    int16_t *to = window;
    for (int32_t ky = 0; ky < p->kernel_h; ++ky) {
        for (int32_t kx = 0; kx < p->kernel_w; ++kx) {
            const int32_t y = top + ky * p->dilation_h, x = left + kx * p->dilation_w;
            const bool inside = y >= 0 && y < p->in_h && x >= 0 && x < p->in_w;
            const int8_t *from = in + ((b * p->in_h + y) * p->in_w + x) * (inside ? p->in_c : 0);
            for (int32_t c = 0; c < p->in_c; ++c) {
                *to++ = inside ? (int16_t)(from[c] + p->input_offset) : (int16_t)0;
            }
        }
    }
    while (to < window + room) {
        *to++ = 0;
    }
}

/* Whether a window is one position, whose values need not be gathered all at once. */
EP_INLINE bool ep_bits_single(const ep_bits_params *p) {
    return ep_bits_taps(p) == 1 && p->pad_top == 0 && p->pad_left == 0;
}

/* `count` values from number `at` of the inputs of a window: of a gathered one, or of a single
 * position, whose values minus the zero point go to `window`. */
EP_INLINE const int16_t *ep_bits_values(const ep_bits_params *p, const int8_t *position, int32_t at,
                                        int32_t count, int16_t *window) {
    if (!ep_bits_single(p)) {
        return window + at;
    }
    const int32_t there = ep_min32(count, p->in_c - at);
    for (int32_t i = 0; i < count; ++i) {
        window[i] = i < there ? (int16_t)(position[at + i] + p->input_offset) : (int16_t)0;
    }
    return window;
}

/* Makes the values of a window ready; returns the first of its only position. */
EP_INLINE const int8_t *ep_bits_window_s8(const ep_bits_params *p, const int8_t *in, int32_t b,
                                          int32_t top, int32_t left, int32_t room,
                                          int16_t *window) {
    if (!ep_bits_single(p)) {
        ep_bits_gather_s8(p, in, b, top, left, room, window);
        return in;
    }
    return in + ((b * p->in_h + top) * p->in_w + left) * p->in_c;
}

/* Sums to bits: 1 where a sum reaches its channel's threshold [out_planes][out_c]. */
#define EP_BITS_COMPARE(P, SUMS, THRESHOLD, OUT, AT)                                               \
    const int32_t whole = (P)->out_c / 8 * 8;                                                      \
    const int32_t wide = ep_bits_bytes((P)->out_c);                                                \
    for (int32_t plane = 0; plane < (P)->out_planes; ++plane) {                                    \
        const int32_t positions = (P)->batches * (P)->out_h * (P)->out_w;                          \
        uint8_t *to = (OUT) + (plane * positions + (AT)) * wide;                                   \
        for (int32_t f = 0; f < whole; f += 8) {                                                   \
            uint32_t bits = 0;                                                                     \
            EP_UNROLL(8)                                                                           \
            for (int32_t i = 0; i < 8; ++i) {                                                      \
                const int32_t step = (THRESHOLD)[plane * (P)->out_c + f + i];                      \
                bits |= (uint32_t)((SUMS)[f + i] >= step) << (uint32_t)i;                          \
            }                                                                                      \
            to[f / 8] = (uint8_t)bits;                                                             \
        }                                                                                          \
        if (whole < (P)->out_c) {                                                                  \
            uint32_t bits = 0;                                                                     \
            for (int32_t f = whole; f < (P)->out_c; ++f) {                                         \
                const int32_t step = (THRESHOLD)[plane * (P)->out_c + f];                          \
                bits |= (uint32_t)((SUMS)[f] >= step) << (uint32_t)(f - whole);                    \
            }                                                                                      \
            to[whole / 8] = (uint8_t)bits;                                                         \
        }                                                                                          \
    }

/* Sums to int8; bias may be NULL. */
EP_INLINE void ep_bits_requantize(const ep_bits_params *p, const int32_t *sums, const int32_t *bias,
                                  const int32_t *multiplier, const int8_t *shift, int8_t *out) {
    for (int32_t f = 0; f < p->out_c; ++f) {
        const int32_t acc = ep_wrap_add(ep_wrap_mul(sums[f], p->gain), bias ? bias[f] : 0);
        const int32_t at = f * p->scale_step;
        out[f] = (int8_t)ep_requantize_to(acc, multiplier[at], shift[at], p->output_offset,
                                          p->act_min, p->act_max);
    }
}

#endif
