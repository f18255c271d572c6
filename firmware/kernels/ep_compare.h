/* Comparisons of two broadcast operands. */
#ifndef EP_COMPARE_H
#define EP_COMPARE_H

#include "ep_broadcast.h"

typedef struct {
    ep_broadcast walk;
} ep_compare_params;

typedef struct {
    ep_broadcast walk;
    int32_t offset1, offset2; /* minus the operands' zero points */
    int32_t multiplier1, shift1, multiplier2, shift2;
} ep_compare_scaled_params;

#define EP_COMPARE(NAME, T, OPERATOR)                                                              \
    EP_INLINE void NAME(const ep_compare_params *p, const T *in1, const T *in2, bool *out) {       \
        EP_BROADCAST_LOOPS(&p->walk, out[at] = in1[at1] OPERATOR in2[at2]);                        \
    }

/* Operands of different scales: both times 256 and their scale, rounded. */
#define EP_COMPARE_SCALED(NAME, OPERATOR)                                                          \
    EP_INLINE void NAME(const ep_compare_scaled_params *p, const int8_t *in1, const int8_t *in2,   \
                        bool *out) {                                                               \
        EP_BROADCAST_LOOPS(                                                                        \
            &p->walk, const int32_t a =                                                            \
                          ep_requantize((in1[at1] + p->offset1) * 256, p->multiplier1, p->shift1); \
            const int32_t b =                                                                      \
                ep_requantize((in2[at2] + p->offset2) * 256, p->multiplier2, p->shift2);           \
            out[at] = a OPERATOR b);                                                               \
    }

#define EP_COMPARISONS(NAME, OPERATOR)                                                             \
    EP_COMPARE(ep_##NAME##_s8, int8_t, OPERATOR)                                                   \
    EP_COMPARE_SCALED(ep_##NAME##_scaled_s8, OPERATOR)                                             \
    EP_COMPARE(ep_##NAME##_s32, int32_t, OPERATOR)                                                 \
    EP_COMPARE(ep_##NAME##_s64, int64_t, OPERATOR)                                                 \
    EP_COMPARE(ep_##NAME##_f32, float, OPERATOR)

EP_COMPARISONS(equal, ==)
EP_COMPARISONS(not_equal, !=)
EP_COMPARISONS(less, <)
EP_COMPARISONS(less_equal, <=)
EP_COMPARISONS(greater, >)
EP_COMPARISONS(greater_equal, >=)
EP_COMPARE(ep_equal_b8, bool, ==)
EP_COMPARE(ep_not_equal_b8, bool, !=)

#endif
