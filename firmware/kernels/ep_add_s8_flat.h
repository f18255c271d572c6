/* ADD int8 of two tensors of one shape where TFLite's rescaling is cheap: the operand with the larger
 * scale only shifts (its factor is exactly one half), the other one and the sum need a right shift.
 * Operand `a` is the one that shifts. */
#ifndef EP_ADD_S8_FLAT_H
#define EP_ADD_S8_FLAT_H

#include "ep_dsp.h"

typedef struct {
    int32_t count;
    int32_t start_a;              /* minus a's zero point, times 2^19 */
    int32_t start_b;              /* minus b's zero point, times 2^21 */
    int32_t multiplier_b, half_b; /* half a step of b's right shift; shift_b 0: no shift */
    int32_t shift_b;
    int32_t multiplier, round, shift; /* round: half a step plus the output's zero point */
    int32_t act_min, act_max;
} ep_add_s8_flat_params;

EP_INLINE int8_t ep_add_one(const ep_add_s8_flat_params *p, int32_t a, int32_t b) {
    const int32_t x = p->start_a + a * (1 << 19);
    const int32_t twice_b = p->start_b + b * (1 << 21);
    const int32_t y = p->shift_b == 0
                          ? ep_smmlar(twice_b, p->multiplier_b, 0)
                          : ep_requantize_dsp(twice_b, p->multiplier_b, p->half_b, p->shift_b);
    const int32_t z = ep_requantize_dsp((x + y) * 2, p->multiplier, p->round, p->shift);
    if (p->act_min == INT8_MIN && p->act_max == INT8_MAX) {
        return (int8_t)ep_ssat8(z);
    }
    return (int8_t)ep_clamp32(z, p->act_min, p->act_max);
}

EP_INLINE void ep_add_s8_flat(const ep_add_s8_flat_params *p, const int8_t *a, const int8_t *b,
                              int8_t *out) {
    EP_UNROLL(4)
    for (int32_t i = 0; i < p->count; ++i) {
        out[i] = ep_add_one(p, a[i], b[i]);
    }
}

#endif
