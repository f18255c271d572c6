/* CONV_2D int8 for cores with SMLAD: inputs of four output positions are widened once into
 * `columns`, then every pair of filters runs over them (ep_dot_dsp.h).
 *
 * `stream` holds, per pair of filters, k_pairs words of weights between two heads and two multipliers.
 * `scaled`: the heads are biases (`narrow`: both in one word), columns hold inputs minus their zero
 * point, and a multiplier's low bits are its right shift (edgepack/ops/shared/scale_word.py proves that
 * no output changes). Else a head is the bias with the zero point folded in, times 32, plus the right
 * shift less one. An odd last filter is paired with zeros.
 *
 * Other layouts (ep_dot_single.h) hold one filter after the other: a head, the weights and a multiplier.
 * Columns hold inputs minus their zero point. A head is the bias times 32 plus the right shift less
 * one; with `any_scale`, the bias, and a shift to either side follows the multiplier.
 *
 * A window is `runs` runs of `run` neighbouring bytes. A column holds first the whole words of every
 * run, then the bytes left over of every run; within each four inputs the order is 0, 2, 1, 3, in
 * which SXTB16 widens a word. */
#ifndef EP_CONV2D_S8_DSP_H
#define EP_CONV2D_S8_DSP_H

#include "ep_dot_single.h"

