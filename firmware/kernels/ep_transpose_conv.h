/* TRANSPOSE_CONV, portable: NHWC input, OHWI weights. Each output gathers the inputs that reach it,
 * so that no accumulators need to be stored. */
#ifndef EP_TRANSPOSE_CONV_H
#define EP_TRANSPOSE_CONV_H

#include "ep_fixed.h"

typedef struct {
    int32_t batches, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w, pad_top, pad_left;
    int32_t input_offset;  /* minus the input's zero point */
    int32_t output_offset; /* the output's zero point */
    int32_t act_min, act_max;
} ep_transpose_conv_params;

typedef struct {
    int32_t batches, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w, pad_top, pad_left;
    float act_min, act_max;
} ep_transpose_conv_f32_params;

/* Input row iy reaches output row iy * stride - pad + ky: only every stride-th ky counts. */
#define EP_TRANSPOSE_CONV_LOOPS(P, BEGIN, DOT, END)                                                \
    for (int32_t b = 0; b < (P)->batches; ++b) {                                                   \
        for (int32_t oy = 0; oy < (P)->out_h; ++oy) {                                              \
            const int32_t first_ky = (oy + (P)->pad_top) % (P)->stride_h;                          \
            for (int32_t ox = 0; ox < (P)->out_w; ++ox) {                                          \
                const int32_t first_kx = (ox + (P)->pad_left) % (P)->stride_w;                     \
                for (int32_t oc = 0; oc < (P)->out_c; ++oc) {                                      \
                    BEGIN;                                                                         \
                    for (int32_t ky = first_ky; ky < (P)->kernel_h; ky += (P)->stride_h) {         \
                        const int32_t iy = (oy + (P)->pad_top - ky) / (P)->stride_h;               \
                        if (iy < 0 || iy >= (P)->in_h) {                                           \
                            continue;                                                              \
                        }                                                                          \
                        for (int32_t kx = first_kx; kx < (P)->kernel_w; kx += (P)->stride_w) {     \
                            const int32_t ix = (ox + (P)->pad_left - kx) / (P)->stride_w;          \
                            if (ix < 0 || ix >= (P)->in_w) {                                       \
                                continue;                                                          \
                            }                                                                      \
                            const int32_t in_at =                                                  \
                                ((b * (P)->in_h + iy) * (P)->in_w + ix) * (P)->in_c;               \
                            const int32_t w_at =                                                   \
                                ((oc * (P)->kernel_h + ky) * (P)->kernel_w + kx) * (P)->in_c;      \
                            for (int32_t c = 0; c < (P)->in_c; ++c) {                              \
                                DOT;                                                               \
                            }                                                                      \
                        }                                                                          \
                    }                                                                              \
                    const int32_t out_at =                                                         \
                        ((b * (P)->out_h + oy) * (P)->out_w + ox) * (P)->out_c + oc;               \
                    END;                                                                           \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

/* multiplier and shift: one per output channel. bias may be NULL. */
EP_INLINE void ep_transpose_conv_s8(const ep_transpose_conv_params *p, const int8_t *in,
                                    const int8_t *weights, const int32_t *bias,
                                    const int32_t *multiplier, const int8_t *shift,
                                    int8_t *out){EP_TRANSPOSE_CONV_LOOPS(
    p, int32_t acc = bias ? bias[oc] : 0,
    acc = ep_wrap_mac(acc, in[in_at + c] + p -> input_offset, weights[w_at + c]),
    out[out_at] = (int8_t)ep_requantize_to(acc, multiplier[oc], shift[oc], p->output_offset,
                                           p->act_min, p->act_max))}

/* int16 activations; zero points are 0. bias may be NULL. */
EP_INLINE void ep_transpose_conv_s16(const ep_transpose_conv_params *p, const int16_t *in,
                                     const int8_t *weights, const int64_t *bias,
                                     const int32_t *multiplier, const int8_t *shift, int16_t *out) {
    EP_TRANSPOSE_CONV_LOOPS(p, int64_t acc = 0, acc += (int32_t)in[in_at + c] * weights[w_at + c],
                            acc = ep_wrap_add64(acc, bias ? bias[oc] : 0);
                            out[out_at] =
                                (int16_t)ep_clamp32(ep_requantize64(acc, multiplier[oc], shift[oc]),
                                                    p->act_min, p->act_max))
}

EP_INLINE void ep_transpose_conv_f32(const ep_transpose_conv_f32_params *p, const float *in,
                                     const float *weights, const float *bias, float *out) {
    EP_TRANSPOSE_CONV_LOOPS(p, float acc = 0.0f, acc += in[in_at + c] * weights[w_at + c],
                            acc += bias ? bias[oc] : 0.0f;
                            acc = acc < p->act_min ? p->act_min : acc;
                            out[out_at] = acc > p->act_max ? p->act_max : acc)
}

#endif
