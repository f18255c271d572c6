/* SOFTMAX over the last dimension. The int8 kernel reads exp() of every possible difference to the
 * row's maximum from a table made at build time; the reciprocal is gemmlowp's Newton iteration. */
#ifndef EP_SOFTMAX_H
#define EP_SOFTMAX_H

#include <math.h>

#include "ep_fixed.h"

typedef struct {
    int32_t rows, depth;
    int32_t table_size; /* differences 0 .. table_size - 1 have a table entry, larger ones give 0 */
} ep_softmax_params;

typedef struct {
    int32_t rows, depth;
    float beta;
} ep_softmax_f32_params;

/* 1 / (1 + x) for x in [0, 1), both Q0.31. */
EP_INLINE int32_t ep_one_over_one_plus_x(int32_t x) {
    const int64_t sum = (int64_t)x + INT32_MAX;
    const int32_t half_denominator = (int32_t)((sum + 1) / 2);
    /* Q2.29 constants of the first Newton estimate: 48/17 and -32/17 */
    int32_t y = ep_wrap_add(1515870810, ep_doubling_high_mul(half_denominator, -1010580540));
    for (int i = 0; i < 3; ++i) {
        const int32_t error = (1 << 29) - ep_doubling_high_mul(half_denominator, y);
        const int32_t step = ep_doubling_high_mul(y, error); /* Q4.27 */
        const int32_t limit = INT32_MAX >> 2;
        y = ep_wrap_add(y, step > limit ? INT32_MAX : step < -limit - 1 ? INT32_MIN : step * 4);
    }
    return y > (INT32_MAX >> 1) ? INT32_MAX : y < -(INT32_MAX >> 1) - 1 ? INT32_MIN : y * 2;
}

EP_INLINE int32_t ep_leading_zeros(uint32_t x) {
#if defined(__GNUC__) || defined(__clang__)
    return x == 0u ? 32 : (int32_t)__builtin_clz(x);
#else
    int32_t n = 32;
    for (; x != 0u; x >>= 1) {
        --n;
    }
    return n;
#endif
}

/* exp_table[d]: exp(-d * scale * beta) in Q0.31, scaled as TensorFlow Lite does. */
#define EP_SOFTMAX_ROWS(P, OUT_T, OUT_BITS, OUT_MIN, OUT_MAX)                                    \
    for (int32_t row = 0; row < (P)->rows; ++row, in += (P)->depth, out += (P)->depth) {         \
        int32_t top = in[0];                                                                     \
        for (int32_t c = 1; c < (P)->depth; ++c) {                                               \
            top = ep_max32(top, in[c]);                                                          \
        }                                                                                        \
        int32_t sum = 0; /* Q12.19 */                                                            \
        for (int32_t c = 0; c < (P)->depth; ++c) {                                               \
            const int32_t d = top - in[c];                                                       \
            if (d < (P)->table_size) {                                                           \
                sum = ep_wrap_add(sum, ep_rounding_divide_by_pot(exp_table[d], 12));             \
            }                                                                                    \
        }                                                                                        \
        const int32_t headroom = ep_leading_zeros((uint32_t)sum);                                \
        const int32_t reciprocal = ep_one_over_one_plus_x(                                       \
            (int32_t)(((uint32_t)sum << (uint32_t)headroom) - 0x80000000u));                     \
        const int32_t exponent = 12 - headroom + 31 - (OUT_BITS);                                \
        for (int32_t c = 0; c < (P)->depth; ++c) {                                               \
            const int32_t d = top - in[c];                                                       \
            int32_t y = (OUT_MIN);                                                               \
            if (d < (P)->table_size) {                                                           \
                y += ep_rounding_divide_by_pot(ep_doubling_high_mul(reciprocal, exp_table[d]),   \
                                               exponent);                                        \
            }                                                                                    \
            out[c] = (OUT_T)ep_clamp32(y, (OUT_MIN), (OUT_MAX));                                 \
        }                                                                                        \
    }

EP_INLINE void ep_softmax_s8(const ep_softmax_params *p, const int8_t *in,
                             const int32_t *exp_table, int8_t *out) {
    EP_SOFTMAX_ROWS(p, int8_t, 8, INT8_MIN, INT8_MAX)
}

EP_INLINE void ep_softmax_s8_s16(const ep_softmax_params *p, const int8_t *in,
                                 const int32_t *exp_table, int16_t *out) {
    EP_SOFTMAX_ROWS(p, int16_t, 16, INT16_MIN, INT16_MAX)
}

EP_INLINE void ep_softmax_f32(const ep_softmax_f32_params *p, const float *in, float *out) {
    for (int32_t row = 0; row < p->rows; ++row, in += p->depth, out += p->depth) {
        float top = in[0];
        for (int32_t c = 1; c < p->depth; ++c) {
            top = in[c] > top ? in[c] : top;
        }
        float sum = 0.0f;
        for (int32_t c = 0; c < p->depth; ++c) {
            out[c] = expf((in[c] - top) * p->beta);
            sum += out[c];
        }
        for (int32_t c = 0; c < p->depth; ++c) {
            out[c] /= sum;
        }
    }
}

#endif
