/* SVDF: features of the newest step, remembered for `memory` steps, then weighted over time. */
#ifndef EP_SVDF_H
#define EP_SVDF_H

#include <string.h>

#include "ep_fixed.h"

typedef struct {
    int32_t batches, inputs, units, rank, memory; /* filters: units * rank */
    int32_t state_offset, output_offset;          /* zero points */
    int32_t feature_multiplier, feature_shift;    /* feature sums to the state's scale */
    int32_t time_multiplier, time_shift;          /* time sums to the output's scale */
} ep_svdf_params;

typedef struct {
    int32_t batches, inputs, units, rank, memory;
    float act_min, act_max;
} ep_svdf_f32_params;

/* The state is [batches][filters][memory], oldest first. Shifting it as one piece also moves the
 * oldest value of each filter into the newest place of the one before, which is then written. */
#define EP_SVDF_SHIFT(p, filters, state)                                                           \
    memmove((state), (state) + 1,                                                                  \
            ((size_t)((p)->batches * (filters) * (p)->memory) - 1u) * sizeof *(state))

/* feature [filters][inputs], time [filters][memory]; feature_bias [filters] and bias [units] hold
 * what the zero points of input and state contribute. */
#define EP_SVDF(NAME, T, LOW, HIGH)                                                                \
    EP_INLINE void NAME(const ep_svdf_params *p, const int8_t *in, const int8_t *feature,          \
                        const T *time, const int32_t *feature_bias, const int32_t *bias, T *state, \
                        int8_t *out) {                                                             \
        const int32_t filters = p->units * p->rank;                                                \
        EP_SVDF_SHIFT(p, filters, state);                                                          \
        for (int32_t b = 0; b < p->batches; ++b) {                                                 \
            const int8_t *const x = in + b * p->inputs;                                            \
            for (int32_t u = 0; u < p->units; ++u) {                                               \
                int32_t total = bias[u];                                                           \
                for (int32_t f = u * p->rank; f < (u + 1) * p->rank; ++f) {                        \
                    int32_t sum = feature_bias[f];                                                 \
                    for (int32_t i = 0; i < p->inputs; ++i) {                                      \
                        sum = ep_wrap_mac(sum, feature[f * p->inputs + i], x[i]);                  \
                    }                                                                              \
                    sum = ep_requantize(sum, p->feature_multiplier, p->feature_shift);             \
                    T *const past = state + (b * filters + f) * p->memory;                         \
                    past[p->memory - 1] =                                                          \
                        (T)(ep_clamp32(sum, LOW, HIGH) + p->state_offset); /* may wrap, as TFLM */ \
                    for (int32_t t = 0; t < p->memory; ++t) {                                      \
                        total = ep_wrap_mac(total, time[f * p->memory + t], past[t]);              \
                    }                                                                              \
                }                                                                                  \
                out[b * p->units + u] = (int8_t)ep_requantize_to(                                  \
                    total, p->time_multiplier, p->time_shift, p->output_offset, -128, 127);        \
            }                                                                                      \
        }                                                                                          \
    }

EP_SVDF(ep_svdf_s8, int8_t, -128, 127)
EP_SVDF(ep_svdf_s8_16, int16_t, -32768, 32767)

EP_INLINE void ep_svdf_f32(const ep_svdf_f32_params *p, const float *in, const float *feature,
                           const float *time, const float *bias, float *state, float *out) {
    const int32_t filters = p->units * p->rank;
    EP_SVDF_SHIFT(p, filters, state);
    for (int32_t b = 0; b < p->batches; ++b) {
        const float *const x = in + b * p->inputs;
        for (int32_t u = 0; u < p->units; ++u) {
            float total = bias ? bias[u] : 0.0f;
            for (int32_t f = u * p->rank; f < (u + 1) * p->rank; ++f) {
                float *const past = state + (b * filters + f) * p->memory;
                float sum = 0.0f, weighted = 0.0f;
                for (int32_t i = 0; i < p->inputs; ++i) {
                    sum += feature[f * p->inputs + i] * x[i];
                }
                past[p->memory - 1] = sum;
                for (int32_t t = 0; t < p->memory; ++t) {
                    weighted += time[f * p->memory + t] * past[t];
                }
                total += weighted;
            }
            total = total < p->act_min ? p->act_min : total;
            out[b * p->units + u] = total > p->act_max ? p->act_max : total;
        }
    }
}

#endif
