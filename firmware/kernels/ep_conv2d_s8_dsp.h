/* CONV_2D int8 for cores with SMLAD: inputs of four output positions are widened once into
 * `columns`, then every pair of filters runs over them (ep_dot_dsp.h).
 *
 * `stream` holds, per pair of filters: a head for each filter (its bias with the zero point folded in,
 * times 32, plus its right shift less one), k_pairs words of weights, and two multipliers. An odd last
 * filter is paired with zeros. Positions outside the input read `fill`, the input's zero point.
 *
 * A window is `runs` runs of `run` neighbouring bytes. A column holds first the whole words of every
 * run, then the bytes left over of every run; within each four inputs the order is 0, 2, 1, 3, in
 * which SXTB16 widens a word. */
#ifndef EP_CONV2D_S8_DSP_H
#define EP_CONV2D_S8_DSP_H

#include "ep_dot_dsp.h"

typedef struct {
    int32_t batches, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t runs, run;     /* bytes that lie together: kernel_w * in_c, or in_c if dilated */
    int32_t k_pairs;       /* words of one column, inputs padded to a multiple of 4 */
    int32_t tail;          /* positions after the last four: 0 none, 1 one by one, 2 or 3 a block */
    int32_t fill;          /* the input's zero point */
    int32_t output_offset; /* the output's zero point */
    int32_t act_min, act_max;
    bool eights;  /* unroll by eight pairs of inputs; k_pairs is a multiple of 8 */
    bool relu;    /* results below the zero point are clamped */
    bool reverse; /* 1x1 only: from the last position to the first, so that a larger output can
                     overwrite its input */
} ep_conv2d_s8_dsp_params;

/* Puts byte `at` of run `r` where the weights expect it. */
EP_INLINE void ep_column_byte(const ep_conv2d_s8_dsp_params *p, uint32_t *columns, int32_t r,
                              int32_t at, int32_t value) {
    const int32_t whole = p->run & ~3, left = p->run & 3;
    const int32_t k = at < whole ? r * whole + at : p->runs * whole + r * left + at - whole;
    ep_half *const four = (ep_half *)(void *)(columns + 2 * (k & ~3));
    four[((k & 1) << 3) + ((k & 2) >> 1)] = (ep_half)value;
}

/* Widens all of run `r`. */
EP_INLINE void ep_column_run(const ep_conv2d_s8_dsp_params *p, const int8_t *in, uint32_t *columns,
                             int32_t r) {
    uint32_t *to = columns + 2 * r * (p->run & ~3);
    for (int32_t i = 0; i < p->run / 4; ++i, to += 8) {
        const uint32_t x = ep_load32(in + 4 * i);
        to[0] = ep_sxtb16(x);
        to[4] = ep_sxtb16_ror8(x);
    }
    for (int32_t i = p->run & ~3; i < p->run; ++i) {
        ep_column_byte(p, columns, r, i, in[i]);
    }
}

/* Gathers a window that lies partly outside the input. */
EP_INLINE void ep_column_clipped(const ep_conv2d_s8_dsp_params *p, const int8_t *in, int32_t y0,
                                 int32_t x0, uint32_t *columns) {
    for (int32_t ky = 0; ky < p->kernel_h; ++ky) {
        const int32_t y = y0 + ky * p->dilation_h;
        for (int32_t kx = 0; kx < p->kernel_w; ++kx) {
            const int32_t x = x0 + kx * p->dilation_w;
            const bool inside = y >= 0 && y < p->in_h && x >= 0 && x < p->in_w;
            const int8_t *from = inside ? in + (y * p->in_w + x) * p->in_c : NULL;
            const bool whole = p->dilation_w == 1; /* the kernel's row is one run */
            const int32_t r = whole ? ky : ky * p->kernel_w + kx;
            const int32_t first = whole ? kx * p->in_c : 0;
            if (p->in_c % 4 == 0) {
                uint32_t *to = columns + 2 * (r * p->run + first);
                for (int32_t i = 0; i < p->in_c; i += 4, to += 8) {
                    to[0] = from ? ep_sxtb16(ep_load32(from + i)) : ep_pack16(p->fill, p->fill);
                    to[4] =
                        from ? ep_sxtb16_ror8(ep_load32(from + i)) : ep_pack16(p->fill, p->fill);
                }
            } else {
                for (int32_t i = 0; i < p->in_c; ++i) {
                    ep_column_byte(p, columns, r, first + i, from ? from[i] : p->fill);
                }
            }
        }
    }
}

