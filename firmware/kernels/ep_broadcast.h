/* The loop nest of two broadcast operands. Extents and strides are compile-time constants where the
 * kernel is specialised, so unused dimensions vanish. */
#ifndef EP_BROADCAST_H
#define EP_BROADCAST_H

#include "ep_fixed.h"

#define EP_BROADCAST_DIMS 6

typedef struct {
    int32_t dims[EP_BROADCAST_DIMS];    /* outermost first, 1 where unused */
    int32_t stride1[EP_BROADCAST_DIMS]; /* in elements, 0 where the operand repeats */
    int32_t stride2[EP_BROADCAST_DIMS];
} ep_broadcast;

/* Runs BODY for every output element in order, with `at1`, `at2` and `at` its operands' and its own
 * index. */
#define EP_BROADCAST_LOOPS(B, BODY)                                                                \
    do {                                                                                           \
        const int32_t *const d = (B)->dims, *const s = (B)->stride1, *const t = (B)->stride2;      \
        int32_t at = 0;                                                                            \
        for (int32_t i0 = 0; i0 < d[0]; ++i0)                                                      \
            for (int32_t i1 = 0; i1 < d[1]; ++i1)                                                  \
                for (int32_t i2 = 0; i2 < d[2]; ++i2)                                              \
                    for (int32_t i3 = 0; i3 < d[3]; ++i3)                                          \
                        for (int32_t i4 = 0; i4 < d[4]; ++i4) {                                    \
                            const int32_t base1 =                                                  \
                                i0 * s[0] + i1 * s[1] + i2 * s[2] + i3 * s[3] + i4 * s[4];         \
                            const int32_t base2 =                                                  \
                                i0 * t[0] + i1 * t[1] + i2 * t[2] + i3 * t[3] + i4 * t[4];         \
                            for (int32_t i5 = 0; i5 < d[5]; ++i5, ++at) {                          \
                                const int32_t at1 = base1 + i5 * s[5];                             \
                                const int32_t at2 = base2 + i5 * t[5];                             \
                                BODY;                                                              \
                            }                                                                      \
                        }                                                                          \
    } while (0)

#endif
