/* DEPTHWISE_CONV_2D int8 for cores with SMLAD: one channel at a time is widened into a padded int16
 * plane, and two neighbouring outputs share the taps.
 *
 * A dilated convolution is one without dilation for each phase: the outputs at every dilation_h-th row
 * and every dilation_w-th column, and the inputs that they read.
 *
 * A channel's outputs only ever overwrite the same channel of the input, which the plane holds, so
 * output and input may be the same memory, whatever the stride (but not with a depth multiplier, nor
 * where a phase writes what another reads).
 *
 * `stream` holds per channel, without alignment: the multiplier, whose low bits are the right shift
 * (edgepack/ops/shared/scale_word.py proves that no output changes), the bias in bias_bytes, and the
 * taps; four bytes more can be read. With `any_scale` a shift to either side follows the multiplier.
 * The plane is plane_w wide (even) and holds the padding; positions outside the input read `fill`. */
#ifndef EP_DEPTHWISE_S8_DSP_H
#define EP_DEPTHWISE_S8_DSP_H

#include "ep_dsp.h"

typedef struct {
    int32_t batches, in_h, in_w, channels; /* channels: of the output */
    int32_t depth_multiplier;              /* filters of an input channel */
    int32_t out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top,
        pad_left;                   /* or stride or dilation */
    int32_t plane_h, plane_w;       /* padded extents of the int16 plane; plane_w is even */
    int32_t row_words;              /* int16 pairs of one kernel row */
    int32_t bias_bytes;             /* 0: no bias; 2 or 4 */
    int32_t shift_mask, shift_base; /* less one, a right shift is (word & mask) + base */
    int32_t fill;                   /* the input's zero point */
    int32_t output_offset;          /* the output's zero point */
    int32_t act_min, act_max;
    bool refill; /* phases differ in where their plane has padding */
    bool
        any_scale; /* factors of one and more, or sums that may wrap: the long way of requantizing */
    bool three;    /* 3x3 with stride 1 or 2 */
    bool narrow;   /* few outputs in a row: unroll the loop over them */
    bool relu;     /* results below the zero point are clamped */
} ep_depthwise_s8_dsp_params;

/* What one channel's outputs need beside its taps. */
typedef struct {
    int32_t bias, multiplier, round, shift;
} ep_depthwise_channel;

EP_INLINE int8_t ep_depthwise_output(const ep_depthwise_s8_dsp_params *p,
                                     const ep_depthwise_channel *c, int32_t acc) {
    if (p->any_scale) {
        return (int8_t)ep_requantize_to(acc, c->multiplier, c->shift, p->output_offset, p->act_min,
                                        p->act_max);
    }
    const int32_t y = p->relu ? ep_requantize_dsp_relu(acc * 2, c->multiplier, c->round, c->shift)
                              : ep_requantize_dsp(acc * 2, c->multiplier, c->round, c->shift);
    if (p->act_min == INT8_MIN && p->act_max == INT8_MAX) {
        return (int8_t)ep_ssat8(y);
    }
    return (int8_t)ep_clamp32(y, p->act_min, p->act_max);
}

/* Reads what stands before the taps, and returns these. */
EP_INLINE const uint8_t *ep_depthwise_head(const ep_depthwise_s8_dsp_params *p,
                                           const uint8_t *bytes, ep_depthwise_channel *c) {
    const uint32_t word = ep_load32(bytes);
    const int32_t less_1 = (int32_t)(word & (uint32_t)p->shift_mask) + p->shift_base;
    const int32_t shift = p->any_scale ? (int8_t)bytes[4] : 0;
    bytes += p->any_scale ? 5 : 4;
    c->multiplier = (int32_t)word;
    c->bias = 0;
    if (p->bias_bytes == 2) {
        c->bias = (int16_t)(bytes[0] | ((uint32_t)bytes[1] << 8));
    } else if (p->bias_bytes == 4) {
        c->bias = (int32_t)ep_load32(bytes);
    }
    c->round = ep_shift_left(2 * p->output_offset + 1, less_1);
    c->shift = p->any_scale ? shift : less_1 + 1;
    return bytes + p->bias_bytes;
}

/* Minus the input's zero point, which the plane holds, in both halves of a word. */
EP_INLINE uint32_t ep_depthwise_offset(const ep_depthwise_s8_dsp_params *p) {
    return ep_pack16(-p->fill, -p->fill);
}

/* What one phase computes: an ordinary convolution without dilation. */
typedef struct {
    int32_t first_y, first_x; /* of the input */
    int32_t out_h, out_w;
    int32_t step,
        skip; /* bytes from one output to the next, and from a row's end to the next row */
} ep_depthwise_phase;

/* Phase (py, px), counted from the first padded row and column. */
EP_INLINE ep_depthwise_phase ep_depthwise_part(const ep_depthwise_s8_dsp_params *p, int32_t py,
                                               int32_t px) {
    const int32_t dh = p->dilation_h, dw = p->dilation_w;
    ep_depthwise_phase f;
    f.first_y = ((py - p->pad_top) % dh + dh) % dh;
    f.first_x = ((px - p->pad_left) % dw + dw) % dw;
    f.out_h = (p->out_h - py + dh - 1) / dh;
    f.out_w = (p->out_w - px + dw - 1) / dw;
    f.step = p->channels * dw;
    f.skip = p->channels * (dh * p->out_w - dw * f.out_w);
    return f;
}