/* Gathers the window of output position (oy, ox). */
EP_INLINE void ep_column_gather(const ep_conv2d_s8_dsp_params *p, const int8_t *in, int32_t oy,
                                int32_t ox, uint32_t *columns) {
    const int32_t y0 = oy * p->stride_h - p->pad_top, x0 = ox * p->stride_w - p->pad_left;
    const int32_t y_end = y0 + (p->kernel_h - 1) * p->dilation_h;
    const int32_t x_end = x0 + (p->kernel_w - 1) * p->dilation_w;
    if (y0 < 0 || x0 < 0 || y_end >= p->in_h || x_end >= p->in_w) {
        ep_column_clipped(p, in, y0, x0, columns);
        return;
    }
    const int8_t *line = in + (y0 * p->in_w + x0) * p->in_c;
    const int32_t per_row = p->runs / p->kernel_h;
    for (int32_t r = 0; r < p->runs; ++r) {
        const int32_t ky = r / per_row, kx = r % per_row;
        ep_column_run(p, line + (ky * p->dilation_h * p->in_w + kx * p->dilation_w) * p->in_c,
                      columns, r);
    }
}

/* One requantized output. */
EP_INLINE int8_t ep_conv2d_output(const ep_conv2d_s8_dsp_params *p, int32_t twice_acc,
                                  int32_t multiplier, int32_t round, int32_t shift) {
    const int32_t y = p->relu ? ep_requantize_dsp_relu(twice_acc, multiplier, round, shift)
                              : ep_requantize_dsp(twice_acc, multiplier, round, shift);
    if (p->act_min == INT8_MIN && p->act_max == INT8_MAX) {
        return (int8_t)ep_ssat8(y);
    }
    return (int8_t)ep_clamp32(y, p->act_min, p->act_max);
}

/* What a filter's head holds; the second sum starts from both biases (ep_dot_dsp.h). */
EP_INLINE int32_t ep_head_bias(uint32_t head) {
    return (int32_t)head >> 5;
}
EP_INLINE int32_t ep_head_pair(int32_t first_bias, uint32_t head) {
    return ep_wrap_add(first_bias, ep_shift_left(ep_head_bias(head), 8));
}
EP_INLINE int32_t ep_head_shift(uint32_t head) {
    return (int32_t)(head & 31u);
}

/* Half a step plus the zero point, both before the right shift by shift_less_1 + 1. */
EP_INLINE int32_t ep_conv2d_round(const ep_conv2d_s8_dsp_params *p, int32_t shift_less_1) {
    return ep_shift_left(2 * p->output_offset + 1, shift_less_1);
}

/* All filters at `count` (2 to 4, a compile-time constant) positions from `to` on. */
EP_INLINE void ep_conv2d_block(const ep_conv2d_s8_dsp_params *p, const uint32_t *columns,
                               const uint32_t *stream, int8_t *to, int32_t count) {
    const int32_t c = p->out_c;
    for (int32_t f = 0; f < c; f += 2, to += 2) {
        const uint32_t head0 = stream[0], head1 = stream[1];
        const int32_t a = ep_head_bias(head0), b = ep_head_pair(a, head1);
        ep_sums s = {a, a, a, a, b, b, b, b};
        stream = ep_dot_2x4(&s, stream + 2, columns, p->k_pairs, p->eights);
        const int32_t m0 = (int32_t)stream[0], m1 = (int32_t)stream[1];
        const int32_t r0 = ep_head_shift(head0), r1 = ep_head_shift(head1);
        const int32_t round0 = ep_conv2d_round(p, r0), round1 = ep_conv2d_round(p, r1);
        stream += 2;
        if (c % 2 == 0 || f + 1 < c) {
            to[1] = ep_conv2d_output(p, ep_second_doubled(s.a0, s.s0), m1, round1, r1 + 1);
            to[c + 1] = ep_conv2d_output(p, ep_second_doubled(s.a1, s.s1), m1, round1, r1 + 1);
            if (count > 2) {
                to[2 * c + 1] =
                    ep_conv2d_output(p, ep_second_doubled(s.a2, s.s2), m1, round1, r1 + 1);
            }
            if (count > 3) {
                to[3 * c + 1] =
                    ep_conv2d_output(p, ep_second_doubled(s.a3, s.s3), m1, round1, r1 + 1);
            }
        }
        to[0] = ep_conv2d_output(p, s.a0 * 2, m0, round0, r0 + 1);
        to[c] = ep_conv2d_output(p, s.a1 * 2, m0, round0, r0 + 1);
        if (count > 2) {
            to[2 * c] = ep_conv2d_output(p, s.a2 * 2, m0, round0, r0 + 1);
        }
        if (count > 3) {
            to[3 * c] = ep_conv2d_output(p, s.a3 * 2, m0, round0, r0 + 1);
        }
    }
}

