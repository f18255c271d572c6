/* Arithmetic of one operand, element by element. */
#ifndef EP_UNARY_H
#define EP_UNARY_H

#include <math.h>

#include "ep_fixed.h"
#include "ep_math.h"

typedef struct {
    int32_t count; /* elements */
} ep_unary_params;

#define EP_UNARY(NAME, T, RESULT)                                                                  \
    EP_INLINE void NAME(const ep_unary_params *p, const T *in, T *out) {                           \
        for (int32_t i = 0; i < p->count; ++i) {                                                   \
            const T x = in[i];                                                                     \
            out[i] = RESULT;                                                                       \
        }                                                                                          \
    }

EP_UNARY(ep_abs_f32, float, fabsf(x))
EP_UNARY(ep_neg_f32, float, -x)
EP_UNARY(ep_neg_s32, int32_t, (int32_t)(0u - (uint32_t)x))
EP_UNARY(ep_neg_s64, int64_t, (int64_t)(UINT64_C(0) - (uint64_t)x))
EP_UNARY(ep_square_f32, float, x *x)
EP_UNARY(ep_sqrt_f32, float, sqrtf(x))
EP_UNARY(ep_rsqrt_f32, float, 1.0f / sqrtf(x))
EP_UNARY(ep_exp_f32, float, expf(x))
EP_UNARY(ep_log_f32, float, logf(x))
EP_UNARY(ep_sin_f32, float, sinf(x))
EP_UNARY(ep_cos_f32, float, cosf(x))
EP_UNARY(ep_floor_f32, float, floorf(x))
EP_UNARY(ep_ceil_f32, float, ceilf(x))
EP_UNARY(ep_round_f32, float, ep_round_even_f32(x))
EP_UNARY(ep_logical_not_b8, bool, !x)

typedef struct {
    int32_t count;
    bool rescale; /* input and output have different scales */
    int32_t multiplier, shift;
} ep_abs_s16_params;

EP_INLINE void ep_abs_s16(const ep_abs_s16_params *p, const int16_t *in, int16_t *out) {
    for (int32_t i = 0; i < p->count; ++i) {
        const int32_t size = in[i] < 0 ? -(int32_t)in[i] : in[i];
        const int32_t y = p->rescale ? ep_requantize(size, p->multiplier, p->shift) : size;
        out[i] = (int16_t)ep_clamp32(y, INT16_MIN, INT16_MAX);
    }
}

#endif