/* Widens one channel of the input into the plane's interior. */
EP_INLINE void ep_depthwise_plane(const ep_depthwise_s8_dsp_params *p, ep_depthwise_phase f,
                                  const int8_t *in, int16_t *plane) {
    const int32_t dh = p->dilation_h, dw = p->dilation_w;
    const int32_t channels = p->channels / p->depth_multiplier, step = channels * dw;
    int16_t *to =
        plane + (p->pad_top + f.first_y) / dh * p->plane_w + (p->pad_left + f.first_x) / dw;
    if (dh == 1 && dw == 1) {
        for (int32_t y = 0; y < p->in_h; ++y, to += p->plane_w) {
            EP_UNROLL(4)
            for (int32_t x = 0; x < p->in_w; ++x, in += step) {
                to[x] = *in;
            }
        }
        return;
    }
    for (int32_t y = f.first_y; y < p->in_h; y += dh, to += p->plane_w) {
        const int8_t *from = in + (y * p->in_w + f.first_x) * channels;
        int16_t *at = to;
        for (int32_t x = f.first_x; x < p->in_w; x += dw, from += step) {
            *at++ = *from;
        }
    }
}

/* Words of the taps of one channel at most. */
#define EP_DEPTHWISE_TAPS 64

/* Unpacks the taps of one channel, row_words pairs per kernel row, and adds them times `offset` to
 * `bias`. */
EP_INLINE int32_t ep_depthwise_taps(const ep_depthwise_s8_dsp_params *p, const uint8_t *bytes,
                                    uint32_t *taps, int32_t bias) {
    const int32_t n = p->row_words;
    const uint32_t offset = ep_depthwise_offset(p);
    for (int32_t ky = 0; ky < p->kernel_h; ++ky, taps += n) {
        for (int32_t i = 0; i < n; i += 2) {
            const int32_t left = p->kernel_w - 2 * i; /* taps of this row from here on */
            uint32_t x = ep_load32(bytes + 2 * i);
            if (left < 4) {
                x &= (UINT32_C(1) << (8 * left)) - 1u;
            }
            const uint32_t even = ep_sxtb16(x), odd = ep_sxtb16_ror8(x); /* taps 0, 2 and 1, 3 */
            bias = ep_smlad(odd, offset, ep_smlad(even, offset, bias));
            taps[i] = (even & 0xFFFFu) | (odd << 16);
            if (i + 1 < n) {
                taps[i + 1] = (even >> 16) | (odd & 0xFFFF0000u);
            }
        }
        bytes += p->kernel_w;
    }
    return bias;
}

/* Any kernel and stride. With stride 1 two outputs at a time: the second reads the same taps and the
 * plane from one input further on. */
EP_INLINE void ep_depthwise_rows(const ep_depthwise_s8_dsp_params *p, ep_depthwise_phase f,
                                 const uint8_t *bytes, const int16_t *plane,
                                 ep_depthwise_channel channel, int8_t *out) {
    uint32_t taps[EP_DEPTHWISE_TAPS];
    const int32_t bias = ep_depthwise_taps(p, bytes, taps, channel.bias);
    const int32_t n = p->row_words;
    const bool pairs = p->stride_w == 1;
    const int32_t step = pairs ? 2 : 1;
    for (int32_t oy = 0; oy < f.out_h; ++oy, out += f.skip) {
        const int16_t *const row = plane + oy * p->stride_h * p->plane_w;
        for (int32_t ox = 0; ox < f.out_w; ox += step) {
            const int16_t *x = row + ox * p->stride_w;
            const uint32_t *t = taps;
            int32_t a = bias, b = bias;
            for (int32_t ky = 0; ky < p->kernel_h; ++ky, x += p->plane_w, t += n) {
                EP_UNROLL(8)
                for (int32_t i = 0; i < n; ++i) {
                    a = ep_smlad(ep_load32(x + 2 * i), t[i], a);
                    b = pairs ? ep_smlad(ep_load32(x + 2 * i + 1), t[i], b) : b;
                }
            }
            *out = ep_depthwise_output(p, &channel, a);
            out += f.step;
            if (pairs && ox + 1 < f.out_w) {
                *out = ep_depthwise_output(p, &channel, b);
                out += f.step;
            }
        }
    }
}

/* Pairs (w0, w1) and (w1, w2) of one row of a 3x3 kernel. */
typedef struct {
    uint32_t w01, w12;
} ep_row3;

EP_INLINE ep_row3 ep_depthwise_row3(const uint8_t *bytes) {
    const uint32_t x = ep_load32(bytes);
    const uint32_t even = ep_sxtb16(x), odd = ep_sxtb16_ror8(x); /* (w0, w2), (w1, -) */
    return (ep_row3){(even & 0xFFFFu) | (odd << 16), (odd & 0xFFFFu) | (even & 0xFFFF0000u)};
}

