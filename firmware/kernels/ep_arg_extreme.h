/* ARG_MAX and ARG_MIN along one dimension; the first of equal elements wins. */
#ifndef EP_ARG_EXTREME_H
#define EP_ARG_EXTREME_H

#include "ep_runtime.h"

typedef struct {
    int32_t outer, size, inner; /* elements before, along and after the dimension */
} ep_arg_params;

#define EP_ARG_EXTREME(NAME, T, OUT_T, BETTER)                                                     \
    EP_INLINE void NAME(const ep_arg_params *p, const T *in, OUT_T *out) {                         \
        for (int32_t o = 0; o < p->outer; ++o, in += p->size * p->inner) {                         \
            for (int32_t i = 0; i < p->inner; ++i) {                                               \
                T best = in[i];                                                                    \
                int32_t index = 0;                                                                 \
                for (int32_t n = 1; n < p->size; ++n) {                                            \
                    if (in[n * p->inner + i] BETTER best) {                                        \
                        best = in[n * p->inner + i];                                               \
                        index = n;                                                                 \
                    }                                                                              \
                }                                                                                  \
                out[o * p->inner + i] = index;                                                     \
            }                                                                                      \
        }                                                                                          \
    }

#define EP_ARG_EXTREMES(SUFFIX, T)                                                                 \
    EP_ARG_EXTREME(ep_arg_max_##SUFFIX##_s32, T, int32_t, >)                                       \
    EP_ARG_EXTREME(ep_arg_max_##SUFFIX##_s64, T, int64_t, >)                                       \
    EP_ARG_EXTREME(ep_arg_min_##SUFFIX##_s32, T, int32_t, <)                                       \
    EP_ARG_EXTREME(ep_arg_min_##SUFFIX##_s64, T, int64_t, <)
EP_ARG_EXTREMES(s8, int8_t)
EP_ARG_EXTREMES(s16, int16_t)
EP_ARG_EXTREMES(s32, int32_t)
EP_ARG_EXTREMES(f32, float)

#endif
