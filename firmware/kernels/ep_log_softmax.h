/* LOG_SOFTMAX over the last dimension. */
#ifndef EP_LOG_SOFTMAX_H
#define EP_LOG_SOFTMAX_H

#include <math.h>

#include "ep_gemmlowp.h"

typedef struct {
    int32_t rows, depth;
    int32_t table_size;                        /* larger differences to the row's maximum give 0 */
    int32_t multiplier, shift;                 /* from a difference to Q5.26 */
    int32_t reverse_multiplier, reverse_shift; /* from Q5.26 to a difference */
    int32_t diff_min;                          /* the smallest difference that is told apart */
} ep_log_softmax_params;

typedef struct {
    int32_t rows, depth;
} ep_log_softmax_f32_params;

/* exp_table[d]: exp(-d * scale) in Q12.19. The output has scale 1/16 and zero point 127. */
EP_INLINE void ep_log_softmax_s8(const ep_log_softmax_params *p, const int8_t *in,
                                 const int32_t *exp_table, int8_t *out) {
    for (int32_t row = 0; row < p->rows; ++row, in += p->depth, out += p->depth) {
        int32_t top = in[0];
        for (int32_t c = 1; c < p->depth; ++c) {
            top = ep_max32(top, in[c]);
        }
        int32_t sum = 0;
        for (int32_t c = 0; c < p->depth; ++c) {
            const int32_t d = top - in[c];
            sum += d < p->table_size ? exp_table[d] : 0;
        }
        const int32_t log_sum = ep_log_of_1_or_more(sum);
        const int32_t lowest =
            ep_max32(p->diff_min - 1, ep_requantize(ep_wrap_add(log_sum, INT32_MIN),
                                                    p->reverse_multiplier, p->reverse_shift));
        for (int32_t c = 0; c < p->depth; ++c) {
            const int32_t diff = in[c] - top;
            int32_t y = INT8_MIN;
            if (diff > lowest) {
                const int32_t real = ep_requantize(diff, p->multiplier, p->shift);
                y = ep_rounding_divide_by_pot(ep_wrap_sub(real, log_sum), 22) + INT8_MAX;
            }
            out[c] = (int8_t)ep_clamp32(y, INT8_MIN, INT8_MAX);
        }
    }
}

EP_INLINE void ep_log_softmax_f32(const ep_log_softmax_f32_params *p, const float *in, float *out) {
    for (int32_t row = 0; row < p->rows; ++row, in += p->depth, out += p->depth) {
        float top = in[0];
        for (int32_t c = 1; c < p->depth; ++c) {
            top = in[c] > top ? in[c] : top;
        }
        float sum = 0.0f;
        for (int32_t c = 0; c < p->depth; ++c) {
            sum += expf(in[c] - top);
        }
        const float log_sum = logf(sum);
        for (int32_t c = 0; c < p->depth; ++c) {
            out[c] = in[c] - top - log_sum;
        }
    }
}

#endif
