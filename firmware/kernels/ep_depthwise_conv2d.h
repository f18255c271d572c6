/* DEPTHWISE_CONV_2D, portable: NHWC input, 1HWC weights, any depth multiplier. */
#ifndef EP_DEPTHWISE_CONV2D_H
#define EP_DEPTHWISE_CONV2D_H

#include "ep_fixed.h"
#include "ep_int4.h"

typedef struct {
    int32_t batches, in_h, in_w, in_c;
    int32_t out_h, out_w, depth_multiplier; /* output channels = in_c * depth_multiplier */
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t input_offset, output_offset;
    int32_t act_min, act_max;
} ep_depthwise_conv2d_params;

typedef struct {
    int32_t batches, in_h, in_w, in_c;
    int32_t out_h, out_w, depth_multiplier;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    float act_min, act_max;
} ep_depthwise_conv2d_f32_params;

#define EP_DEPTHWISE_LOOPS(P, BEGIN, MAC, END)                                                     \
    const int32_t out_c = (P)->in_c * (P)->depth_multiplier;                                       \
    for (int32_t b = 0; b < (P)->batches; ++b) {                                                   \
        for (int32_t oy = 0; oy < (P)->out_h; ++oy) {                                              \
            for (int32_t ox = 0; ox < (P)->out_w; ++ox) {                                          \
                for (int32_t oc = 0; oc < out_c; ++oc) {                                           \
                    const int32_t ic = oc / (P)->depth_multiplier;                                 \
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
                                ((b * (P)->in_h + iy) * (P)->in_w + ix) * (P)->in_c + ic;          \
                            const int32_t w_at = (ky * (P)->kernel_w + kx) * out_c + oc;           \
                            MAC;                                                                   \
                        }                                                                          \
                    }                                                                              \
                    const int32_t out_at = ((b * (P)->out_h + oy) * (P)->out_w + ox) * out_c + oc; \
                    END;                                                                           \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

#if defined(__ARM_NEON)
#include "ep_depthwise_s8_neon.h"
#endif

/* multiplier and shift: one per output channel. bias may be NULL. */
EP_INLINE void ep_depthwise_conv2d_s8(const ep_depthwise_conv2d_params *p, const int8_t *in,
                                      const int8_t *weights, const int32_t *bias,
                                      const int32_t *multiplier, const int8_t *shift, int8_t *out) {
#if defined(__ARM_NEON)
    if (ep_depthwise_neon_pays(p)) {
        ep_depthwise_s8_neon(p, in, weights, bias, multiplier, shift, out);
        return;
    }
#endif
    EP_DEPTHWISE_LOOPS(p, int32_t acc = bias ? bias[oc] : 0,
                       acc = ep_wrap_mac(acc, in[in_at] + p->input_offset, weights[w_at]),
                       out[out_at] =
                           (int8_t)ep_requantize_to(acc, multiplier[oc], shift[oc],
                                                    p->output_offset, p->act_min, p->act_max))
}

/* Packed int4 weights (ep_int4.h). */
EP_INLINE void ep_depthwise_conv2d_s8_w4(const ep_depthwise_conv2d_params *p, const int8_t *in,
                                         const uint8_t *weights, const int32_t *bias,
                                         const int32_t *multiplier, const int8_t *shift,
                                         int8_t *out){EP_DEPTHWISE_LOOPS(
    p, int32_t acc = bias ? bias[oc] : 0,
    acc = ep_wrap_mac(acc, in[in_at] + p -> input_offset, ep_int4(weights, w_at)),
    out[out_at] = (int8_t)ep_requantize_to(acc, multiplier[oc], shift[oc], p->output_offset,
                                           p->act_min, p->act_max))}

/* int16 activations; zero points are 0. bias may be NULL. */
EP_INLINE
    void ep_depthwise_conv2d_s16(const ep_depthwise_conv2d_params *p, const int16_t *in,
                                 const int8_t *weights, const int64_t *bias,
                                 const int32_t *multiplier, const int8_t *shift, int16_t *out) {
    EP_DEPTHWISE_LOOPS(p, int64_t acc = 0, acc += (int32_t)in[in_at] * weights[w_at],
                       acc = ep_wrap_add64(acc, bias ? bias[oc] : 0);
                       out[out_at] = (int16_t)ep_clamp32(
                           ep_requantize64(acc, multiplier[oc], shift[oc]), p->act_min, p->act_max))
}

EP_INLINE void ep_depthwise_conv2d_f32(const ep_depthwise_conv2d_f32_params *p, const float *in,
                                       const float *weights, const float *bias, float *out) {
    EP_DEPTHWISE_LOOPS(p, float acc = 0.0f, acc += in[in_at] * weights[w_at],
                       acc += bias ? bias[oc] : 0.0f;
                       acc = acc < p->act_min ? p->act_min : acc;
                       out[out_at] = acc > p->act_max ? p->act_max : acc)
}

#endif
