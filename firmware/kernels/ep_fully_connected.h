/* FULLY_CONNECTED, portable: rows of inputs times rows of weights [out][in]. */
#ifndef EP_FULLY_CONNECTED_H
#define EP_FULLY_CONNECTED_H

#include "ep_fixed.h"
#include "ep_int4.h"

typedef struct {
    int32_t batches, in_n, out_n;
    int32_t scale_step; /* 1: multiplier and shift per output; 0: one for all */
    int32_t input_offset, output_offset;
    int32_t act_min, act_max;
} ep_fully_connected_params;

typedef struct {
    int32_t batches, in_n, out_n;
    int32_t input_offset, weights_offset, output_offset;
    int32_t multiplier, shift;
    int32_t act_min, act_max;
} ep_fully_connected_dynamic_params;

typedef struct {
    int32_t batches, in_n, out_n;
    float act_min, act_max;
} ep_fully_connected_f32_params;

#define EP_FULLY_CONNECTED_LOOPS(P, BEGIN, MAC, END)                                               \
    for (int32_t b = 0; b < (P)->batches; ++b) {                                                   \
        for (int32_t oc = 0; oc < (P)->out_n; ++oc) {                                              \
            BEGIN;                                                                                 \
            for (int32_t c = 0; c < (P)->in_n; ++c) {                                              \
                const int32_t in_at = b * (P)->in_n + c;                                           \
                const int32_t w_at = oc * (P)->in_n + c;                                           \
                MAC;                                                                               \
            }                                                                                      \
            const int32_t out_at = b * (P)->out_n + oc;                                            \
            END;                                                                                   \
        }                                                                                          \
    }

#define EP_FULLY_CONNECTED_END32(OUT_T)                                                            \
    acc = ep_wrap_add(acc, bias ? bias[oc] : 0);                                                   \
    const int32_t at_scale = oc * p->scale_step;                                                   \
    out[out_at] = (OUT_T)ep_requantize_to(acc, multiplier[at_scale], shift[at_scale],              \
                                          p->output_offset, p->act_min, p->act_max)
#define EP_FULLY_CONNECTED_END64                                                                   \
    acc = ep_wrap_add64(acc, bias ? bias[oc] : 0);                                                 \
    const int32_t at_scale = oc * p->scale_step;                                                   \
    const int32_t scaled = ep_requantize64(acc, multiplier[at_scale], shift[at_scale]);            \
    out[out_at] = (int16_t)ep_clamp32(ep_wrap_add(scaled, p->output_offset), p->act_min, p->act_max)

#if defined(__ARM_NEON)
#include "ep_fully_connected_s8_neon.h"
#endif

/* bias may be NULL. */
EP_INLINE void ep_fully_connected_s8(const ep_fully_connected_params *p, const int8_t *in,
                                     const int8_t *weights, const int32_t *bias,
                                     const int32_t *multiplier, const int8_t *shift, int8_t *out) {
#if defined(__ARM_NEON)
    if (ep_fully_connected_neon_pays(p)) {
        ep_fully_connected_s8_neon(p, in, weights, bias, multiplier, shift, out);
        return;
    }
#endif
    EP_FULLY_CONNECTED_LOOPS(p, int32_t acc = 0,
                             acc = ep_wrap_mac(acc, in[in_at] + p->input_offset, weights[w_at]),
                             EP_FULLY_CONNECTED_END32(int8_t))
}

/* Packed int4 weights (ep_int4.h). */
EP_INLINE void ep_fully_connected_s8_w4(const ep_fully_connected_params *p, const int8_t *in,
                                        const uint8_t *weights, const int32_t *bias,
                                        const int32_t *multiplier, const int8_t *shift,
                                        int8_t *out){
    EP_FULLY_CONNECTED_LOOPS(p, int32_t acc = 0,
                             acc = ep_wrap_mac(acc, in[in_at] + p -> input_offset,
                                               ep_int4(weights, w_at)),
                             EP_FULLY_CONNECTED_END32(int8_t))}

/* int16 activations, 64-bit accumulator; bias may be NULL. */
EP_INLINE void ep_fully_connected_s16(const ep_fully_connected_params *p, const int16_t *in,
                                      const int8_t *weights, const int64_t *bias,
                                      const int32_t *multiplier, const int8_t *shift, int16_t *out){
    EP_FULLY_CONNECTED_LOOPS(p, int64_t acc = 0,
                             acc += (in[in_at] + p->input_offset) * weights[w_at],
                             EP_FULLY_CONNECTED_END64)}

/* int16 activations with a 32-bit bias: 32-bit accumulator. */
EP_INLINE
    void ep_fully_connected_s16_b32(const ep_fully_connected_params *p, const int16_t *in,
                                    const int8_t *weights, const int32_t *bias,
                                    const int32_t *multiplier, const int8_t *shift, int16_t *out){
        EP_FULLY_CONNECTED_LOOPS(p, int32_t acc = 0,
                                 acc = ep_wrap_mac(acc, in[in_at] + p->input_offset, weights[w_at]),
                                 EP_FULLY_CONNECTED_END32(int16_t))}

/* Weights that the graph computes, or that have a zero point: weights_offset is minus it. */
EP_INLINE
    void ep_fully_connected_s8_dynamic(const ep_fully_connected_dynamic_params *p, const int8_t *in,
                                       const int8_t *weights, const int32_t *bias, int8_t *out) {
    EP_FULLY_CONNECTED_LOOPS(
        p, int32_t acc = 0,
        acc = ep_wrap_mac(acc, in[in_at] + p->input_offset, weights[w_at] + p->weights_offset),
        acc = ep_wrap_add(acc, bias ? bias[oc] : 0);
        out[out_at] = (int8_t)ep_requantize_to(acc, p->multiplier, p->shift, p->output_offset,
                                               p->act_min, p->act_max))
}

EP_INLINE void ep_fully_connected_f32(const ep_fully_connected_f32_params *p, const float *in,
                                      const float *weights, const float *bias, float *out) {
    EP_FULLY_CONNECTED_LOOPS(p, float acc = 0.0f, acc += in[in_at] * weights[w_at],
                             acc += bias ? bias[oc] : 0.0f;
                             acc = acc < p->act_min ? p->act_min : acc;
                             out[out_at] = acc > p->act_max ? p->act_max : acc)
}

#endif
