/* Dot products of int8 on ARM cores with SDOT, for cores that have it (__ARM_FEATURE_DOTPROD). */
#ifndef EP_DOT_NEON_H
#define EP_DOT_NEON_H

#include <arm_neon.h>

#include "ep_fixed.h"

/* The sums of x * w and of w. With them sum((x + offset) * w) = dot + offset * sum holds modulo
 * 2^32, which is how the portable kernels add. */
typedef struct {
    int32x4_t dot, sum;
    int32_t dot_rest, sum_rest;
} ep_dot_neon;

EP_INLINE void ep_dot_neon_start(ep_dot_neon *d) {
    d->dot = vdupq_n_s32(0);
    d->sum = vdupq_n_s32(0);
    d->dot_rest = 0;
    d->sum_rest = 0;
}

EP_INLINE void ep_dot_neon_run(ep_dot_neon *d, const int8_t *x, const int8_t *w, int32_t n) {
    const int8x16_t one = vdupq_n_s8(1);
    int32_t i = 0;

    for (; i + 16 <= n; i += 16) {
        const int8x16_t weights = vld1q_s8(w + i);

        d->dot = vdotq_s32(d->dot, vld1q_s8(x + i), weights);
        d->sum = vdotq_s32(d->sum, weights, one);
    }
    for (; i < n; ++i) {
        d->dot_rest = ep_wrap_add(d->dot_rest, x[i] * w[i]);
        d->sum_rest = ep_wrap_add(d->sum_rest, w[i]);
    }
}

EP_INLINE int32_t ep_dot_neon_end(const ep_dot_neon *d, int32_t offset) {
    const int32_t dot = ep_wrap_add(vaddvq_s32(d->dot), d->dot_rest);
    const int32_t sum = ep_wrap_add(vaddvq_s32(d->sum), d->sum_rest);

    return ep_wrap_add(dot, ep_wrap_mul(offset, sum));
}

#endif
