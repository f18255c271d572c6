/* CAST between element types. Floats that an integer type cannot hold saturate, NaN gives 0. */
#ifndef EP_CAST_H
#define EP_CAST_H

#include "ep_runtime.h"

typedef struct {
    int32_t count; /* elements */
} ep_cast_params;

#define EP_CAST(FROM, FROM_T, TO, TO_T, RESULT)                                                    \
    EP_INLINE void ep_cast_##FROM##_##TO(const ep_cast_params *p, const FROM_T *in, TO_T *out) {   \
        for (int32_t i = 0; i < p->count; ++i) {                                                   \
            const FROM_T x = in[i];                                                                \
            out[i] = RESULT;                                                                       \
        }                                                                                          \
    }

#define EP_CAST_FROM_INTEGER(FROM, FROM_T)                                                         \
    EP_CAST(FROM, FROM_T, b8, bool, x != 0)                                                        \
    EP_CAST(FROM, FROM_T, s8, int8_t, (int8_t)x)                                                   \
    EP_CAST(FROM, FROM_T, u8, uint8_t, (uint8_t)x)                                                 \
    EP_CAST(FROM, FROM_T, s16, int16_t, (int16_t)x)                                                \
    EP_CAST(FROM, FROM_T, s32, int32_t, (int32_t)x)                                                \
    EP_CAST(FROM, FROM_T, u32, uint32_t, (uint32_t)x)                                              \
    EP_CAST(FROM, FROM_T, s64, int64_t, (int64_t)x)                                                \
    EP_CAST(FROM, FROM_T, f32, float, (float)x)

EP_CAST_FROM_INTEGER(b8, bool)
EP_CAST_FROM_INTEGER(s8, int8_t)
EP_CAST_FROM_INTEGER(u8, uint8_t)
EP_CAST_FROM_INTEGER(s16, int16_t)
EP_CAST_FROM_INTEGER(s32, int32_t)
EP_CAST_FROM_INTEGER(u32, uint32_t)
EP_CAST_FROM_INTEGER(s64, int64_t)

/* FLOAT_LOW is the type's least integer, ABOVE the least float that is too large for it. */
#define EP_CAST_FROM_FLOAT(TO, TO_T, LOW, HIGH, FLOAT_LOW, ABOVE)                                  \
    EP_CAST(f32, float, TO, TO_T,                                                                  \
            x != x             ? (TO_T)0                                                           \
            : x <= (FLOAT_LOW) ? (LOW)                                                             \
            : x >= (ABOVE)     ? (HIGH)                                                            \
                               : (TO_T)x)

EP_CAST_FROM_FLOAT(s8, int8_t, INT8_MIN, INT8_MAX, -128.0f, 128.0f)
EP_CAST_FROM_FLOAT(u8, uint8_t, 0, UINT8_MAX, 0.0f, 256.0f)
EP_CAST_FROM_FLOAT(s16, int16_t, INT16_MIN, INT16_MAX, -32768.0f, 32768.0f)
EP_CAST_FROM_FLOAT(s32, int32_t, INT32_MIN, INT32_MAX, -2147483648.0f, 2147483648.0f)
EP_CAST_FROM_FLOAT(u32, uint32_t, 0, UINT32_MAX, 0.0f, 4294967296.0f)
EP_CAST_FROM_FLOAT(s64, int64_t, INT64_MIN, INT64_MAX, -9223372036854775808.0f,
                   9223372036854775808.0f)
EP_CAST(f32, float, b8, bool, x != 0.0f)
EP_CAST(f32, float, f32, float, x)

#endif
