/* Activation functions that are not fused into another operator. int8 ones are tables (ep_lut.h). */
#ifndef EP_ACTIVATION_H
#define EP_ACTIVATION_H

#include "ep_fixed.h"
#include "ep_math.h"

typedef struct {
    int32_t count; /* elements */
} ep_activation_params;

typedef struct {
    int32_t count, act_min, act_max;
} ep_clamp_params;

typedef struct {
    int32_t count;
    float act_min, act_max;
} ep_clamp_f32_params;

typedef struct {
    int32_t count;
    float alpha; /* slope for negative inputs */
} ep_leaky_relu_f32_params;

typedef struct {
    int32_t count, input_offset, output_offset;
    int32_t multiplier, shift;             /* for inputs from 0 on */
    int32_t alpha_multiplier, alpha_shift; /* for negative inputs, of the slope's size */
    bool alpha_negative;
} ep_leaky_relu_params;

typedef struct {
    int32_t count;
    int32_t multiplier, shift; /* input * multiplier, rounded, >> shift: units of 1 / (3 * 4096) */
} ep_sigmoid_s16_params;

#define EP_CLAMP(NAME, PARAMS, T)                                                                  \
    EP_INLINE void NAME(const PARAMS *p, const T *in, T *out) {                                    \
        const T low = (T)p->act_min, high = (T)p->act_max;                                         \
        for (int32_t i = 0; i < p->count; ++i) {                                                   \
            const T x = in[i];                                                                     \
            out[i] = x > high ? high : x < low ? low : x;                                          \
        }                                                                                          \
    }

EP_CLAMP(ep_clamp_s8, ep_clamp_params, int8_t)
EP_CLAMP(ep_clamp_s16, ep_clamp_params, int16_t)
EP_CLAMP(ep_clamp_f32, ep_clamp_f32_params, float)

EP_INLINE void ep_relu_f32(const ep_activation_params *p, const float *in, float *out) {
    for (int32_t i = 0; i < p->count; ++i) {
        const float x = in[i];
        out[i] = x < 0.0f ? 0.0f : x;
    }
}

EP_INLINE void ep_leaky_relu_f32(const ep_leaky_relu_f32_params *p, const float *in, float *out) {
    for (int32_t i = 0; i < p->count; ++i) {
        const float x = in[i];
        out[i] = x > 0.0f ? x : x * p->alpha;
    }
}

EP_INLINE void ep_leaky_relu_s16(const ep_leaky_relu_params *p, const int16_t *in, int16_t *out) {
    for (int32_t i = 0; i < p->count; ++i) {
        const int32_t x = in[i] + p->input_offset;
        int32_t y;
        if (x >= 0) {
            y = ep_requantize(x, p->multiplier, p->shift);
        } else {
            y = ep_requantize(x, p->alpha_multiplier, p->alpha_shift);
            y = p->alpha_negative ? -y : y;
        }
        out[i] = (int16_t)ep_clamp32(y + p->output_offset, INT16_MIN, INT16_MAX);
    }
}

#define EP_ACTIVATION_F32(NAME, RESULT)                                                            \
    EP_INLINE void NAME(const ep_activation_params *p, const float *in, float *out) {              \
        for (int32_t i = 0; i < p->count; ++i) {                                                   \
            const float x = in[i];                                                                 \
            out[i] = RESULT;                                                                       \
        }                                                                                          \
    }

EP_INLINE float ep_hard_swish_value(float x) {
    float gate = x + 3.0f;
    gate = gate < 0.0f ? 0.0f : gate;
    gate = gate > 6.0f ? 6.0f : gate;
    return x * gate / 6.0f;
}

/* The tanh form of GELU: 0.7978846 is sqrt(2 / pi). */
EP_INLINE float ep_gelu_tanh_value(float x) {
    return 0.5f * x * (1.0f + ep_tanh_f32(0.7978845608028654f * (x + 0.044715f * x * x * x)));
}

EP_ACTIVATION_F32(ep_elu_f32, x < 0.0f ? ep_expm1_f32(x) : x)
EP_ACTIVATION_F32(ep_hard_swish_f32, ep_hard_swish_value(x))
EP_ACTIVATION_F32(ep_logistic_all_f32, ep_logistic_f32(x))
EP_ACTIVATION_F32(ep_tanh_all_f32, ep_tanh_f32(x))
EP_ACTIVATION_F32(ep_gelu_f32, 0.5f * x * ep_erfc_f32(-0.7071067811865476f * x))
EP_ACTIVATION_F32(ep_gelu_tanh_f32, ep_gelu_tanh_value(x))

/* The input in units of 1 / 12288, so that sigmoid(i / 24) lies every 512 and tanh(i / 48) every
 * 256 of them. */
EP_INLINE int32_t ep_sigmoid_input(const ep_sigmoid_s16_params *p, int32_t x) {
    const int32_t round = p->shift > 0 ? (int32_t)(1u << (uint32_t)(p->shift - 1)) : 0;
    return (x * p->multiplier + round) >> p->shift;
}

/* table[i]: sigmoid(i / 24) in Q0.16, 256 entries, linear in between. */
EP_INLINE void ep_logistic_s16(const ep_sigmoid_s16_params *p, const int16_t *in,
                               const uint16_t *table, int16_t *out) {
    for (int32_t i = 0; i < p->count; ++i) {
        const int32_t x = ep_sigmoid_input(p, in[i]);
        const uint32_t size = (uint32_t)(x < 0 ? -x : x);
        const uint32_t at = size >> 9;
        uint32_t y = 0x7FFFu << 10;
        if (at < 255u) {
            const uint32_t low = table[at], high = table[at + 1u];
            y = (low << 9) + (size & 0x1FFu) * (high - low);
        }
        y = x >= 0 ? y + (1u << 9) : (1u << 25) - y + (1u << 9) - 1u;
        out[i] = (int16_t)(uint16_t)(y >> 10);
    }
}

EP_INLINE void ep_tanh_s16(const ep_sigmoid_s16_params *p, const int16_t *in, const uint16_t *table,
                           int16_t *out) {
    for (int32_t i = 0; i < p->count; ++i) {
        const int32_t x = ep_sigmoid_input(p, in[i]);
        const uint32_t size = (uint32_t)(x < 0 ? -x : x);
        const uint32_t at = size >> 8;
        int32_t y = 0xFFFF << 8;
        if (at < 255u) {
            const uint32_t low = table[at], high = table[at + 1u];
            y = (int32_t)((low << 8) + (size & 0xFFu) * (high - low));
        }
        y = x >= 0 ? y - (1 << 23) + (1 << 7) : -y + (1 << 23) + (1 << 7) - 1;
        out[i] = (int16_t)(y >> 8);
    }
}

#endif