/* acc plus the taps of a row times `offset`. */
EP_INLINE int32_t ep_depthwise_sum3(ep_row3 row, uint32_t offset, int32_t acc) {
    return ep_smlatb(row.w12, offset, ep_smlad(row.w01, offset, acc));
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
    *out = ep_depthwise_output(p, &channel, a);                                                    \
    out += f.step;                                                                                 \
    if (pairs && ox + 1 < f.out_w) {                                                               \
        *out = ep_depthwise_output(p, &channel, b);                                                \
        out += f.step;                                                                             \
    }

/* 3x3, stride 1 or 2: six words of taps stay in registers. */
EP_INLINE void ep_depthwise_rows_3x3(const ep_depthwise_s8_dsp_params *p, ep_depthwise_phase f,
                                     const uint8_t *bytes, const int16_t *plane,
                                     ep_depthwise_channel channel, int8_t *out) {
    const ep_row3 r0 = ep_depthwise_row3(bytes), r1 = ep_depthwise_row3(bytes + 3),
                  r2 = ep_depthwise_row3(bytes + 6);
    const uint32_t offset = ep_depthwise_offset(p);
    const int32_t bias = ep_depthwise_sum3(
        r0, offset, ep_depthwise_sum3(r1, offset, ep_depthwise_sum3(r2, offset, channel.bias)));
    const int32_t line = p->plane_w / 2;
    const bool pairs = p->stride_w == 1;
    const int32_t step = pairs ? 2 : 1;
    for (int32_t oy = 0; oy < f.out_h; ++oy, out += f.skip) {
        const ep_word *x = (const ep_word *)(const void *)(plane + oy * p->stride_h * p->plane_w);
        if (p->narrow) {
            EP_UNROLL(4)
            for (int32_t ox = 0; ox < f.out_w; ox += step, ++x) {
                EP_DEPTHWISE_3X3;
            }
        } else {
            for (int32_t ox = 0; ox < f.out_w; ox += step, ++x) {
                EP_DEPTHWISE_3X3;
            }
        }
    }
}

/* All outputs of one filter in one phase. */
EP_INLINE void ep_depthwise_filter(const ep_depthwise_s8_dsp_params *p, ep_depthwise_phase f,
                                   const uint8_t *bytes, const int16_t *plane,
                                   ep_depthwise_channel channel, int8_t *out) {
    if (p->three) {
        ep_depthwise_rows_3x3(p, f, bytes, plane, channel, out);
    } else {
        ep_depthwise_rows(p, f, bytes, plane, channel, out);
    }
}

/* Fills the plane with what positions outside the input read. */
EP_INLINE void ep_depthwise_fill(const ep_depthwise_s8_dsp_params *p, int16_t *plane) {
    for (int32_t i = 0; i < p->plane_h * p->plane_w; ++i) {
        plane[i] = (int16_t)p->fill;
    }
}

/* One filter of a dilated convolution, phase by phase. */
EP_INLINE void ep_depthwise_phases(const ep_depthwise_s8_dsp_params *p, const int8_t *in,
                                   const uint8_t *bytes, int16_t *plane,
                                   ep_depthwise_channel channel, int8_t *out) {
    for (int32_t py = 0; py < p->dilation_h; ++py) {
        for (int32_t px = 0; px < p->dilation_w; ++px) {
            const ep_depthwise_phase f = ep_depthwise_part(p, py, px);
            if (p->refill) {
                ep_depthwise_fill(p, plane);
            }
            ep_depthwise_plane(p, f, in, plane);
            ep_depthwise_filter(p, f, bytes, plane, channel,
                                out + (py * p->out_w + px) * p->channels);
        }
    }
}

/* plane: plane_h * plane_w int16. */
EP_INLINE void ep_depthwise_s8_dsp(const ep_depthwise_s8_dsp_params *p, const int8_t *in,
                                   const uint8_t *stream, int8_t *out, int16_t *plane) {
    const int32_t window = p->kernel_h * p->kernel_w;
    const ep_depthwise_phase whole = ep_depthwise_part(p, 0, 0);
    ep_depthwise_fill(p, plane);
    for (int32_t b = 0; b < p->batches; ++b) {
        const uint8_t *bytes = stream;
        for (int32_t c = 0; c < p->channels; ++c, bytes += window) {
            const int8_t *const from = in + c / p->depth_multiplier;
            ep_depthwise_channel channel;
            bytes = ep_depthwise_head(p, bytes, &channel);
            if (p->dilation_h != 1 || p->dilation_w != 1) {
                ep_depthwise_phases(p, from, bytes, plane, channel, out + c);
                continue;
            }
            if (c % p->depth_multiplier == 0) {
                ep_depthwise_plane(p, whole, from, plane);
            }
            ep_depthwise_filter(p, whole, bytes, plane, channel, out + c);
        }
        in += p->in_h * p->in_w * (p->channels / p->depth_multiplier);
        out += p->out_h * p->out_w * p->channels;
    }
}

#endif
