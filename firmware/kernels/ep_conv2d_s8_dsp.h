/* CONV_2D int8 for cores with SMLAD: inputs of four output positions are widened once into
 * `columns`, then every pair of filters runs over them (ep_dot_dsp.h).
 *
 * Weights are packed [out_c / 2 pairs of filters][k_pairs] words; an odd last filter is paired with
 * zeros. Zero points are folded into `bias`; positions outside the input read `fill`, the input's
 * zero point. */
#ifndef EP_CONV2D_S8_DSP_H
#define EP_CONV2D_S8_DSP_H

#include "ep_dot_dsp.h"

typedef struct {
    int32_t batches, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t k_pairs;       /* pairs of inputs of one filter, padded to whole words */
    int32_t fill;          /* the input's zero point */
    int32_t output_offset; /* the output's zero point */
    int32_t act_min, act_max;
    bool relu;    /* results below the zero point are clamped */
    bool reverse; /* 1x1 only: from the last position to the first, so that a larger output can
                     overwrite its input */
} ep_conv2d_s8_dsp_params;

/* Where input k of a position goes in its column: pairs of four inputs are (0, 2) and (1, 3). */
EP_INLINE void ep_put_column(uint32_t *columns, int32_t k, int32_t value) {
    int16_t *const quad = (int16_t *)(void *)(columns + 2 * (k & ~3));
    quad[((k & 1) << 3) + ((k & 2) >> 1)] = (int16_t)value;
}

/* Writes `bytes` values of one position, from k on; fill where `in` is NULL. Whole fours use the
 * order 0, 2, 1, 3, which SXTB16 gives for free; the weights are packed alike. */
EP_INLINE int32_t ep_widen_column(const int8_t *in, int32_t bytes, int32_t fill,
                                  uint32_t *columns, int32_t k) {
    const int32_t end = k + bytes;
    for (; (k & 3) != 0 && k < end; ++k) {
        ep_put_column(columns, k, in ? *in++ : fill);
    }
    uint32_t *to = columns + 2 * k;
    if (in) {
        for (; k + 4 <= end; k += 4, in += 4, to += 8) {
            const uint32_t x = ep_load32(in);
            to[0] = ep_sxtb16(x);
            to[4] = ep_sxtb16_ror8(x);
        }
    } else {
        for (; k + 4 <= end; k += 4, to += 8) {
            to[0] = ep_pack16(fill, fill);
            to[4] = ep_pack16(fill, fill);
        }
    }
    for (; k < end; ++k) {
        ep_put_column(columns, k, in ? *in++ : fill);
    }
    return end;
}

/* Gathers the window of output position (oy, ox) of image `in`. */
EP_INLINE void ep_gather_column(const ep_conv2d_s8_dsp_params *p, const int8_t *in, int32_t oy,
                                int32_t ox, uint32_t *columns) {
    const int32_t y0 = oy * p->stride_h - p->pad_top, x0 = ox * p->stride_w - p->pad_left;
    const int32_t row = p->kernel_w * p->in_c;
    int32_t k = 0;
    for (int32_t ky = 0; ky < p->kernel_h; ++ky) {
        const int32_t y = y0 + ky * p->dilation_h;
        const int8_t *line = y < 0 || y >= p->in_h ? NULL : in + y * p->in_w * p->in_c;
        if (p->dilation_w == 1 && (!line || (x0 >= 0 && x0 + p->kernel_w <= p->in_w))) {
            k = ep_widen_column(line ? line + x0 * p->in_c : NULL, row, p->fill, columns, k);
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; ++kx) {
            const int32_t x = x0 + kx * p->dilation_w;
            const int8_t *from = !line || x < 0 || x >= p->in_w ? NULL : line + x * p->in_c;
            k = ep_widen_column(from, p->in_c, p->fill, columns, k);
        }
    }
}

