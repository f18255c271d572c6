/* CONV_2D int8 for cores with a multiplier only: the inputs of a block of output positions (eight with
 * a 64-bit multiply-accumulate, else four) are widened into `columns`, then every filter runs over
 * them (ep_block_mul.h, which also states `stream`).
 *
 * Positions outside the input read `fill`, the input's zero point. Inputs stand in the order of the
 * weights: kernel rows, kernel columns, channels; k is padded to a multiple of 4 with weights of 0. */
#ifndef EP_CONV2D_S8_MUL_H
#define EP_CONV2D_S8_MUL_H

#include "ep_block_mul.h"

typedef struct {
    int32_t batches, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t k;             /* inputs of a filter, padded to a multiple of 4 */
    int32_t fill;          /* the input's zero point */
    int32_t output_offset; /* the output's zero point */
    int32_t act_min, act_max;
    bool mul64;     /* pairs of positions and eight in a block */
    bool pointwise; /* 1x1 without stride: position n reads input position n */
    bool clamp;     /* mul32: ep_block.clamp */
    bool reverse;   /* pointwise only: from the last position to the first, so that a larger output
                       can overwrite its input */
} ep_conv2d_s8_mul_params;

/* The window of one output position: its first input and where that lies; NULL if it is clipped. */
typedef struct {
    const int8_t *whole;
    int32_t y, x;
} ep_window;

EP_INLINE ep_window ep_window_of(const ep_conv2d_s8_mul_params *p, const int8_t *in, int32_t oy,
                                 int32_t ox) {
    const int32_t y = oy * p->stride_h - p->pad_top, x = ox * p->stride_w - p->pad_left;
    const bool whole = y >= 0 && x >= 0 && y + (p->kernel_h - 1) * p->dilation_h < p->in_h &&
                       x + (p->kernel_w - 1) * p->dilation_w < p->in_w;
    return (ep_window){whole ? in + (y * p->in_w + x) * p->in_c : NULL, y, x};
}

/* The window of position `at`; Armv7-M divides in one instruction. */
EP_INLINE ep_window ep_window_at(const ep_conv2d_s8_mul_params *p, const int8_t *in, int32_t at) {
    if (p->pointwise) {
        return (ep_window){in + at * p->in_c, 0, 0};
    }
    const int32_t oy = at / p->out_w;
    return ep_window_of(p, in, oy, at - oy * p->out_w);
}

/* Where tap (ky, kx) of a window starts, or NULL outside the input. */
EP_INLINE const int8_t *ep_window_tap(const ep_conv2d_s8_mul_params *p, const int8_t *in,
                                      const ep_window *w, int32_t ky, int32_t kx) {
    const int32_t y = w->y + ky * p->dilation_h, x = w->x + kx * p->dilation_w;
    const bool inside = y >= 0 && y < p->in_h && x >= 0 && x < p->in_w;
    return inside ? in + (y * p->in_w + x) * p->in_c : NULL;
}

#if EP_MUL32_ASM

/* Widens four inputs, every fourth word of `to`. */
EP_INLINE void ep_column_4(int32_t *to, const int8_t *a) {
    uint32_t t;
#define EP_BYTE(I, J)                                                                              \
    "ldrb  %[t], [%[a], #" #I "]\n\t"                                                              \
    "sxtb  %[t], %[t]\n\t"                                                                         \
    "str   %[t], [%[to], #" #J "]\n\t"
    __asm__ volatile(".syntax unified\n\t" EP_BYTE(0, 0) EP_BYTE(1, 16) EP_BYTE(2, 32)
                         EP_BYTE(3, 48)
                     : [t] "=&l"(t)
                     : [a] "l"(a), [to] "l"(to)
                     : "memory");
#undef EP_BYTE
}

#else

EP_INLINE void ep_column_4(int32_t *to, const int8_t *a) {
    to[0] = a[0], to[4] = a[1], to[8] = a[2], to[12] = a[3];
}

#endif

/* Widens n inputs that lie together: every fourth word of `to` from `a`, or from the pairs (a, b). */
EP_INLINE int32_t *ep_column_run(int32_t *to, const int8_t *a, const int8_t *b, int32_t n,
                                 bool pairs) {
    int32_t i = 0;
    if (pairs) {
        EP_UNROLL(4)
        for (; i < n; ++i, to += 4) {
            *to = ep_pair(a[i], b[i]);
        }
        return to;
    }
    for (; i < (n & ~3); i += 4, to += 16) {
        ep_column_4(to, a + i);
    }
    for (; i < n; ++i, to += 4) {
        *to = a[i];
    }
    return to;
}

