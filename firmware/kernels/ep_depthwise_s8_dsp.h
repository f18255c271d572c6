/* DEPTHWISE_CONV_2D int8 (depth multiplier 1, dilation 1) for cores with SMLAD: one channel at a
 * time is widened into a padded int16 plane, and two neighbouring outputs share its words.
 *
 * A channel's outputs only ever overwrite the same channel of the input, which the plane holds, so
 * output and input may be the same memory, whatever the stride.
 *
 * Weights per channel: for each kernel row, `row_words` words for the left output of a pair, then
 * (stride 1) `row_words` words for the right one, shifted by one tap; unused taps are 0.
 * The plane is plane_w wide (even) and holds the padding; positions outside the input read `fill`. */
#ifndef EP_DEPTHWISE_S8_DSP_H
#define EP_DEPTHWISE_S8_DSP_H

#include "ep_dsp.h"

typedef struct {
    int32_t batches, in_h, in_w, channels;
    int32_t out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w, pad_top, pad_left;
    int32_t plane_h, plane_w; /* padded extents of the int16 plane; plane_w is even */
    int32_t row_words;        /* words of one kernel row, (kernel_w + 2) / 2 for stride 1 */
    int32_t fill;             /* the input's zero point */
    int32_t output_offset;    /* the output's zero point */
    int32_t act_min, act_max;
    bool relu; /* results below the zero point are clamped */
} ep_depthwise_s8_dsp_params;

EP_INLINE int8_t ep_depthwise_output(const ep_depthwise_s8_dsp_params *p, int32_t acc,
                                     int32_t multiplier, int32_t round, int32_t shift) {
    const int32_t y = p->relu ? ep_requantize_dsp_relu(acc, multiplier, round, shift)
                              : ep_requantize_dsp(acc, multiplier, round, shift);
    if (p->act_min == INT8_MIN && p->act_max == INT8_MAX) {
        return (int8_t)ep_ssat8(y);
    }
    return (int8_t)ep_clamp32(y, p->act_min, p->act_max);
}

/* Widens one channel of the input into the plane's interior. */
EP_INLINE void ep_depthwise_plane(const ep_depthwise_s8_dsp_params *p, const int8_t *in,
                                  int16_t *plane) {
    int16_t *to = plane + p->pad_top * p->plane_w + p->pad_left;
    for (int32_t y = 0; y < p->in_h; ++y, to += p->plane_w) {
        for (int32_t x = 0; x < p->in_w; ++x, in += p->channels) {
            to[x] = *in;
        }
    }
}

/* Two outputs of one row with stride 1: words of the plane are shared. */
EP_INLINE void ep_depthwise_pair(const ep_depthwise_s8_dsp_params *p, const uint32_t *x,
                                 const uint32_t *w, int32_t *left, int32_t *right) {
    int32_t a = *left, b = *right;
    const int32_t line = p->plane_w / 2, n = p->row_words;
    for (int32_t ky = 0; ky < p->kernel_h; ++ky, x += line, w += 2 * n) {
        for (int32_t i = 0; i < n; ++i) {
            a = ep_smlad(x[i], w[i], a);
            b = ep_smlad(x[i], w[n + i], b);
        }
    }
    *left = a;
    *right = b;
}

/* One output whose window starts at an even column of the plane. */
EP_INLINE int32_t ep_depthwise_single(const ep_depthwise_s8_dsp_params *p, const uint32_t *x,
                                      const uint32_t *w, int32_t acc) {
    const int32_t line = p->plane_w / 2, n = p->row_words;
    const int32_t next = p->stride_w == 1 ? 2 * n : n;
    for (int32_t ky = 0; ky < p->kernel_h; ++ky, x += line, w += next) {
        for (int32_t i = 0; i < n; ++i) {
            acc = ep_smlad(x[i], w[i], acc);
        }
    }
    return acc;
}

/* 3x3, stride 1: six weight words stay in registers. w[ky] = { (w0, w1), (w2, 0), (0, w0), (w1, w2) };
 * the pair needs only (w0, w1) and (w1, w2), taking w2 and w0 as single halves. */