/* All filters at one position. */
EP_INLINE void ep_conv2d_one(const ep_conv2d_s8_dsp_params *p, const uint32_t *columns,
                             const uint32_t *stream, int8_t *to) {
    for (int32_t f = 0; f < p->out_c; f += 2, to += 2) {
        const uint32_t head0 = stream[0], head1 = stream[1];
        int32_t a = ep_head_bias(head0), s = ep_head_pair(a, head1);
        stream = ep_dot_2x1(&a, &s, stream + 2, columns, p->k_pairs);
        const int32_t r0 = ep_head_shift(head0), r1 = ep_head_shift(head1);
        to[0] = ep_conv2d_output(p, a * 2, (int32_t)stream[0], ep_conv2d_round(p, r0), r0 + 1);
        if (p->out_c % 2 == 0 || f + 1 < p->out_c) {
            to[1] = ep_conv2d_output(p, ep_second_doubled(a, s), (int32_t)stream[1],
                                     ep_conv2d_round(p, r1), r1 + 1);
        }
        stream += 2;
    }
}

/* columns: 4 * k_pairs words. */
EP_INLINE void ep_conv2d_s8_dsp(const ep_conv2d_s8_dsp_params *p, const int8_t *in,
                                const uint32_t *stream, int8_t *out, uint32_t *columns) {
    const int32_t positions = p->out_h * p->out_w;
    if (p->tail > 1) { /* the last block computes four positions and keeps fewer */
        for (int32_t i = 0; i < 4 * p->k_pairs; ++i) {
            columns[i] = 0;
        }
    }
    const bool pointwise = p->kernel_h == 1 && p->kernel_w == 1 && p->pad_top == 0 &&
                           p->pad_left == 0 && p->stride_h == 1 && p->stride_w == 1;
    if (p->runs * p->run % 4 !=
        0) { /* inputs that only pad K must hold something: their weight is 0 */
        for (int32_t i = 4 * (p->k_pairs - 2); i < 4 * p->k_pairs; ++i) {
            columns[i] = 0;
        }
    }
    for (int32_t b = 0; b < p->batches; ++b) {
        int32_t oy = 0, ox = 0;
        for (int32_t n = 0; n < positions; n += 4) {
            const int32_t at = p->reverse ? (positions - 1) / 4 * 4 - n : n;
            const int32_t live = p->tail == 0 ? 4 : ep_min32(4, positions - at);
            for (int32_t i = 0; i < live; ++i) {
                if (pointwise) {
                    ep_column_run(p, in + (at + i) * p->in_c, columns + i, 0);
                } else {
                    ep_column_gather(p, in, oy, ox, columns + i);
                    if (++ox == p->out_w) {
                        ox = 0;
                        ++oy;
                    }
                }
            }
            int8_t *const to = out + at * p->out_c;
            if (p->tail == 0 || live == 4) {
                ep_conv2d_block(p, columns, stream, to, 4);
            } else if (p->tail > 1) {
                ep_conv2d_block(p, columns, stream, to, p->tail);
            } else {
                for (int32_t i = 0; i < live; ++i) {
                    ep_conv2d_one(p, columns + i, stream, to + i * p->out_c);
                }
            }
        }
        in += p->in_h * p->in_w * p->in_c;
        out += positions * p->out_c;
    }
}

#endif