/* The same where a or b may be NULL, which reads `fill`. */
EP_NOINLINE int32_t *ep_column_clipped(int32_t *to, const int8_t *a, const int8_t *b, int32_t n,
                                       int32_t fill, bool pairs) {
    for (int32_t i = 0; i < n; ++i, to += 4) {
        const int32_t low = a ? a[i] : fill;
        *to = pairs ? ep_pair(low, b ? b[i] : fill) : low;
    }
    return to;
}

/* Word `to` of every input, from one window or from two. */
EP_INLINE void ep_column_gather(const ep_conv2d_s8_mul_params *p, const int8_t *in, ep_window a,
                                ep_window b, int32_t *to) {
    if (p->pointwise) {
        ep_column_run(to, a.whole, b.whole, p->in_c, p->mul64);
    } else if (a.whole && b.whole) {
        const bool rows = p->dilation_w == 1; /* a kernel row's inputs lie together */
        const int32_t run = rows ? p->kernel_w * p->in_c : p->in_c;
        for (int32_t ky = 0; ky < p->kernel_h; ++ky) {
            for (int32_t kx = 0; kx < (rows ? 1 : p->kernel_w); ++kx) {
                const int32_t at = (ky * p->dilation_h * p->in_w + kx * p->dilation_w) * p->in_c;
                to = ep_column_run(to, a.whole + at, b.whole + at, run, p->mul64);
            }
        }
    } else {
        for (int32_t ky = 0; ky < p->kernel_h; ++ky) {
            for (int32_t kx = 0; kx < p->kernel_w; ++kx) {
                to =
                    ep_column_clipped(to, ep_window_tap(p, in, &a, ky, kx),
                                      ep_window_tap(p, in, &b, ky, kx), p->in_c, p->fill, p->mul64);
            }
        }
    }
}

/* columns: 4 * k words. row: bytes from the outputs of one position to those of the next. */
EP_INLINE void ep_conv2d_s8_mul_rows(const ep_conv2d_s8_mul_params *p, const int8_t *in,
                                     const uint32_t *stream, int8_t *out, int32_t *columns,
                                     int32_t row) {
    const int32_t positions = p->out_h * p->out_w, step = p->mul64 ? 8 : 4;
    const ep_block block = {p->k,       p->out_c,   row,     p->output_offset,
                            p->act_min, p->act_max, p->clamp};
    for (int32_t i = 0; i < 4 * p->k;
         ++i) { /* inputs that only pad, and positions that are not kept */
        columns[i] = 0;
    }
    for (int32_t b = 0; b < p->batches; ++b) {
        int32_t oy = 0, ox = 0; /* of the next position, for cores that do not divide */
        for (int32_t n = 0; n < positions; n += step) {
            const int32_t at = p->reverse ? (positions - 1) / step * step - n : n;
            const int32_t live = ep_min32(step, positions - at);
            for (int32_t i = 0; i < ep_min32(live, 4); ++i) {
                if (p->mul64 || p->pointwise) {
                    const ep_window first = ep_window_at(p, in, at + i);
                    const bool two = p->mul64 && i + 4 < live;
                    ep_column_gather(p, in, first, two ? ep_window_at(p, in, at + i + 4) : first,
                                     columns + i);
                } else {
                    const ep_window only = ep_window_of(p, in, oy, ox);
                    ep_column_gather(p, in, only, only, columns + i);
                    if (++ox == p->out_w) {
                        ox = 0;
                        ++oy;
                    }
                }
            }
            if (p->mul64) {
                ep_block_mul64(&block, columns, stream, out + at * row, live);
            } else {
                ep_block_mul32(&block, columns, stream, out + at * row, live);
            }
        }
        in += p->in_h * p->in_w * p->in_c;
        out += positions * row;
    }
}

EP_INLINE void ep_conv2d_s8_mul(const ep_conv2d_s8_mul_params *p, const int8_t *in,
                                const uint32_t *stream, int8_t *out, int32_t *columns) {
    ep_conv2d_s8_mul_rows(p, in, stream, out, columns, p->out_c);
}

#endif
