/* DEPTHWISE_CONV_2D int8 (depth multiplier 1, dilation 1) for cores with SMLAD: one channel at a
 * time is widened into a padded int16 plane, and two neighbouring outputs share its words.
 *
 * A channel's outputs only ever overwrite the same channel of the input, which the plane holds, so
 * output and input may be the same memory, whatever the stride.
 *
 * `stream` holds per channel: the bias (zero point folded in), the multiplier, and the taps as bytes,
 * row_bytes per kernel row; the last byte of the first row is the right shift less one.
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
    int32_t row_words;        /* int16 pairs of one kernel row, kernel_w / 2 + 1 for stride 1 */
    int32_t row_bytes;        /* bytes of one kernel row in the stream, (kernel_w / 4 + 1) * 4 */
    int32_t fill;             /* the input's zero point */
    int32_t output_offset;    /* the output's zero point */
    int32_t act_min, act_max;
    bool narrow; /* few outputs in a row: unroll the loop over them */
    bool relu;   /* results below the zero point are clamped */
} ep_depthwise_s8_dsp_params;

EP_INLINE int8_t ep_depthwise_output(const ep_depthwise_s8_dsp_params *p, int32_t acc,
                                     int32_t multiplier, int32_t round, int32_t shift) {
    const int32_t y = p->relu ? ep_requantize_dsp_relu(acc * 2, multiplier, round, shift)
                              : ep_requantize_dsp(acc * 2, multiplier, round, shift);
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
        EP_UNROLL(8)
        for (int32_t x = 0; x < p->in_w; ++x, in += p->channels) {
            to[x] = *in;
        }
    }
}

/* Words of the taps for one channel: what EP_DEPTHWISE_TAPS bounds at build time. */
#define EP_DEPTHWISE_TAPS 64

/* Unpacks the taps of one channel: per kernel row, row_words pairs for the left output of a pair,
 * then, for stride 1, row_words pairs for the right one, shifted by one tap; unused taps are 0. */
EP_INLINE void ep_depthwise_taps(const ep_depthwise_s8_dsp_params *p, const int8_t *bytes,
                                 uint32_t *taps) {
    const int32_t n = p->row_words;
    const bool both = p->stride_w == 1;
    for (int32_t ky = 0; ky < p->kernel_h; ++ky, taps += both ? 2 * n : n) {
        uint32_t before = 0;
        for (int32_t i = 0; i < n; i += 2, bytes += 4) {
            uint32_t x = ep_load32(bytes);
            if (2 * i + 4 == p->row_bytes) {
                x &= 0x00FFFFFFu; /* the spare byte */
            }
            const uint32_t even = ep_sxtb16(x), odd = ep_sxtb16_ror8(x); /* taps 0, 2 and 1, 3 */
            taps[i] = (even & 0xFFFFu) | (odd << 16);
            if (i + 1 < n) {
                taps[i + 1] = (even >> 16) | (odd & 0xFFFF0000u);
            }
            if (both) {
                taps[n + i] = before | (even << 16);
                if (i + 1 < n) {
                    taps[n + i + 1] = (odd & 0xFFFFu) | (even & 0xFFFF0000u);
                }
                before = odd >> 16;
            }
        }
        bytes += p->row_bytes - (n + 1) / 2 * 4;
    }
}

/* One kernel row of one window (or of two neighbouring ones). */
EP_INLINE int32_t ep_depthwise_dot(const ep_word *x, const uint32_t *taps, int32_t words,
                                   int32_t acc) {
    EP_UNROLL(8)
    for (int32_t i = 0; i < words; ++i) {
        acc = ep_smlad(x[i], taps[i], acc);
    }
    return acc;
}

/* Any kernel and stride. */
EP_INLINE void ep_depthwise_rows(const ep_depthwise_s8_dsp_params *p, const int8_t *bytes,
                                 const int16_t *plane, int32_t bias, int32_t multiplier,
                                 int32_t round, int32_t shift, int8_t *out) {
    uint32_t taps[EP_DEPTHWISE_TAPS];
    ep_depthwise_taps(p, bytes, taps);
    const int32_t n = p->row_words, line = p->plane_w / 2;
    const bool pairs = p->stride_w == 1;
    const int32_t step = pairs ? 2 : 1;
    for (int32_t oy = 0; oy < p->out_h; ++oy) {
        const int16_t *row = plane + oy * p->stride_h * p->plane_w;
        for (int32_t ox = 0; ox < p->out_w; ox += step) {
            const ep_word *x = (const ep_word *)(const void *)(row + ox * p->stride_w);
            const uint32_t *t = taps;
            int32_t a = bias, b = bias;
            for (int32_t ky = 0; ky < p->kernel_h; ++ky, x += line, t += step * n) {
                a = ep_depthwise_dot(x, t, n, a);
                if (pairs) {
                    b = ep_depthwise_dot(x, t + n, n, b);
                }
            }
            *out = ep_depthwise_output(p, a, multiplier, round, shift);
            out += p->channels;
            if (pairs && ox + 1 < p->out_w) {
                *out = ep_depthwise_output(p, b, multiplier, round, shift);
                out += p->channels;
            }
        }
    }
}

