/* FULLY_CONNECTED on int8 with NEON: a row of inputs times four rows of weights at once. */
#ifndef EP_FULLY_CONNECTED_S8_NEON_H
#define EP_FULLY_CONNECTED_S8_NEON_H

#include "ep_neon.h"

/* Whether rows fill vectors; else the portable loops run. */
EP_INLINE bool ep_fully_connected_neon_pays(const ep_fully_connected_params *p) {
    return p->in_n >= 16 && p->out_n >= 4;
}

/* sum((x + offset) * w) of four rows of weights, modulo 2^32. */
EP_INLINE int32x4_t ep_fully_connected_rows4(const ep_fully_connected_params *p, const int8_t *in,
                                             const int8_t *weights) {
    int32x4_t dot[4], sum[4];
    int32x4_t total;
    int32_t lanes[4];
    int32_t i = 0;

    for (int32_t row = 0; row < 4; ++row) {
        dot[row] = vdupq_n_s32(0);
        sum[row] = vdupq_n_s32(0);
    }
    for (; i + 16 <= p->in_n; i += 16) {
        const int8x16_t x = vld1q_s8(in + i);

        for (int32_t row = 0; row < 4; ++row) {
            const int8x16_t w = vld1q_s8(weights + row * p->in_n + i);

            dot[row] = ep_neon_dot16(dot[row], x, w);
            if (p->input_offset != 0) {
                sum[row] = ep_neon_dot16(sum[row], w, vdupq_n_s8(1));
            }
        }
    }
    total = vmlaq_s32(ep_neon_sum4(dot[0], dot[1], dot[2], dot[3]),
                      ep_neon_sum4(sum[0], sum[1], sum[2], sum[3]), vdupq_n_s32(p->input_offset));
    vst1q_s32(lanes, total);
    for (; i < p->in_n; ++i) {
        for (int32_t row = 0; row < 4; ++row) {
            lanes[row] =
                ep_wrap_mac(lanes[row], in[i] + p->input_offset, weights[row * p->in_n + i]);
        }
    }
    return vld1q_s32(lanes);
}

EP_INLINE void ep_fully_connected_s8_neon(const ep_fully_connected_params *p, const int8_t *in,
                                          const int8_t *weights, const int32_t *bias,
                                          const int32_t *multiplier, const int8_t *shift,
                                          int8_t *out) {
    for (int32_t b = 0; b < p->batches; ++b) {
        for (int32_t first = 0; first < p->out_n; first += 4) {
            /* the last four overlap those before: what is computed twice is the same */
            const int32_t f = first + 4 <= p->out_n ? first : p->out_n - 4;
            const int32x4_t rows =
                ep_fully_connected_rows4(p, in + b * p->in_n, weights + f * p->in_n);
            const int32x4_t begin = bias ? vld1q_s32(bias + f) : vdupq_n_s32(0);
            const int32x4_t scale =
                p->scale_step == 1 ? vld1q_s32(multiplier + f) : vdupq_n_s32(multiplier[0]);
            const int32x4_t shifts =
                p->scale_step == 1 ? ep_neon_shifts(shift + f) : vdupq_n_s32(shift[0]);

            ep_neon_store4(out + b * p->out_n + f,
                           ep_neon_requantize(vaddq_s32(rows, begin), scale, shifts,
                                              p->output_offset, p->act_min, p->act_max));
        }
    }
}

#endif
