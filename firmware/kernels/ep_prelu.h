/* PRELU: a slope for negative numbers that is a tensor, broadcast against the input. */
#ifndef EP_PRELU_H
#define EP_PRELU_H

#include "ep_broadcast.h"

typedef struct {
    ep_broadcast walk;
} ep_prelu_f32_params;

typedef struct {
    ep_broadcast walk;
    int32_t input_offset, alpha_offset, output_offset;
    int32_t multiplier, shift;             /* for inputs from 0 on */
    int32_t alpha_multiplier, alpha_shift; /* for input * alpha */
    int32_t act_min, act_max;
} ep_prelu_params;

EP_INLINE int32_t ep_prelu_value(const ep_prelu_params *p, int32_t q, int32_t alpha) {
    const int32_t x = q + p->input_offset;
    const int32_t y =
        x >= 0 ? ep_requantize(x, p->multiplier, p->shift)
               : ep_requantize(x * (alpha + p->alpha_offset), p->alpha_multiplier, p->alpha_shift);
    return ep_clamp32(y + p->output_offset, p->act_min, p->act_max);
}

EP_INLINE void ep_prelu_s8(const ep_prelu_params *p, const int8_t *in, const int8_t *alpha,
                           int8_t *out) {
    EP_BROADCAST_LOOPS(&p->walk, out[at] = (int8_t)ep_prelu_value(p, in[at1], alpha[at2]));
}

EP_INLINE void ep_prelu_s16(const ep_prelu_params *p, const int16_t *in, const int8_t *alpha,
                            int16_t *out) {
    EP_BROADCAST_LOOPS(&p->walk, out[at] = (int16_t)ep_prelu_value(p, in[at1], alpha[at2]));
}

EP_INLINE void ep_prelu_f32(const ep_prelu_f32_params *p, const float *in, const float *alpha,
                            float *out) {
    EP_BROADCAST_LOOPS(&p->walk, const float x = in[at1]; out[at] = x >= 0.0f ? x : x * alpha[at2]);
}

#endif