EP_INLINE void ep_depthwise_rows_3x3(const ep_depthwise_s8_dsp_params *p, const uint32_t *w,
                                     const int16_t *plane, int32_t bias, int32_t multiplier,
                                     int32_t round, int32_t shift, int8_t *out) {
    const uint32_t w01_0 = w[0], w12_0 = w[3], w01_1 = w[4], w12_1 = w[7];
    const uint32_t w01_2 = w[8], w12_2 = w[11];
    const int32_t line = p->plane_w / 2;
    for (int32_t oy = 0; oy < p->out_h; ++oy) {
        const uint32_t *x = (const uint32_t *)(const void *)(plane + oy * p->plane_w);
        for (int32_t ox = 0; ox < p->out_w; ox += 2, ++x) {
            uint32_t lo = x[0], hi = x[1];
            int32_t a = ep_smlabt(hi, w12_0, ep_smlad(lo, w01_0, bias));
            int32_t b = ep_smlad(hi, w12_0, ep_smlatb(lo, w01_0, bias));
            lo = x[line], hi = x[line + 1];
            a = ep_smlabt(hi, w12_1, ep_smlad(lo, w01_1, a));
            b = ep_smlad(hi, w12_1, ep_smlatb(lo, w01_1, b));
            lo = x[2 * line], hi = x[2 * line + 1];
            a = ep_smlabt(hi, w12_2, ep_smlad(lo, w01_2, a));
            b = ep_smlad(hi, w12_2, ep_smlatb(lo, w01_2, b));
            *out = ep_depthwise_output(p, a, multiplier, round, shift);
            out += p->channels;
            if (ox + 1 < p->out_w) {
                *out = ep_depthwise_output(p, b, multiplier, round, shift);
                out += p->channels;
            }
        }
    }
}

/* Any kernel and stride. */
EP_INLINE void ep_depthwise_rows(const ep_depthwise_s8_dsp_params *p, const uint32_t *w,
                                 const int16_t *plane, int32_t bias, int32_t multiplier,
                                 int32_t round, int32_t shift, int8_t *out) {
    for (int32_t oy = 0; oy < p->out_h; ++oy) {
        const int16_t *row = plane + oy * p->stride_h * p->plane_w;
        for (int32_t ox = 0; ox < p->out_w; ox += 2) {
            const uint32_t *x = (const uint32_t *)(const void *)(row + ox * p->stride_w);
            int32_t a = bias, b = bias;
            const bool both = ox + 1 < p->out_w;
            if (p->stride_w == 1) {
                ep_depthwise_pair(p, x, w, &a, &b);
            } else {
                a = ep_depthwise_single(p, x, w, a);
                if (both) {
                    b = ep_depthwise_single(p, x + p->stride_w / 2, w, b);
                }
            }
            *out = ep_depthwise_output(p, a, multiplier, round, shift);
            out += p->channels;
            if (both) {
                *out = ep_depthwise_output(p, b, multiplier, round, shift);
                out += p->channels;
            }
        }
    }
}

/* shift: right shifts, positive. plane: plane_h * plane_w int16. */
EP_INLINE void ep_depthwise_s8_dsp(const ep_depthwise_s8_dsp_params *p, const int8_t *in,
                                   const uint32_t *weights, const int32_t *bias,
                                   const int32_t *multiplier, const uint8_t *shift, int8_t *out,
                                   int16_t *plane) {
    const int32_t copies = p->stride_w == 1 ? 2 : 1;
    const int32_t per_channel = p->kernel_h * p->row_words * copies;
    for (int32_t i = 0; i < p->plane_h * p->plane_w; ++i) {
        plane[i] = (int16_t)p->fill;
    }
    for (int32_t b = 0; b < p->batches; ++b) {
        const uint32_t *w = weights;
        for (int32_t c = 0; c < p->channels; ++c, w += per_channel) {
            const int32_t r = shift[c];
            const int32_t round = ep_shift_left(p->output_offset, r) + (1 << (r - 1));
            ep_depthwise_plane(p, in + c, plane);
            if (p->kernel_h == 3 && p->kernel_w == 3 && p->stride_h == 1 && p->stride_w == 1) {
                ep_depthwise_rows_3x3(p, w, plane, bias[c], multiplier[c], round, r, out + c);
            } else {
                ep_depthwise_rows(p, w, plane, bias[c], multiplier[c], round, r, out + c);
            }
        }
        in += p->in_h * p->in_w * p->channels;
        out += p->out_h * p->out_w * p->channels;
    }
}

#endif
