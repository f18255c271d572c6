/* SOFTMAX over the last dimension. The int8 kernel reads exp() of every possible difference to the
 * row's maximum from a table made at build time; the reciprocal is gemmlowp's Newton iteration. */
#ifndef EP_SOFTMAX_H
#define EP_SOFTMAX_H

#include <math.h>

#include "ep_gemmlowp.h"

typedef struct {
    int32_t rows, depth;
    int32_t table_size; /* differences 0 .. table_size - 1 have a table entry, larger ones give 0 */
} ep_softmax_params;

typedef struct {
    int32_t rows, depth;
    float beta;
} ep_softmax_f32_params;

/* exp_table[d]: exp(-d * scale * beta) in Q0.31, scaled as TensorFlow Lite does. */
#define EP_SOFTMAX_ROWS(P, OUT_T, OUT_BITS, OUT_MIN, OUT_MAX)                                      \
    for (int32_t row = 0; row < (P)->rows; ++row, in += (P)->depth, out += (P)->depth) {           \
        int32_t top = in[0];                                                                       \
        for (int32_t c = 1; c < (P)->depth; ++c) {                                                 \
            top = ep_max32(top, in[c]);                                                            \
        }                                                                                          \
        int32_t sum = 0; /* Q12.19 */                                                              \
        for (int32_t c = 0; c < (P)->depth; ++c) {                                                 \
            const int32_t d = top - in[c];                                                         \
            if (d < (P)->table_size) {                                                             \
                sum = ep_wrap_add(sum, (int32_t)(((uint32_t)exp_table[d] + 2048u) >> 12));         \
            }                                                                                      \
        }                                                                                          \
        const int32_t headroom = ep_leading_zeros((uint32_t)sum);                                  \
        const int32_t reciprocal = ep_one_over_one_plus_x(                                         \
            (int32_t)(((uint32_t)sum << (uint32_t)headroom) - 0x80000000u));                       \
        /* Beyond 31 (a sum of 512 or more; TFLM aborts) every result rounds to 0. */              \
        const int32_t exponent = 12 - headroom + 31 - (OUT_BITS);                                  \
        for (int32_t c = 0; c < (P)->depth; ++c) {                                                 \
            const int32_t d = top - in[c];                                                         \
            int32_t y = (OUT_MIN);                                                                 \
            if (d < (P)->table_size && exponent < 32) {                                            \
                const uint32_t part = (uint32_t)ep_high_mul(reciprocal, exp_table[d]);             \
                y += (int32_t)((part + (1u << (uint32_t)(exponent - 1))) >> (uint32_t)exponent);   \
            }                                                                                      \
            out[c] = (OUT_T)ep_clamp32(y, (OUT_MIN), (OUT_MAX));                                   \
        }                                                                                          \
    }

EP_INLINE void ep_softmax_s8(const ep_softmax_params *p, const int8_t *in, const int32_t *exp_table,
                             int8_t *out){EP_SOFTMAX_ROWS(p, int8_t, 8, INT8_MIN, INT8_MAX)}

EP_INLINE void ep_softmax_s8_s16(const ep_softmax_params *p, const int8_t *in,
                                 const int32_t *exp_table, int16_t *out) {
    EP_SOFTMAX_ROWS(p, int16_t, 16, INT16_MIN, INT16_MAX)
}

typedef struct {
    int32_t rows, depth;
    int32_t multiplier, shift; /* brings a difference of 10.0 to 65535 */
} ep_softmax_s16_params;

/* exp_table: exp(x) for x in -10..0; reciprocal_table: 1 / (1 + x) for x in 0..1; both with 513
 * entries, interpolated. The exponentials are kept in `out` between the passes. */
EP_INLINE void ep_softmax_s16(const ep_softmax_s16_params *p, const int16_t *in,
                              const int16_t *exp_table, const int16_t *reciprocal_table,
                              int16_t *out) {
    for (int32_t row = 0; row < p->rows; ++row, in += p->depth, out += p->depth) {
        int32_t top = in[0];
        for (int32_t c = 1; c < p->depth; ++c) {
            top = ep_max32(top, in[c]);
        }
        int32_t sum = 0; /* Q16.15 */
        for (int32_t c = 0; c < p->depth; ++c) {
            const int32_t d = ep_requantize(in[c] - top, p->multiplier, p->shift);
            const int32_t at = ep_clamp32(ep_wrap_add(d, 32767), INT16_MIN, INT16_MAX);
            out[c] = (int16_t)ep_interpolate(exp_table, at);
            sum = ep_wrap_add(sum, out[c]);
        }
        const int32_t zeros = ep_leading_zeros((uint32_t)sum);
        const int32_t shifted = (int32_t)((((int64_t)sum << (zeros - 1)) + (1 << 13)) >> 14);
        const int32_t at = ep_clamp32(shifted - (1 << 15) - (1 << 16), INT16_MIN, INT16_MAX);
        const int64_t reciprocal = ep_interpolate(reciprocal_table, at);
        const int32_t right = 31 - zeros;
        for (int32_t c = 0; c < p->depth; ++c) {
            const int64_t y = (out[c] * reciprocal + ((int64_t)1 << (right - 1))) >> right;
            out[c] = (int16_t)ep_clamp32((int32_t)y, 0, INT16_MAX);
        }
    }
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