/* Pairs (w0, w1) and (w1, w2) of one row of a 3x3 kernel. */
typedef struct {
    uint32_t w01, w12;
} ep_row3;

EP_INLINE ep_row3 ep_depthwise_row3(const int8_t *bytes) {
    const uint32_t x = ep_load32(bytes);
    const uint32_t even = ep_sxtb16(x), odd = ep_sxtb16_ror8(x); /* (w0, w2), (w1, -) */
    return (ep_row3){(even & 0xFFFFu) | (odd << 16), (odd & 0xFFFFu) | (even & 0xFFFF0000u)};
}

/* One turn of the loop over a row: two outputs with stride 1, one with stride 2. The left output
 * takes w2 as the high half of (w1, w2), the right one w0 as the low half of (w0, w1). */
#define EP_DEPTHWISE_3X3                                                                           \
    uint32_t lo = x[0], hi = x[1];                                                                 \
    int32_t a = ep_smlabt(hi, r0.w12, ep_smlad(lo, r0.w01, bias));                                 \
    int32_t b = pairs ? ep_smlad(hi, r0.w12, ep_smlatb(lo, r0.w01, bias)) : 0;                     \
    lo = x[line], hi = x[line + 1];                                                                \
    a = ep_smlabt(hi, r1.w12, ep_smlad(lo, r1.w01, a));                                            \
    b = pairs ? ep_smlad(hi, r1.w12, ep_smlatb(lo, r1.w01, b)) : 0;                                \
    lo = x[2 * line], hi = x[2 * line + 1];                                                        \
    a = ep_smlabt(hi, r2.w12, ep_smlad(lo, r2.w01, a));                                            \
    b = pairs ? ep_smlad(hi, r2.w12, ep_smlatb(lo, r2.w01, b)) : 0;                                \
    *out = ep_depthwise_output(p, a, multiplier, round, shift);                                    \
    out += p->channels;                                                                            \
    if (pairs && ox + 1 < p->out_w) {                                                              \
        *out = ep_depthwise_output(p, b, multiplier, round, shift);                                \
        out += p->channels;                                                                        \
    }

/* 3x3, stride 1 or 2: six words of taps stay in registers. */
EP_INLINE void ep_depthwise_rows_3x3(const ep_depthwise_s8_dsp_params *p, const int8_t *bytes,
                                     const int16_t *plane, int32_t bias, int32_t multiplier,
                                     int32_t round, int32_t shift, int8_t *out) {
    const ep_row3 r0 = ep_depthwise_row3(bytes), r1 = ep_depthwise_row3(bytes + 4),
                  r2 = ep_depthwise_row3(bytes + 8);
    const int32_t line = p->plane_w / 2;
    const bool pairs = p->stride_w == 1;
    const int32_t step = pairs ? 2 : 1;
    for (int32_t oy = 0; oy < p->out_h; ++oy) {
        const ep_word *x = (const ep_word *)(const void *)(plane + oy * p->stride_h * p->plane_w);
        if (p->narrow) {
            EP_UNROLL(4)
            for (int32_t ox = 0; ox < p->out_w; ox += step, ++x) {
                EP_DEPTHWISE_3X3;
            }
        } else {
            for (int32_t ox = 0; ox < p->out_w; ox += step, ++x) {
                EP_DEPTHWISE_3X3;
            }
        }
    }
}

/* plane: plane_h * plane_w int16. */
EP_INLINE void ep_depthwise_s8_dsp(const ep_depthwise_s8_dsp_params *p, const int8_t *in,
                                   const uint32_t *stream, int8_t *out, int16_t *plane) {
    const bool three = p->kernel_h == 3 && p->kernel_w == 3 && p->stride_w <= 2;
    for (int32_t i = 0; i < p->plane_h * p->plane_w; ++i) {
        plane[i] = (int16_t)p->fill;
    }
    for (int32_t b = 0; b < p->batches; ++b) {
        const uint32_t *channel = stream;
        for (int32_t c = 0; c < p->channels; ++c) {
            const int32_t bias = (int32_t)channel[0], multiplier = (int32_t)channel[1];
            const int8_t *bytes = (const int8_t *)(const void *)(channel + 2);
            const int32_t less_1 = bytes[p->row_bytes - 1];
            const int32_t round = ep_shift_left(2 * p->output_offset + 1, less_1);
            ep_depthwise_plane(p, in + c, plane);
            if (three) {
                ep_depthwise_rows_3x3(p, bytes, plane, bias, multiplier, round, less_1 + 1,
                                      out + c);
            } else {
                ep_depthwise_rows(p, bytes, plane, bias, multiplier, round, less_1 + 1, out + c);
            }
            channel += 2 + p->kernel_h * p->row_bytes / 4;
        }
        in += p->in_h * p->in_w * p->channels;
        out += p->out_h * p->out_w * p->channels;
    }
}

#endif
