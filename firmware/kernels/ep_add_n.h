/* ADD_N: the sum of any number of tensors of one shape. */
#ifndef EP_ADD_N_H
#define EP_ADD_N_H

#include "ep_fixed.h"

typedef struct {
    int32_t count;  /* elements of each tensor */
    int32_t inputs; /* tensors */
} ep_add_n_f32_params;

typedef struct {
    int32_t count, inputs;
    int32_t offset, output_offset; /* minus the inputs' common zero point; the output's */
    int32_t multiplier, shift;     /* from half the inputs' scale, shifted left by 20 bits */
} ep_add_n_params;

EP_INLINE void ep_add_n_f32(const ep_add_n_f32_params *p, const float *const *in, float *out) {
    for (int32_t i = 0; i < p->count; ++i) {
        float sum = 0.0f;
        for (int32_t n = 0; n < p->inputs; ++n) {
            sum += in[n][i];
        }
        out[i] = sum;
    }
}

/* TensorFlow Lite starts the sum at minus the zero point where 0 would be meant: kept, byte for
 * byte. Its factor of one half on numbers shifted left by 20 bits is exact: 19 bits. */
EP_INLINE void ep_add_n_s8(const ep_add_n_params *p, const int8_t *const *in, int8_t *out) {
    for (int32_t i = 0; i < p->count; ++i) {
        int32_t sum = p->offset;
        for (int32_t n = 0; n < p->inputs; ++n) {
            sum += in[n][i] + p->offset;
        }
        const int32_t y = ep_requantize(ep_shift_left(sum, 19), p->multiplier, p->shift);
        out[i] = (int8_t)ep_clamp32(y + p->output_offset, INT8_MIN, INT8_MAX);
    }
}

#endif
