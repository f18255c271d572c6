/* CONV_2D, portable: NHWC input, OHWI weights, any stride, dilation, padding and groups. */
#ifndef EP_CONV2D_H
#define EP_CONV2D_H

#include "ep_fixed.h"
#include "ep_int4.h"

typedef struct {
    int32_t batches, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, group_c; /* group_c: input channels of one group */
    int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t input_offset;  /* minus the input's zero point */
    int32_t output_offset; /* the output's zero point */
    int32_t act_min, act_max;
} ep_conv2d_params;

typedef struct {
    int32_t batches, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, group_c;
    int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    float act_min, act_max;
} ep_conv2d_f32_params;

/* The loops over output positions and the clipped window are the same for every element type;
 * DOT accumulates one row of the window. */
#define EP_CONV2D_LOOPS(P, BEGIN, DOT, END)                                                        \
    const int32_t filters_per_group = (P)->out_c / ((P)->in_c / (P)->group_c);                     \
    for (int32_t b = 0; b < (P)->batches; ++b) {                                                   \
        for (int32_t oy = 0; oy < (P)->out_h; ++oy) {                                              \
            for (int32_t ox = 0; ox < (P)->out_w; ++ox) {                                          \
                for (int32_t oc = 0; oc < (P)->out_c; ++oc) {                                      \
                    const int32_t first_c = (oc / filters_per_group) * (P)->group_c;               \
                    BEGIN;                                                                         \
                    for (int32_t ky = 0; ky < (P)->kernel_h; ++ky) {                               \
                        const int32_t iy =                                                         \
                            oy * (P)->stride_h - (P)->pad_top + ky * (P)->dilation_h;              \
                        if (iy < 0 || iy >= (P)->in_h) {                                           \
                            continue;                                                              \
                        }                                                                          \
                        for (int32_t kx = 0; kx < (P)->kernel_w; ++kx) {                           \
                            const int32_t ix =                                                     \
                                ox * (P)->stride_w - (P)->pad_left + kx * (P)->dilation_w;         \
                            if (ix < 0 || ix >= (P)->in_w) {                                       \
                                continue;                                                          \
                            }                                                                      \
                            const int32_t in_at =                                                  \
                                ((b * (P)->in_h + iy) * (P)->in_w + ix) * (P)->in_c + first_c;     \
                            const int32_t w_at =                                                   \
                                ((oc * (P)->kernel_h + ky) * (P)->kernel_w + kx) * (P)->group_c;   \
                            for (int32_t c = 0; c < (P)->group_c; ++c) {                           \
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

#define EP_CONV2D_END32(OUT_T)                                                                     \
    out[out_at] = (OUT_T)ep_requantize_to(acc, multiplier[oc], shift[oc], p->output_offset,        \
                                          p->act_min, p->act_max)

#if defined(__ARM_NEON)
#include "ep_conv2d_s8_neon.h"
#endif

/* multiplier and shift: one per output channel. bias may be NULL. */
EP_INLINE void ep_conv2d_s8(const ep_conv2d_params *p, const int8_t *in, const int8_t *weights,
                            const int32_t *bias, const int32_t *multiplier, const int8_t *shift,
                            int8_t *out) {
#if defined(__ARM_NEON)
    if (ep_conv2d_neon_pays(p)) {
        ep_conv2d_s8_neon(p, in, weights, bias, multiplier, shift, out);
        return;
    }
#endif
    EP_CONV2D_LOOPS(p, int32_t acc = bias ? bias[oc] : 0,
                    acc = ep_wrap_mac(acc, in[in_at + c] + p->input_offset, weights[w_at + c]),
                    EP_CONV2D_END32(int8_t))
}

/* Packed int4 weights (ep_int4.h). */
EP_INLINE void ep_conv2d_s8_w4(const ep_conv2d_params *p, const int8_t *in, const uint8_t *weights,
                               const int32_t *bias, const int32_t *multiplier, const int8_t *shift,
                               int8_t *out){
    EP_CONV2D_LOOPS(p, int32_t acc = bias ? bias[oc] : 0,
                    acc = ep_wrap_mac(acc, in[in_at + c] + p -> input_offset,
                                      ep_int4(weights, w_at + c)),
                    EP_CONV2D_END32(int8_t))}

/* int16 activations; zero points are 0. bias may be NULL. */
EP_INLINE void ep_conv2d_s16(const ep_conv2d_params *p, const int16_t *in, const int8_t *weights,
                             const int64_t *bias, const int32_t *multiplier, const int8_t *shift,
                             int16_t *out) {
    EP_CONV2D_LOOPS(p, int64_t acc = 0, acc += (int32_t)in[in_at + c] * weights[w_at + c],
                    acc = ep_wrap_add64(acc, bias ? bias[oc] : 0);
                    out[out_at] = (int16_t)ep_clamp32(
                        ep_requantize64(acc, multiplier[oc], shift[oc]), p->act_min, p->act_max))
}

/* int16 activations with a 32-bit bias: a 32-bit accumulator, requantized as in int8. */
EP_INLINE void ep_conv2d_s16_b32(const ep_conv2d_params *p, const int16_t *in,
                                 const int8_t *weights, const int32_t *bias,
                                 const int32_t *multiplier, const int8_t *shift, int16_t *out){
    EP_CONV2D_LOOPS(p, int32_t acc = bias ? bias[oc] : 0,
                    acc = ep_wrap_mac(acc, in[in_at + c], weights[w_at + c]),
                    EP_CONV2D_END32(int16_t))}

EP_INLINE void ep_conv2d_f32(const ep_conv2d_f32_params *p, const float *in, const float *weights,
                             const float *bias, float *out) {
    EP_CONV2D_LOOPS(p, float acc = 0.0f, acc += in[in_at + c] * weights[w_at + c],
                    acc += bias ? bias[oc] : 0.0f;
                    acc = acc < p->act_min ? p->act_min : acc;
                    out[out_at] = acc > p->act_max ? p->act_max : acc)
}

#endif
