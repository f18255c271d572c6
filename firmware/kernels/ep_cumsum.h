/* CUMSUM along one dimension, forwards or backwards, with or without the element itself. */
#ifndef EP_CUMSUM_H
#define EP_CUMSUM_H

#include "ep_fixed.h"

typedef struct {
    int32_t outer, size, inner; /* elements before, along and after the dimension */
    bool exclusive, reverse;
} ep_cumsum_params;

typedef struct {
    ep_cumsum_params walk;
    int32_t input_offset, output_offset;
    int32_t multiplier,
        shift; /* from half the input's scale over 2^20 to the output's; shift <= 0 */
} ep_cumsum_s8_params;

/* ADD accumulates element `at`, STORE writes it. */
#define EP_CUMSUM_LOOPS(P, BEGIN, ADD, STORE)                                                      \
    for (int32_t o = 0; o < (P)->outer; ++o) {                                                     \
        for (int32_t i = 0; i < (P)->inner; ++i) {                                                 \
            BEGIN;                                                                                 \
            for (int32_t n = 0; n < (P)->size; ++n) {                                              \
                const int32_t row = (P)->reverse ? (P)->size - 1 - n : n;                          \
                const int32_t at = (o * (P)->size + row) * (P)->inner + i;                         \
                if ((P)->exclusive) {                                                              \
                    STORE;                                                                         \
                    ADD;                                                                           \
                } else {                                                                           \
                    ADD;                                                                           \
                    STORE;                                                                         \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

EP_INLINE void ep_cumsum_f32(const ep_cumsum_params *p, const float *in, float *out){
    EP_CUMSUM_LOOPS(p, float acc = 0.0f, acc += in[at], out[at] = acc)}

EP_INLINE void ep_cumsum_s32(const ep_cumsum_params *p, const int32_t *in, int32_t *out){
    EP_CUMSUM_LOOPS(p, int32_t acc = 0, acc = ep_wrap_add(acc, in[at]), out[at] = acc)}

/* An element in units of half the input's scale over 2^20. */
EP_INLINE int32_t ep_cumsum_scaled(int32_t x) {
    return ep_doubling_high_mul(ep_shift_left(x, 20), 1 << 30);
}

/* TensorFlow Lite Micro starts the sum at minus the zero point instead of 0; so does this. */
EP_INLINE void ep_cumsum_s8(const ep_cumsum_s8_params *p, const int8_t *in, int8_t *out) {
    EP_CUMSUM_LOOPS(&p->walk, int32_t acc = ep_cumsum_scaled(p->input_offset),
                    acc = ep_wrap_add(acc, ep_cumsum_scaled(in[at] + p->input_offset)),
                    out[at] = (int8_t)ep_requantize_to(acc, p->multiplier, p->shift,
                                                       p->output_offset, INT8_MIN, INT8_MAX))
}

#endif
