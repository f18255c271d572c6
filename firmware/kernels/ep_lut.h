/* Any function of one byte: 256 results computed at build time, indexed by the input's bits. */
#ifndef EP_LUT_H
#define EP_LUT_H

#include "ep_runtime.h"

typedef struct {
    int32_t count; /* elements */
} ep_lut_params;

#define EP_LUT(NAME, IN_T, OUT_T)                                                                  \
    EP_INLINE void NAME(const ep_lut_params *p, const IN_T *in, const OUT_T *table, OUT_T *out) {  \
        for (int32_t i = 0; i < p->count; ++i) {                                                   \
            out[i] = table[(uint8_t)in[i]];                                                        \
        }                                                                                          \
    }

EP_LUT(ep_lut_s8_s8, int8_t, int8_t)
EP_LUT(ep_lut_s8_u8, int8_t, uint8_t)
EP_LUT(ep_lut_u8_s8, uint8_t, int8_t)

#endif
