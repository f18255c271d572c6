/* ADD int8 of two tensors of one shape for cores with Helium, four elements at a time. */
#ifndef EP_ADD_S8_MVE_H
#define EP_ADD_S8_MVE_H

#include "ep_mve.h"

/* How an operand comes to the common scale. */
typedef struct {
    int32_t zero_point;
    int32_t multiplier, shift; /* shift: 0, or negative (right) */
    bool half;                 /* the factor is exactly one half: nothing is rounded */
} ep_add_mve_operand;

typedef struct {
    int32_t count;
    ep_add_mve_operand a, b;
    int32_t multiplier, shift; /* of the sum */
    ep_mve_output to;
} ep_add_s8_mve_params;

/* (x - zero_point) * 2^20, rescaled. */
EP_INLINE ep_v4 ep_add_mve_rescale(const ep_add_mve_operand *p, ep_v4 x) {
    if (p->half) {
        return ep_v4_mul_add_n(x, ep_v4_set(1 << 19), -p->zero_point * (1 << 19));
    }
    x = ep_v4_mul_add_n(x, ep_v4_set(1 << 20), -p->zero_point * (1 << 20));
    x = ep_v4_high_mul_n(x, p->multiplier);
    x = ep_v4_add(x, ep_v4_sign(ep_v4_and(x, ep_v4_set(p->shift)))); /* as ep_mve_requantize */
    return ep_v4_shift_n(x, p->shift);
}

EP_INLINE ep_v4 ep_add_mve_four(const ep_add_s8_mve_params *p, ep_v4 a, ep_v4 b) {
    a = ep_v4_add(ep_add_mve_rescale(&p->a, a), ep_add_mve_rescale(&p->b, b));
    return ep_mve_requantize_n(&p->to, a, p->multiplier, p->shift);
}

EP_INLINE void ep_add_s8_mve(const ep_add_s8_mve_params *p, const int8_t *a, const int8_t *b,
                             int8_t *out) {
    const int32_t rest = p->count % 4;
    const int8_t *const end = a + (p->count - rest);
    for (; a != end; a += 4, b += 4, out += 4) {
        ep_v4_store_s8(out, ep_add_mve_four(p, ep_v4_load_s8(a), ep_v4_load_s8(b)));
    }
    if (rest > 0) {
        const ep_v4 x = ep_v4_load_s8_some(a, rest), y = ep_v4_load_s8_some(b, rest);
        ep_v4_store_s8_some(out, ep_add_mve_four(p, x, y), rest);
    }
}

#endif
