/* SELECT_V2 and SELECT: one of two operands, by a condition; all three broadcast. */
#ifndef EP_SELECT_H
#define EP_SELECT_H

#include "ep_runtime.h"

#define EP_SELECT_DIMS 6

typedef struct {
    int32_t dims[EP_SELECT_DIMS];      /* outermost first, 1 where unused */
    int32_t condition[EP_SELECT_DIMS]; /* strides in elements, 0 where the operand repeats */
    int32_t stride1[EP_SELECT_DIMS];
    int32_t stride2[EP_SELECT_DIMS];
} ep_select_params;

/* Unravels one step: the index in dimension N of the element number `rest`. */
#define EP_SELECT_STEP(N)                                                                          \
    index = rest % p->dims[N];                                                                     \
    rest /= p->dims[N];                                                                            \
    c += index * p->condition[N];                                                                  \
    x += index * p->stride1[N];                                                                    \
    y += index * p->stride2[N];

/* Rows of the innermost dimension; where they start is worked out once for each row. */
#define EP_SELECT(NAME, T)                                                                         \
    EP_INLINE void NAME(const ep_select_params *p, const bool *condition, const T *in1,            \
                        const T *in2, T *out) {                                                    \
        const int32_t rows = p->dims[0] * p->dims[1] * p->dims[2] * p->dims[3] * p->dims[4];       \
        for (int32_t row = 0; row < rows; ++row) {                                                 \
            int32_t rest = row, index, c = 0, x = 0, y = 0;                                        \
            EP_SELECT_STEP(4)                                                                      \
            EP_SELECT_STEP(3)                                                                      \
            EP_SELECT_STEP(2)                                                                      \
            EP_SELECT_STEP(1)                                                                      \
            EP_SELECT_STEP(0)                                                                      \
            (void)rest;                                                                            \
            for (int32_t i = 0; i < p->dims[5]; ++i) {                                             \
                *out++ = condition[c + i * p->condition[5]] ? in1[x + i * p->stride1[5]]           \
                                                            : in2[y + i * p->stride2[5]];          \
            }                                                                                      \
        }                                                                                          \
    }

EP_SELECT(ep_select_s8, int8_t)
EP_SELECT(ep_select_u8, uint8_t)
EP_SELECT(ep_select_b8, bool)
EP_SELECT(ep_select_s16, int16_t)
EP_SELECT(ep_select_s32, int32_t)
EP_SELECT(ep_select_s64, int64_t)
EP_SELECT(ep_select_f32, float)

#endif
