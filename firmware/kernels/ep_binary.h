/* Arithmetic of two broadcast operands. */
#ifndef EP_BINARY_H
#define EP_BINARY_H

#include <math.h>

#include "ep_add.h"
#include "ep_broadcast.h"
#include "ep_softmax.h"

typedef struct {
    ep_broadcast walk;
} ep_binary_params;

typedef struct {
    ep_broadcast walk;
    float act_min, act_max;
} ep_binary_f32_params;

typedef struct {
    ep_broadcast walk;
    int32_t act_min, act_max;
} ep_binary_s32_params;

typedef struct {
    ep_broadcast walk;
    int32_t offset1, offset2, output_offset; /* minus the operands' zero points; output's */
    int32_t multiplier, shift;
    int32_t act_min, act_max;
} ep_mul_params;

/* NaN passes. */
EP_INLINE float ep_clamp_value_f32(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

#define EP_BINARY(NAME, PARAMS, T, OUT_T, RESULT)                                                  \
    EP_INLINE void NAME(const PARAMS *p, const T *in1, const T *in2, OUT_T *out) {                 \
        EP_BROADCAST_LOOPS(&p->walk, const T a = in1[at1]; const T b = in2[at2];                   \
                           out[at] = (OUT_T)(RESULT));                                             \
    }

/* SUB; the int8 and int16 forms differ from ADD's in one sign */
EP_INLINE int32_t ep_sub_scaled(const ep_add_params *p, int32_t a, int32_t b) {
    const int32_t x =
        ep_requantize(ep_shift_left(a + p->offset1, p->left_shift), p->multiplier1, p->shift1);
    const int32_t y =
        ep_requantize(ep_shift_left(b + p->offset2, p->left_shift), p->multiplier2, p->shift2);
    const int32_t difference =
        ep_requantize(ep_wrap_sub(x, y), p->multiplier, p->shift) + p->output_offset;
    return ep_clamp32(difference, p->act_min, p->act_max);
}

EP_BINARY(ep_sub_s8, ep_add_params, int8_t, int8_t, ep_sub_scaled(p, a, b))
EP_BINARY(ep_sub_s16, ep_add_params, int16_t, int16_t, ep_sub_scaled(p, a, b))
EP_BINARY(ep_sub_s32, ep_binary_s32_params, int32_t, int32_t,
          ep_clamp32(ep_wrap_sub(a, b), p->act_min, p->act_max))
EP_BINARY(ep_sub_f32, ep_binary_f32_params, float, float,
          ep_clamp_value_f32(a - b, p->act_min, p->act_max))

/* MUL */
EP_INLINE int32_t ep_mul_scaled(const ep_mul_params *p, int32_t a, int32_t b) {
    const int32_t product = (a + p->offset1) * (b + p->offset2);
    const int32_t y = ep_requantize(product, p->multiplier, p->shift) + p->output_offset;
    return ep_clamp32(y, p->act_min, p->act_max);
}

EP_BINARY(ep_mul_s8, ep_mul_params, int8_t, int8_t, ep_mul_scaled(p, a, b))
EP_BINARY(ep_mul_s16, ep_mul_params, int16_t, int16_t, ep_mul_scaled(p, a, b))
EP_BINARY(ep_mul_s32, ep_binary_s32_params, int32_t, int32_t,
          ep_clamp32(ep_wrap_mul(a, b), p->act_min, p->act_max))
EP_BINARY(ep_mul_f32, ep_binary_f32_params, float, float,
          ep_clamp_value_f32(a *b, p->act_min, p->act_max))

/* DIV by zero saturates towards the dividend's sign; 0 / 0 is 0. */
EP_INLINE int32_t ep_div_value_s32(int32_t a, int32_t b) {
    if (b == 0) {
        return a > 0 ? INT32_MAX : a < 0 ? INT32_MIN : 0;
    }
    return b == -1 ? (int32_t)(0u - (uint32_t)a) : a / b;
}

/* The reciprocal by Newton's iteration, the quotient kept at full precision until the last shift. */
EP_INLINE int32_t ep_div_scaled(const ep_mul_params *p, int32_t q1, int32_t q2) {
    int32_t a = q1 + p->offset1, b = q2 + p->offset2;
    if (b == 0) {
        return a > 0   ? p->act_max
               : a < 0 ? p->act_min
                       : ep_clamp32(p->output_offset, p->act_min, p->act_max);
    }
    if (b < 0) {
        a = -a;
        b = -b;
    }
    const int32_t zeros = ep_leading_zeros((uint32_t)b);
    const int32_t inverse =
        ep_one_over_one_plus_x((int32_t)(((uint32_t)b << (uint32_t)zeros) - 0x80000000u));
    const int32_t headroom = ep_leading_zeros((uint32_t)(a < 0 ? ~a : a)) - 1;
    const int32_t quotient = ep_doubling_high_mul(ep_shift_left(a, headroom), inverse);
    const int32_t scaled = ep_doubling_high_mul(quotient, p->multiplier);
    const int32_t right = 31 - zeros + headroom - p->shift;
    int32_t y = 0; /* what is left after a shift by more than 31 */
    if (right < 0) {
        y = ep_saturating_shift_left(scaled, -right);
    } else if (right <= 31) {
        y = ep_rounding_divide_by_pot(scaled, right);
    }
    const int32_t limit = 1 << 24; /* far beyond every clamp, so that the sum cannot overflow */
    return ep_clamp32(ep_clamp32(y, -limit, limit) + p->output_offset, p->act_min, p->act_max);
}

EP_BINARY(ep_div_s8, ep_mul_params, int8_t, int8_t, ep_div_scaled(p, a, b))
EP_BINARY(ep_div_s32, ep_binary_s32_params, int32_t, int32_t,
          ep_clamp32(ep_div_value_s32(a, b), p->act_min, p->act_max))
EP_BINARY(ep_div_f32, ep_binary_f32_params, float, float,
          ep_clamp_value_f32(a / b, p->act_min, p->act_max))

/* MAXIMUM and MINIMUM; where the operands do not compare (NaN), the second one */
#define EP_EXTREMES(SUFFIX, T)                                                                     \
    EP_BINARY(ep_maximum_##SUFFIX, ep_binary_params, T, T, a > b ? a : b)                          \
    EP_BINARY(ep_minimum_##SUFFIX, ep_binary_params, T, T, a < b ? a : b)

EP_EXTREMES(s8, int8_t)
EP_EXTREMES(s16, int16_t)
EP_EXTREMES(s32, int32_t)
EP_EXTREMES(s64, int64_t)
EP_EXTREMES(f32, float)

/* SQUARED_DIFFERENCE */
EP_INLINE int32_t ep_squared_difference_scaled(const ep_add_params *p, int32_t a, int32_t b) {
    const int32_t x =
        ep_requantize(ep_shift_left(a + p->offset1, p->left_shift), p->multiplier1, p->shift1);
    const int32_t y =
        ep_requantize(ep_shift_left(b + p->offset2, p->left_shift), p->multiplier2, p->shift2);
    const int32_t difference = x - y;
    const int32_t square = ep_wrap_mul(difference, difference);
    const int32_t result = ep_requantize(square, p->multiplier, p->shift);
    return ep_clamp32(ep_wrap_add(result, p->output_offset), p->act_min, p->act_max);
}

EP_INLINE int32_t ep_square_of_difference_s32(int32_t a, int32_t b) {
    const int32_t difference = ep_wrap_sub(a, b);
    return ep_wrap_mul(difference, difference);
}

EP_BINARY(ep_squared_difference_s8, ep_add_params, int8_t, int8_t,
          ep_squared_difference_scaled(p, a, b))
EP_BINARY(ep_squared_difference_s16, ep_add_params, int16_t, int16_t,
          ep_squared_difference_scaled(p, a, b))
EP_BINARY(ep_squared_difference_s32, ep_binary_params, int32_t, int32_t,
          ep_square_of_difference_s32(a, b))
EP_BINARY(ep_squared_difference_f32, ep_binary_params, float, float, (a - b) * (a - b))

/* FLOOR_DIV and FLOOR_MOD. The float quotient is taken in double precision, as TensorFlow Lite does,
 * so that its floor is right where the float quotient would round up to an integer. */
EP_INLINE int32_t ep_floor_div_value_s32(int32_t a, int32_t b) {
    const int32_t quotient = ep_div_value_s32(a, b);
    return b != 0 && b != -1 && a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

EP_INLINE int32_t ep_floor_mod_value_s32(int32_t a, int32_t b) {
    const int32_t rest = b == 0 || b == -1 ? 0 : a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

EP_INLINE float ep_floor_mod_value_f32(float a, float b) {
    const float rest = fmodf(a, b);
    return rest != 0.0f && (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
}

EP_BINARY(ep_floor_div_f32, ep_binary_params, float, float, floor((double)a / (double)b))
EP_BINARY(ep_floor_div_s32, ep_binary_params, int32_t, int32_t, ep_floor_div_value_s32(a, b))
EP_BINARY(ep_floor_mod_f32, ep_binary_params, float, float, ep_floor_mod_value_f32(a, b))
EP_BINARY(ep_floor_mod_s32, ep_binary_params, int32_t, int32_t, ep_floor_mod_value_s32(a, b))

/* POW. Small C libraries have no powf; exp and log in double precision keep the float's accuracy. */
EP_INLINE float ep_pow_value_f32(float base, float exponent) {
    if (exponent == 0.0f || base == 1.0f) {
        return 1.0f;
    }
    const double size = (double)fabsf(base);
    const double magnitude = base == -1.0f ? 1.0 : exp((double)exponent * log(size));
    if (!(base < 0.0f)) {
        return (float)magnitude;
    }
    if (exponent != floorf(exponent)) {
        return isinf(base) ? (float)magnitude : NAN;
    }
    const float half = exponent * 0.5f;
    return half == floorf(half) ? (float)magnitude : (float)-magnitude;
}

EP_INLINE int32_t ep_pow_value_s32(int32_t base, int32_t exponent) {
    if (exponent < 0) {
        return base == 1 || (base == -1 && exponent % 2 == 0) ? 1 : base == -1 ? -1 : 0;
    }
    int32_t result = 1;
    for (; exponent != 0; exponent >>= 1, base = ep_wrap_mul(base, base)) {
        result = (exponent & 1) != 0 ? ep_wrap_mul(result, base) : result;
    }
    return result;
}

EP_BINARY(ep_pow_f32, ep_binary_params, float, float, ep_pow_value_f32(a, b))
EP_BINARY(ep_pow_s32, ep_binary_params, int32_t, int32_t, ep_pow_value_s32(a, b))

/* LOGICAL_AND and LOGICAL_OR */
EP_BINARY(ep_logical_and_b8, ep_binary_params, bool, bool, a &&b)
EP_BINARY(ep_logical_or_b8, ep_binary_params, bool, bool, a || b)

#endif
