/* QUANTIZE between any two types, DEQUANTIZE. */
#ifndef EP_QUANTIZE_H
#define EP_QUANTIZE_H

#include "ep_fixed.h"
#include "ep_math.h"

typedef struct {
    int32_t count;
    int32_t input_offset, output_offset; /* minus the input's zero point; the output's */
    int32_t multiplier, shift;
    int32_t act_min, act_max;
} ep_requantize_params;

typedef struct {
    int32_t count;
    float scale;
    int32_t zero_point, act_min, act_max; /* of the quantized side */
} ep_quantize_params;

#define EP_REQUANTIZE(NAME, IN_T, OUT_T)                                                           \
    EP_INLINE void NAME(const ep_requantize_params *p, const IN_T *in, OUT_T *out) {               \
        for (int32_t i = 0; i < p->count; ++i) {                                                   \
            const int32_t x = ep_wrap_add((int32_t)in[i], p->input_offset);                        \
            const int32_t y =                                                                      \
                ep_wrap_add(ep_requantize(x, p->multiplier, p->shift), p->output_offset);          \
            out[i] = (OUT_T)ep_clamp32(y, p->act_min, p->act_max);                                 \
        }                                                                                          \
    }

EP_REQUANTIZE(ep_requantize_s8_s16, int8_t, int16_t)
EP_REQUANTIZE(ep_requantize_s8_s32, int8_t, int32_t)
EP_REQUANTIZE(ep_requantize_s16_s8, int16_t, int8_t)
EP_REQUANTIZE(ep_requantize_s16_s16, int16_t, int16_t)
EP_REQUANTIZE(ep_requantize_s16_s32, int16_t, int32_t)
EP_REQUANTIZE(ep_requantize_s32_s8, int32_t, int8_t)
EP_REQUANTIZE(ep_requantize_s32_s16, int32_t, int16_t)

#define EP_QUANTIZE(NAME, OUT_T)                                                                   \
    EP_INLINE void NAME(const ep_quantize_params *p, const float *in, OUT_T *out) {                \
        for (int32_t i = 0; i < p->count; ++i) {                                                   \
            const int32_t q = ep_round_clamp_f32(in[i] / p->scale, p->act_min - p->zero_point,     \
                                                 p->act_max - p->zero_point);                      \
            out[i] = (OUT_T)(q + p->zero_point);                                                   \
        }                                                                                          \
    }

EP_QUANTIZE(ep_quantize_s8, int8_t)
EP_QUANTIZE(ep_quantize_u8, uint8_t)
EP_QUANTIZE(ep_quantize_s16, int16_t)

/* The difference has at most 17 bits and is exact as a float: one rounding, that of the product. */
#define EP_DEQUANTIZE(NAME, IN_T)                                                                  \
    EP_INLINE void NAME(const ep_quantize_params *p, const IN_T *in, float *out) {                 \
        for (int32_t i = 0; i < p->count; ++i) {                                                   \
            out[i] = p->scale * (float)((int32_t)in[i] - p->zero_point);                           \
        }                                                                                          \
    }

EP_DEQUANTIZE(ep_dequantize_s8, int8_t)
EP_DEQUANTIZE(ep_dequantize_u8, uint8_t)
EP_DEQUANTIZE(ep_dequantize_s16, int16_t)

#endif
