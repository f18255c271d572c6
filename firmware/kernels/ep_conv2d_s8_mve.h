/* CONV_2D int8 for cores with Helium: the windows of two output positions are gathered into two
 * columns of whole vectors, then four filters at a time run over them (ep_dot_mve.h).
 *
 * `stream` holds, per four filters: their weights, four int32 biases with the zero point folded in,
 * four int32 multipliers and four int8 shifts (right ones are negative). A last group is filled with
 * zeros. Positions outside the input read `fill`, the input's zero point. */
#ifndef EP_CONV2D_S8_MVE_H
#define EP_CONV2D_S8_MVE_H

#include "ep_dot_mve.h"

typedef struct {
    int32_t batches, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t runs, run; /* a window is `runs` runs of `run` neighbouring bytes */
    int32_t chunks;    /* vectors of one column */
    int32_t fill;      /* the input's zero point */
    ep_mve_output to;
    bool reverse; /* 1x1 only: from the last position to the first, so that a larger output can
                     overwrite its input */
} ep_conv2d_s8_mve_params;

/* Gathers a window that lies partly outside the input. */
EP_INLINE void ep_mve_column_clipped(const ep_conv2d_s8_mve_params *p, const int8_t *in, int32_t y0,
                                     int32_t x0, int8_t *to) {
    const int32_t left = ep_max32(0, -x0), end = ep_min32(p->kernel_w, p->in_w - x0);
    ep_mve_fill(to, p->fill, p->runs * p->run);
    for (int32_t ky = 0; ky < p->kernel_h; ++ky, to += p->kernel_w * p->in_c) {
        const int32_t y = y0 + ky * p->dilation_h;
        if (y < 0 || y >= p->in_h) {
            continue;
        }
        const int8_t *const line = in + y * p->in_w * p->in_c;
        if (p->runs == p->kernel_h) { /* a whole row of the kernel is one run */
            if (end > left) {
                ep_mve_copy(to + left * p->in_c, line + (x0 + left) * p->in_c,
                            (end - left) * p->in_c);
            }
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; ++kx) {
            const int32_t x = x0 + kx * p->dilation_w;
            if (x >= 0 && x < p->in_w) {
                ep_mve_copy(to + kx * p->in_c, line + x * p->in_c, p->in_c);
            }
        }
    }
}

/* Gathers the window of output position (oy, ox). */
EP_INLINE void ep_mve_column(const ep_conv2d_s8_mve_params *p, const int8_t *in, int32_t oy,
                             int32_t ox, int8_t *to) {
    const int32_t y0 = oy * p->stride_h - p->pad_top, x0 = ox * p->stride_w - p->pad_left;
    const int32_t y_end = y0 + (p->kernel_h - 1) * p->dilation_h;
    const int32_t x_end = x0 + (p->kernel_w - 1) * p->dilation_w;
    if (y0 < 0 || x0 < 0 || y_end >= p->in_h || x_end >= p->in_w) {
        ep_mve_column_clipped(p, in, y0, x0, to);
        return;
    }
    /* with another row below, reading a little too far stays inside the input */
    const bool over = y_end + 1 < p->in_h && p->in_w * p->in_c >= 15;
    const int8_t *line = in + (y0 * p->in_w + x0) * p->in_c;
    const int32_t per_row = p->runs / p->kernel_h;
    for (int32_t ky = 0; ky < p->kernel_h; ++ky, line += p->dilation_h * p->in_w * p->in_c) {
        for (int32_t kx = 0; kx < per_row; ++kx, to += p->run) {
            const int8_t *const from = line + kx * p->dilation_w * p->in_c;
            if (p->run % EP_CHUNK == 0 || over) {
                ep_mve_copy_over(to, from, p->run);
            } else {
                ep_mve_copy(to, from, p->run);
            }
        }
    }
}

/* All filters at two positions. */
EP_INLINE void ep_conv2d_mve_pair(const ep_conv2d_s8_mve_params *p, const int8_t *x0,
                                  const int8_t *x1, const int8_t *stream, int8_t *to0,
                                  int8_t *to1) {
    for (int32_t f = p->out_c; f > 0; f -= 4, to0 += 4, to1 += 4) {
        ep_v4 s0, s1;
        stream = ep_dot_4x2(&s0, &s1, stream, x0, x1, p->chunks);
        const ep_v4 bias = ep_v4_load(stream), multiplier = ep_v4_load(stream + 16);
        const ep_v4 shift = ep_v4_load_s8(stream + 32);
        stream += 36;
        s0 = ep_mve_requantize(&p->to, ep_v4_add(s0, bias), multiplier, shift);
        s1 = ep_mve_requantize(&p->to, ep_v4_add(s1, bias), multiplier, shift);
        if (p->out_c % 4 == 0 || f >= 4) {
            ep_v4_store_s8(to0, s0);
            ep_v4_store_s8(to1, s1);
        } else {
            ep_v4_store_s8_some(to0, s0, p->out_c % 4);
            ep_v4_store_s8_some(to1, s1, p->out_c % 4);
        }
    }
}

/* columns: 2 * chunks vectors, and one more unless runs are whole vectors. row: bytes from the outputs of
 * one position to those of the next. */
EP_INLINE void ep_conv2d_s8_mve_rows(const ep_conv2d_s8_mve_params *p, const int8_t *in,
                                     const int8_t *stream, int8_t *out, int8_t *columns,
                                     int32_t row) {
    const int32_t positions = p->out_h * p->out_w;
    int8_t *const second = columns + p->chunks * EP_CHUNK;
    const bool pointwise = p->kernel_h == 1 && p->kernel_w == 1 && p->pad_top == 0 &&
                           p->pad_left == 0 && p->stride_h == 1 && p->stride_w == 1;
    for (int32_t b = 0; b < p->batches; ++b) {
        int32_t oy = 0, ox = 0;
        for (int32_t n = 0; n < positions; n += 2) {
            const int32_t at = p->reverse ? (positions - 1) / 2 * 2 - n : n;
            const bool both = positions % 2 == 0 || at + 1 < positions;
            if (pointwise) {
                const int8_t *const from = in + at * p->in_c;
                const bool over = p->in_c % EP_CHUNK == 0 || at + EP_CHUNK < positions;
                if (over) { /* there are at least 15 bytes behind both */
                    ep_mve_copy_over(columns, from, p->in_c);
                    ep_mve_copy_over(second, both ? from + p->in_c : from, p->in_c);
                } else {
                    ep_mve_copy(columns, from, p->in_c);
                    ep_mve_copy(second, both ? from + p->in_c : from, p->in_c);
                }
            } else {
                for (int32_t i = 0; i < (both ? 2 : 1); ++i) {
                    ep_mve_column(p, in, oy, ox, i ? second : columns);
                    if (++ox == p->out_w) {
                        ox = 0;
                        ++oy;
                    }
                }
            }
            int8_t *const to = out + at * row; /* a last single position is done twice */
            ep_conv2d_mve_pair(p, columns, pointwise || both ? second : columns, stream, to,
                               both ? to + row : to);
        }
        in += p->in_h * p->in_w * p->in_c;
        out += positions * row;
    }
}

EP_INLINE void ep_conv2d_s8_mve(const ep_conv2d_s8_mve_params *p, const int8_t *in,
                                const int8_t *stream, int8_t *out, int8_t *columns) {
    ep_conv2d_s8_mve_rows(p, in, stream, out, columns, p->out_c);
}

#endif
