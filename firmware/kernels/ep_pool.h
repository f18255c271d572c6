/* AVERAGE_POOL_2D, L2_POOL_2D and MAX_POOL_2D, portable: NHWC; padding is left out of the window. */
#ifndef EP_POOL_H
#define EP_POOL_H

#include <math.h>

#include "ep_fixed.h"

typedef struct {
    int32_t batches, in_h, in_w, channels;
    int32_t out_h, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w, pad_top, pad_left;
    int32_t act_min, act_max;
} ep_pool_params;

typedef struct {
    int32_t batches, in_h, in_w, channels;
    int32_t out_h, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w, pad_top, pad_left;
    float act_min, act_max;
} ep_pool_f32_params;

#define EP_POOL_LOOPS(P, BEGIN, EACH, END)                                                         \
    for (int32_t b = 0; b < (P)->batches; ++b) {                                                   \
        for (int32_t oy = 0; oy < (P)->out_h; ++oy) {                                              \
            const int32_t y0 = oy * (P)->stride_h - (P)->pad_top;                                  \
            const int32_t y_begin = ep_max32(y0, 0);                                               \
            const int32_t y_end = ep_min32(y0 + (P)->filter_h, (P)->in_h);                         \
            for (int32_t ox = 0; ox < (P)->out_w; ++ox) {                                          \
                const int32_t x0 = ox * (P)->stride_w - (P)->pad_left;                             \
                const int32_t x_begin = ep_max32(x0, 0);                                           \
                const int32_t x_end = ep_min32(x0 + (P)->filter_w, (P)->in_w);                     \
                const int32_t count = (y_end - y_begin) * (x_end - x_begin);                       \
                (void)count;                                                                       \
                for (int32_t c = 0; c < (P)->channels; ++c) {                                      \
                    BEGIN;                                                                         \
                    for (int32_t y = y_begin; y < y_end; ++y) {                                    \
                        for (int32_t x = x_begin; x < x_end; ++x) {                                \
                            const int32_t at =                                                     \
                                ((b * (P)->in_h + y) * (P)->in_w + x) * (P)->channels + c;         \
                            EACH;                                                                  \
                        }                                                                          \
                    }                                                                              \
                    const int32_t out_at =                                                         \
                        ((b * (P)->out_h + oy) * (P)->out_w + ox) * (P)->channels + c;             \
                    END;                                                                           \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

/* acc / count, rounded to nearest, halves away from zero. */
EP_INLINE int32_t ep_pool_mean(int32_t acc, int32_t count) {
    return acc > 0 ? (acc + count / 2) / count : (acc - count / 2) / count;
}

EP_INLINE void ep_average_pool_s8(const ep_pool_params *p, const int8_t *in, int8_t *out) {
    EP_POOL_LOOPS(p, int32_t acc = 0, acc += in[at], acc = ep_pool_mean(acc, count);
                  out[out_at] = (int8_t)ep_clamp32(acc, p->act_min, p->act_max))
}

EP_INLINE void ep_average_pool_s16(const ep_pool_params *p, const int16_t *in, int16_t *out) {
    EP_POOL_LOOPS(p, int32_t acc = 0, acc += in[at], acc = ep_pool_mean(acc, count);
                  out[out_at] = (int16_t)ep_clamp32(acc, p->act_min, p->act_max))
}

EP_INLINE void ep_average_pool_f32(const ep_pool_f32_params *p, const float *in, float *out) {
    EP_POOL_LOOPS(p, float acc = 0.0f, acc += in[at], acc /= (float)count;
                  acc = acc < p->act_min ? p->act_min : acc;
                  out[out_at] = acc > p->act_max ? p->act_max : acc)
}

EP_INLINE void ep_l2_pool_f32(const ep_pool_f32_params *p, const float *in, float *out) {
    EP_POOL_LOOPS(p, float acc = 0.0f, acc += in[at] * in[at], acc = sqrtf(acc / (float)count);
                  acc = acc < p->act_min ? p->act_min : acc;
                  out[out_at] = acc > p->act_max ? p->act_max : acc)
}

EP_INLINE void ep_max_pool_s8(const ep_pool_params *p, const int8_t *in, int8_t *out){
    EP_POOL_LOOPS(p, int32_t best = INT8_MIN, best = ep_max32(best, in[at]),
                  out[out_at] = (int8_t)ep_clamp32(best, p -> act_min, p->act_max))}

EP_INLINE void ep_max_pool_s16(const ep_pool_params *p, const int16_t *in, int16_t *out){
    EP_POOL_LOOPS(p, int32_t best = INT16_MIN, best = ep_max32(best, in[at]),
                  out[out_at] = (int16_t)ep_clamp32(best, p->act_min, p->act_max))}

EP_INLINE void ep_max_pool_f32(const ep_pool_f32_params *p, const float *in, float *out) {
    EP_POOL_LOOPS(p, float best = -3.402823466e+38f, best = in[at] > best ? in[at] : best,
                  best = best < p->act_min ? p->act_min : best;
                  out[out_at] = best > p->act_max ? p->act_max : best)
}

#endif
