/* ADD with broadcasting. */
#ifndef EP_ADD_H
#define EP_ADD_H

#include "ep_broadcast.h"

typedef struct {
    ep_broadcast walk;
    int32_t offset1, offset2, output_offset; /* minus the operands' zero points; output's */
    int32_t left_shift;                      /* 20 for int8, 15 for int16 */
    int32_t multiplier1, shift1, multiplier2, shift2, multiplier, shift; /* shifts <= 0 */
    int32_t act_min, act_max;
} ep_add_params;

typedef struct {
    ep_broadcast walk;
    float act_min, act_max;
} ep_add_f32_params;

typedef struct {
    ep_broadcast walk;
} ep_add_s32_params;

/* One sum: both operands brought to a common scale, added, requantized. */
EP_INLINE int32_t ep_add_scaled(const ep_add_params *p, int32_t a, int32_t b) {
    const int32_t x =
        ep_requantize(ep_shift_left(a + p->offset1, p->left_shift), p->multiplier1, p->shift1);
    const int32_t y =
        ep_requantize(ep_shift_left(b + p->offset2, p->left_shift), p->multiplier2, p->shift2);
    const int32_t sum =
        ep_requantize(ep_wrap_add(x, y), p->multiplier, p->shift) + p->output_offset;
    return ep_clamp32(sum, p->act_min, p->act_max);
}

EP_INLINE void ep_add_s8(const ep_add_params *p, const int8_t *a, const int8_t *b, int8_t *out) {
    EP_BROADCAST_LOOPS(&p->walk, out[at] = (int8_t)ep_add_scaled(p, a[at1], b[at2]));
}

EP_INLINE void ep_add_s16(const ep_add_params *p, const int16_t *a, const int16_t *b,
                          int16_t *out) {
    EP_BROADCAST_LOOPS(&p->walk, out[at] = (int16_t)ep_add_scaled(p, a[at1], b[at2]));
}

EP_INLINE void ep_add_s32(const ep_add_s32_params *p, const int32_t *a, const int32_t *b,
                          int32_t *out) {
    EP_BROADCAST_LOOPS(&p->walk, out[at] = ep_wrap_add(a[at1], b[at2]));
}

EP_INLINE void ep_add_f32(const ep_add_f32_params *p, const float *a, const float *b, float *out) {
    EP_BROADCAST_LOOPS(&p->walk, float sum = a[at1] + b[at2];
                       sum = sum < p->act_min ? p->act_min : sum;
                       out[at] = sum > p->act_max ? p->act_max : sum);
}

#endif