/* One requantized output. */
EP_INLINE int8_t ep_conv2d_output(const ep_conv2d_s8_dsp_params *p, int32_t acc,
                                  int32_t multiplier, int32_t round, int32_t shift) {
    int32_t y = p->relu ? ep_requantize_dsp_relu(acc, multiplier, round, shift)
                        : ep_requantize_dsp(acc, multiplier, round, shift);
    if (p->act_min == INT8_MIN && p->act_max == INT8_MAX) {
        return (int8_t)ep_ssat8(y);
    }
    return (int8_t)ep_clamp32(y, p->act_min, p->act_max);
}

/* Requantizes the sums of filter f at `live` positions. */
EP_INLINE void ep_conv2d_store(const ep_conv2d_s8_dsp_params *p, const int32_t *sums, int32_t f,
                               int32_t live, const int32_t *multiplier, const uint8_t *shift,
                               int8_t *to) {
    const int32_t r = shift[f], m = multiplier[f];
    const int32_t round = ep_shift_left(p->output_offset, r) + (1 << (r - 1));
    if (live == 4) {
        to[0] = ep_conv2d_output(p, sums[0], m, round, r);
        to[p->out_c] = ep_conv2d_output(p, sums[1], m, round, r);
        to[2 * p->out_c] = ep_conv2d_output(p, sums[2], m, round, r);
        to[3 * p->out_c] = ep_conv2d_output(p, sums[3], m, round, r);
    } else {
        for (int32_t i = 0; i < live; ++i) {
            to[i * p->out_c] = ep_conv2d_output(p, sums[i], m, round, r);
        }
    }
}

/* shift: right shifts, positive. columns: 4 * k_pairs words, zeroed where K is padded. */
EP_INLINE void ep_conv2d_s8_dsp(const ep_conv2d_s8_dsp_params *p, const int8_t *in,
                                const uint32_t *weights, const int32_t *bias,
                                const int32_t *multiplier, const uint8_t *shift, int8_t *out,
                                uint32_t *columns) {
    const int32_t positions = p->out_h * p->out_w;
    const int32_t in_bytes = p->in_h * p->in_w * p->in_c;
    const bool pointwise = p->kernel_h == 1 && p->kernel_w == 1 && p->pad_top == 0 &&
                           p->pad_left == 0 && p->stride_h == 1 && p->stride_w == 1;
    for (int32_t i = 4 * (p->k_pairs - 2); i < 4 * p->k_pairs; ++i) {
        if (i >= 0) {
            columns[i] = 0;
        }
    }
    for (int32_t b = 0; b < p->batches; ++b, in += in_bytes, out += positions * p->out_c) {
        int32_t oy = 0, ox = 0;
        for (int32_t n = 0; n < positions; n += 4) {
            const int32_t at = p->reverse ? (positions - 1) / 4 * 4 - n : n;
            const int32_t live = ep_min32(4, positions - at);
            for (int32_t i = 0; i < live; ++i) {
                if (pointwise) {
                    ep_widen_column(in + (at + i) * p->in_c, p->in_c, p->fill, columns + i, 0);
                } else {
                    ep_gather_column(p, in, oy, ox, columns + i);
                    if (++ox == p->out_w) {
                        ox = 0;
                        ++oy;
                    }
                }
            }
            const uint32_t *w = weights;
            int8_t *to = out + at * p->out_c;
            for (int32_t f = 0; f < p->out_c; f += 2) {
                int32_t s0[4] = {bias[f], bias[f], bias[f], bias[f]};
                const int32_t second = f + 1 < p->out_c ? bias[f + 1] : 0;
                int32_t s1[4] = {second, second, second, second};
                w = ep_dot_2x4(s0, s1, w, columns, p->k_pairs);
                ep_conv2d_store(p, s0, f, live, multiplier, shift, to);
                if (f + 1 < p->out_c) {
                    ep_conv2d_store(p, s1, f + 1, live, multiplier, shift, to + 1);
                }
                to += 2;
            }
        }
    }
}

#endif