typedef struct {
    int32_t batches, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t runs, run;     /* bytes that lie together: kernel_w * in_c, or in_c if dilated */
    int32_t k_pairs;       /* words of one column, inputs padded to a multiple of 4 */
    int32_t input_offset;  /* added to inputs when they are widened */
    int32_t fill;          /* what columns hold for positions outside the input */
    int32_t output_offset; /* the output's zero point */
    int32_t act_min, act_max;
    int32_t shift_mask, shift_base; /* scaled: less one, a right shift is (word & mask) + base */
    int32_t layout;                 /* EP_WEIGHTS_... */
    bool scaled, narrow;
    bool
        any_scale; /* factors of one and more, or sums that may wrap: the long way of requantizing */
    bool singles;  /* positions after the last four are computed one by one */
    bool partial;  /* they are computed as a block of which some are not kept */
    bool
        whole; /* runs, columns and filters leave no remainders: run and k_pairs are multiples of 4,
                     out_c is even */
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

/* Inputs 0 and 2, and 1 and 3, of four. */
typedef struct {
    uint32_t even, odd;
} ep_four;

EP_INLINE ep_four ep_column_four(const ep_conv2d_s8_dsp_params *p, const int8_t *from) {
    const uint32_t x = ep_load32(from);
    const uint32_t offset = ep_pack16(p->input_offset, p->input_offset);
    if (!p->scaled) {
        return (ep_four){ep_sxtb16(x), ep_sxtb16_ror8(x)};
    }
    return (ep_four){ep_sxtab16(offset, x), ep_sxtab16_ror8(offset, x)};
}

/* Widens all of run `r`. */
EP_INLINE void ep_column_run(const ep_conv2d_s8_dsp_params *p, const int8_t *in, uint32_t *columns,
                             int32_t r) {
    uint32_t *to = columns + 2 * r * (p->run & ~3);
    for (int32_t i = 0; i < p->run / 4; ++i, to += 8) {
        const ep_four x = ep_column_four(p, in + 4 * i);
        to[0] = x.even;
        to[4] = x.odd;
    }
    for (int32_t i = p->run & ~3; !p->whole && i < p->run; ++i) {
        ep_column_byte(p, columns, r, i, in[i] + p->input_offset);
    }
}

/* Gathers a window that lies partly outside the input. */
EP_INLINE void ep_column_clipped(const ep_conv2d_s8_dsp_params *p, const int8_t *in, int32_t y0,
                                 int32_t x0, uint32_t *columns) {
    const ep_four outside = {ep_pack16(p->fill, p->fill), ep_pack16(p->fill, p->fill)};
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
                    const ep_four four = from ? ep_column_four(p, from + i) : outside;
                    to[0] = four.even;
                    to[4] = four.odd;
                }
            } else {
                for (int32_t i = 0; i < p->in_c; ++i) {
                    ep_column_byte(p, columns, r, first + i,
                                   from ? from[i] + p->input_offset : p->fill);
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

/* How a pair of filters is requantized. */
typedef struct {
    int32_t multiplier[2], round[2], shift[2];
} ep_pair_scale;

/* The biases of two filters; the second sum starts from both (ep_dot_dsp.h). Steps over the heads. */
EP_INLINE const uint32_t *ep_pair_start(const ep_conv2d_s8_dsp_params *p, const uint32_t *stream,
                                        int32_t *first, int32_t *both) {
    int32_t second;
    if (p->narrow) {
        *first = ep_low16(stream[0]);
        second = ep_high16(stream[0]);
    } else {
        *first = (int32_t)stream[0] >> (p->scaled ? 0 : 5);
        second = (int32_t)stream[1] >> (p->scaled ? 0 : 5);
    }
    *both = ep_wrap_add(*first, ep_shift_left(second, 8));
    return stream + (p->narrow ? 1 : 2);
}

/* What follows the weights. `round` is half a step plus the zero point, both before the shift. */
EP_INLINE ep_pair_scale ep_pair_scales(const ep_conv2d_s8_dsp_params *p, const uint32_t *heads,
                                       const uint32_t *end) {
    ep_pair_scale s;
    const int32_t base = p->scaled ? p->shift_base : 0;
    EP_UNROLL(2)
    for (int32_t i = 0; i < 2; ++i) {
        const uint32_t bits = p->scaled ? end[i] & (uint32_t)p->shift_mask : heads[i] & 31u;
        s.multiplier[i] = (int32_t)end[i];
        s.round[i] = ep_shift_left(ep_shift_left(2 * p->output_offset + 1, base), (int32_t)bits);
        s.shift[i] = (int32_t)bits + base + 1;
    }
    return s;
}

/* Filter i of a pair. */
EP_INLINE int8_t ep_pair_output(const ep_conv2d_s8_dsp_params *p, const ep_pair_scale *s, int32_t i,
                                int32_t twice_acc) {
    return ep_conv2d_output(p, twice_acc, s->multiplier[i], s->round[i], s->shift[i]);
}

/* All filters at four positions from `to` on, of which `live` are kept (`partial`; else all): what is
 * not kept is overwritten by the first position's outputs. */
EP_INLINE void ep_conv2d_block(const ep_conv2d_s8_dsp_params *p, const uint32_t *columns,
                               const uint32_t *stream, int8_t *to, int32_t live, int32_t row) {
    const int32_t c = p->out_c;
    const int32_t kept = p->partial ? live : 4;
    const int32_t at1 = row * (kept > 1), at2 = 2 * row * (kept > 2), at3 = 3 * row * (kept > 3);
    for (int32_t f = 0; f < c; f += 2, to += 2) {
        const uint32_t *const heads = stream;
        int32_t a, b;
        stream = ep_pair_start(p, stream, &a, &b);
        ep_sums s = {a, a, a, a, b, b, b, b};
        stream =
            ep_dot_2x4(&s, stream, columns, p->whole ? p->k_pairs & ~3 : p->k_pairs, p->eights);
        const ep_pair_scale scale = ep_pair_scales(p, heads, stream);
        stream += 2;
        if (p->whole || c % 2 == 0 || f + 1 < c) {
            to[at3 + 1] = ep_pair_output(p, &scale, 1, ep_second_doubled(s.a3, s.s3));
            to[at2 + 1] = ep_pair_output(p, &scale, 1, ep_second_doubled(s.a2, s.s2));
            to[at1 + 1] = ep_pair_output(p, &scale, 1, ep_second_doubled(s.a1, s.s1));
            to[1] = ep_pair_output(p, &scale, 1, ep_second_doubled(s.a0, s.s0));
        }
        to[at3] = ep_pair_output(p, &scale, 0, s.a3 * 2);
        to[at2] = ep_pair_output(p, &scale, 0, s.a2 * 2);
        to[at1] = ep_pair_output(p, &scale, 0, s.a1 * 2);
        to[0] = ep_pair_output(p, &scale, 0, s.a0 * 2);
    }
}

/* All filters at one position. */
EP_INLINE void ep_conv2d_one(const ep_conv2d_s8_dsp_params *p, const uint32_t *columns,
                             const uint32_t *stream, int8_t *to) {
    for (int32_t f = 0; f < p->out_c; f += 2, to += 2) {
        const uint32_t *const heads = stream;
        int32_t a, s;
        stream = ep_pair_start(p, stream, &a, &s);
        stream = ep_dot_2x1(&a, &s, stream, columns, p->k_pairs);
        const ep_pair_scale scale = ep_pair_scales(p, heads, stream);
        stream += 2;
        to[0] = ep_pair_output(p, &scale, 0, a * 2);
        if (p->whole || p->out_c % 2 == 0 || f + 1 < p->out_c) {
            to[1] = ep_pair_output(p, &scale, 1, ep_second_doubled(a, s));
        }
    }
}

/* What stands around the weights of a filter by itself; `shift` to the left with `any_scale`, else to
 * the right. */
typedef struct {
    int32_t bias, multiplier, shift;
} ep_single;

/* Reads the head, and returns the weights. */
EP_INLINE const uint32_t *ep_single_head(const ep_conv2d_s8_dsp_params *p, const uint32_t *stream,
                                         ep_single *f) {
    f->bias = (int32_t)stream[0] >> (p->any_scale ? 0 : 5);
    f->shift = (int32_t)(stream[0] & 31u) + 1;
    return stream + 1;
}

/* Reads what follows the weights, and returns the next filter. */
EP_INLINE const uint32_t *ep_single_end(const ep_conv2d_s8_dsp_params *p, const uint32_t *stream,
                                        ep_single *f) {
    f->multiplier = (int32_t)stream[0];
    if (p->any_scale) {
        f->shift = (int32_t)stream[1];
    }
    return stream + (p->any_scale ? 2 : 1);
}

EP_INLINE int8_t ep_single_output(const ep_conv2d_s8_dsp_params *p, const ep_single *f,
                                  int32_t sum) {
    const int32_t acc = ep_single_sum(p->layout, sum, f->bias);
    if (p->any_scale) {
        return (int8_t)ep_requantize_to(acc, f->multiplier, f->shift, p->output_offset, p->act_min,
                                        p->act_max);
    }
    const int32_t round = ep_shift_left(2 * p->output_offset + 1, f->shift - 1);
    return ep_conv2d_output(p, acc * 2, f->multiplier, round, f->shift);
}

/* ep_conv2d_block for weights of one filter at a time. */
EP_INLINE void ep_conv2d_block_single(const ep_conv2d_s8_dsp_params *p, const uint32_t *columns,
                                      const uint32_t *stream, int8_t *to, int32_t live,
                                      int32_t row) {
    const int32_t kept = p->partial ? live : 4;
    const int32_t at1 = row * (kept > 1), at2 = 2 * row * (kept > 2), at3 = 3 * row * (kept > 3);
    for (const int8_t *const end = to + p->out_c; to < end; ++to) {
        ep_single f;
        stream = ep_single_head(p, stream, &f);
        const int32_t a = ep_single_start(p->layout, f.bias);
        ep_sums s = {a, a, a, a, 0, 0, 0, 0};
        stream = ep_single_end(p, ep_dot_1x4(&s, stream, columns, p->k_pairs, p->layout), &f);
        to[at3] = ep_single_output(p, &f, s.a3);
        to[at2] = ep_single_output(p, &f, s.a2);
        to[at1] = ep_single_output(p, &f, s.a1);
        to[0] = ep_single_output(p, &f, s.a0);
    }
}

/* ep_conv2d_one for weights of one filter at a time. */
EP_INLINE void ep_conv2d_one_single(const ep_conv2d_s8_dsp_params *p, const uint32_t *columns,
                                    const uint32_t *stream, int8_t *to) {
    const int32_t words = ep_single_words(p->k_pairs, p->layout);
    for (const int8_t *const end = to + p->out_c; to < end; ++to) {
        ep_single f;
        stream = ep_single_head(p, stream, &f);
        const int32_t start = ep_single_start(p->layout, f.bias);
        const int32_t sum = ep_dot_1x1(start, stream, columns, p->k_pairs, p->layout);
        stream = ep_single_end(p, stream + words, &f);
        *to = ep_single_output(p, &f, sum);
    }
}

/* columns: 4 * k_pairs words. row: bytes from the outputs of one position to those of the next. */
EP_INLINE void ep_conv2d_s8_dsp_rows(const ep_conv2d_s8_dsp_params *p, const int8_t *in,
                                     const uint32_t *stream, int8_t *out, uint32_t *columns,
                                     int32_t row) {
    const int32_t positions = p->out_h * p->out_w;
    if (p->partial) { /* the last block reads columns that nothing was gathered into */
        for (int32_t i = 0; i < 4 * p->k_pairs; ++i) {
            columns[i] = 0;
        }
    }
    const bool pointwise = p->kernel_h == 1 && p->kernel_w == 1 && p->pad_top == 0 &&
                           p->pad_left == 0 && p->stride_h == 1 && p->stride_w == 1;
    if (!p->whole && p->runs * p->run % 4 !=
                         0) { /* inputs that only pad K must hold something: their weight is 0 */
        for (int32_t i = 4 * (p->k_pairs - 2); i < 4 * p->k_pairs; ++i) {
            columns[i] = 0;
        }
    }
    for (int32_t b = 0; b < p->batches; ++b) {
        int32_t oy = 0, ox = 0;
        for (int32_t n = 0; n < positions; n += 4) {
            const int32_t at = p->reverse ? (positions - 1) / 4 * 4 - n : n;
            const int32_t live = p->singles || p->partial ? ep_min32(4, positions - at) : 4;
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
            int8_t *const to = out + at * row;
            if (p->layout != EP_WEIGHTS_PAIRS) {
                if (!p->singles || live == 4) {
                    ep_conv2d_block_single(p, columns, stream, to, live, row);
                } else {
                    for (int32_t i = 0; i < live; ++i) {
                        ep_conv2d_one_single(p, columns + i, stream, to + i * row);
                    }
                }
            } else if (!p->singles || live == 4) {
                ep_conv2d_block(p, columns, stream, to, live, row);
            } else {
                for (int32_t i = 0; i < live; ++i) {
                    ep_conv2d_one(p, columns + i, stream, to + i * row);
                }
            }
        }
        in += p->in_h * p->in_w * p->in_c;
        out += positions * row;
    }
}

EP_INLINE void ep_conv2d_s8_dsp(const ep_conv2d_s8_dsp_params *p, const int8_t *in,
                                const uint32_t *stream, int8_t *out, uint32_t *columns) {
    ep_conv2d_s8_dsp_rows(p, in, stream, out, columns, p->out_c);
}

#endif
