/* L2_NORMALIZATION: each row of the last dimension divided by its Euclidean length. */
#ifndef EP_L2_NORMALIZATION_H
#define EP_L2_NORMALIZATION_H

#include <math.h>

#include "ep_gemmlowp.h"

typedef struct {
    int32_t rows, depth;
    int32_t input_offset; /* minus the input's zero point */
} ep_l2_normalization_params;

typedef struct {
    int32_t rows, depth;
} ep_l2_normalization_f32_params;

/* The output has scale 1/128 and zero point 0. */
EP_INLINE void ep_l2_normalization_s8(const ep_l2_normalization_params *p, const int8_t *in,
                                      int8_t *out) {
    for (int32_t row = 0; row < p->rows; ++row, in += p->depth, out += p->depth) {
        int32_t squares = 0;
        for (int32_t c = 0; c < p->depth; ++c) {
            const int32_t x = in[c] + p->input_offset;
            squares += x * x;
        }
        const ep_inverse_sqrt_result factor = ep_inverse_sqrt(squares);
        for (int32_t c = 0; c < p->depth; ++c) {
            const int32_t y =
                ep_requantize(in[c] + p->input_offset, factor.multiplier, factor.shift + 7);
            out[c] = (int8_t)ep_clamp32(y, INT8_MIN, INT8_MAX);
        }
    }
}

EP_INLINE void ep_l2_normalization_f32(const ep_l2_normalization_f32_params *p, const float *in,
                                       float *out) {
    for (int32_t row = 0; row < p->rows; ++row, in += p->depth, out += p->depth) {
        float squares = 0.0f;
        for (int32_t c = 0; c < p->depth; ++c) {
            squares += in[c] * in[c];
        }
        float length = sqrtf(squares);
        length = length < 1e-6f ? 1e-6f : length;
        for (int32_t c = 0; c < p->depth; ++c) {
            out[c] = in[c] / length;
        }
    }
}

#endif
