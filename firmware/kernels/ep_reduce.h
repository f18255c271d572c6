/* MEAN, SUM, REDUCE_MAX, REDUCE_MIN and REDUCE_ALL over any set of dimensions. Neighbouring
 * dimensions of one kind are merged at build time, so that six dimensions need at most three loops
 * over those kept and three over those reduced. */
#ifndef EP_REDUCE_H
#define EP_REDUCE_H

#include "ep_fixed.h"

#define EP_REDUCE_DIMS 3

typedef struct {
    int32_t kept[EP_REDUCE_DIMS], kept_stride[EP_REDUCE_DIMS]; /* outermost first, in elements */
    int32_t reduced[EP_REDUCE_DIMS], reduced_stride[EP_REDUCE_DIMS];
} ep_reduce;

typedef struct {
    ep_reduce walk;
    int32_t init;              /* minus the input's zero point, once per element summed */
    int32_t multiplier, shift; /* of MEAN: divided by the number of elements */
    int32_t output_offset;
} ep_reduce_sum_params;

typedef struct {
    ep_reduce walk;
    float count; /* divides the sum; 1 for SUM */
} ep_reduce_sum_f32_params;

typedef struct {
    ep_reduce walk;
} ep_reduce_params;

/* Per output element `to` in order: BEGIN, EACH for the input elements `at` in order, END. An input
 * element is never read after an output element of its index or above was written, so that the
 * kernels may run in place. */
#define EP_REDUCE_LOOPS(R, BEGIN, EACH, END)                                                       \
    const int32_t *const k = (R)->kept, *const s = (R)->kept_stride;                               \
    const int32_t *const d = (R)->reduced, *const t = (R)->reduced_stride;                         \
    int32_t to = 0;                                                                                \
    for (int32_t i0 = 0; i0 < k[0]; ++i0) {                                                        \
        for (int32_t i1 = 0; i1 < k[1]; ++i1) {                                                    \
            for (int32_t i2 = 0; i2 < k[2]; ++i2, ++to) {                                          \
                const int32_t base = i0 * s[0] + i1 * s[1] + i2 * s[2];                            \
                BEGIN;                                                                             \
                for (int32_t j0 = 0; j0 < d[0]; ++j0) {                                            \
                    for (int32_t j1 = 0; j1 < d[1]; ++j1) {                                        \
                        for (int32_t j2 = 0; j2 < d[2]; ++j2) {                                    \
                            const int32_t at = base + j0 * t[0] + j1 * t[1] + j2 * t[2];           \
                            EACH;                                                                  \
                        }                                                                          \
                    }                                                                              \
                }                                                                                  \
                END;                                                                               \
            }                                                                                      \
        }                                                                                          \
    }

#define EP_REDUCE_SUM(SUFFIX, T, LOW, HIGH)                                                        \
    EP_INLINE void ep_reduce_sum_##SUFFIX(const ep_reduce_sum_params *p, const T *in, T *out) {    \
        EP_REDUCE_LOOPS(&p->walk, int32_t acc = p->init, acc = ep_wrap_add(acc, in[at]),           \
                        out[to] = (T)ep_requantize_to(acc, p->multiplier, p->shift,                \
                                                      p->output_offset, LOW, HIGH))                \
    }
EP_REDUCE_SUM(s8, int8_t, INT8_MIN, INT8_MAX)
EP_REDUCE_SUM(s16, int16_t, INT16_MIN, INT16_MAX)

EP_INLINE void ep_reduce_sum_s32(const ep_reduce_params *p, const int32_t *in, int32_t *out){
    EP_REDUCE_LOOPS(&p -> walk, int32_t acc = 0, acc = ep_wrap_add(acc, in[at]), out[to] = acc)}

EP_INLINE void ep_reduce_sum_f32(const ep_reduce_sum_f32_params *p, const float *in, float *out){
    EP_REDUCE_LOOPS(&p->walk, float acc = 0.0f, acc += in[at], out[to] = acc / p->count)}

#define EP_REDUCE_EXTREME(NAME, T, START, BETTER)                                                  \
    EP_INLINE void NAME(const ep_reduce_params *p, const T *in, T *out) {                          \
        EP_REDUCE_LOOPS(                                                                           \
            &p->walk, T best = START, if (in[at] BETTER best) { best = in[at]; }, out[to] = best)  \
    }
EP_REDUCE_EXTREME(ep_reduce_max_s8, int8_t, INT8_MIN, >)
    EP_REDUCE_EXTREME(ep_reduce_max_s16, int16_t, INT16_MIN, >)
        EP_REDUCE_EXTREME(ep_reduce_max_s32, int32_t, INT32_MIN, >)
            EP_REDUCE_EXTREME(ep_reduce_max_f32, float, -3.402823466e+38f, >)
                EP_REDUCE_EXTREME(ep_reduce_min_s8, int8_t, INT8_MAX, <)
                    EP_REDUCE_EXTREME(ep_reduce_min_s16, int16_t, INT16_MAX, <)
                        EP_REDUCE_EXTREME(ep_reduce_min_s32, int32_t, INT32_MAX, <)
                            EP_REDUCE_EXTREME(ep_reduce_min_f32, float, 3.402823466e+38f, <)

                                EP_INLINE
    void ep_reduce_all_b8(const ep_reduce_params *p, const bool *in, bool *out) {
    EP_REDUCE_LOOPS(&p->walk, bool all = true, all = all && in[at], out[to] = all)
}

#endif
