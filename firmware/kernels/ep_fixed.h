/* Fixed-point arithmetic with TensorFlow Lite Micro's rounding, bit for bit (it rounds twice). */
#ifndef EP_FIXED_H
#define EP_FIXED_H

#include "ep_runtime.h"

EP_INLINE int32_t ep_min32(int32_t a, int32_t b) {
    return a < b ? a : b;
}
EP_INLINE int32_t ep_max32(int32_t a, int32_t b) {
    return a > b ? a : b;
}
EP_INLINE int32_t ep_clamp32(int32_t x, int32_t low, int32_t high) {
    return ep_min32(ep_max32(x, low), high);
}

/* Two's complement arithmetic that wraps, without the undefined behaviour of signed overflow. */
EP_INLINE int32_t ep_wrap_add(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a + (uint32_t)b);
}
/* acc + a * b for factors whose product fits int32; the sum may wrap, as TFLM's does. */
EP_INLINE int32_t ep_wrap_mac(int32_t acc, int32_t a, int32_t b) {
    return ep_wrap_add(acc, a * b);
}
EP_INLINE int32_t ep_wrap_sub(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a - (uint32_t)b);
}
EP_INLINE int32_t ep_wrap_mul(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a * (uint32_t)b);
}
EP_INLINE int64_t ep_wrap_add64(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a + (uint64_t)b);
}
EP_INLINE int32_t ep_shift_left(int32_t x, int32_t bits) {
    return (int32_t)((uint32_t)x << (uint32_t)bits);
}

/* x * 2^bits, saturated; bits in 0..31. */
EP_INLINE int32_t ep_saturating_shift_left(int32_t x, int32_t bits) {
    const int64_t wide = (int64_t)x * ((int64_t)1 << bits);
    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* (a * b * 2 + 2^31) >> 32, saturated. The only product that overflows is INT32_MIN squared.
 * Adding 2^30 and shifting right arithmetically equals gemmlowp's nudge and truncating division. */
EP_INLINE int32_t ep_doubling_high_mul(int32_t a, int32_t b) {
    if (a == INT32_MIN && b == INT32_MIN) {
        return INT32_MAX;
    }
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* x / 2^exponent, halves away from zero; exponent in 0..31. */
EP_INLINE int32_t ep_rounding_divide_by_pot(int32_t x, int32_t exponent) {
    const int32_t mask = (int32_t)((1u << (uint32_t)exponent) - 1u);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

/* x * multiplier * 2^(shift - 31) for an int32 accumulator; shift in -31..30. */
EP_INLINE int32_t ep_requantize(int32_t x, int32_t multiplier, int32_t shift) {
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    return ep_rounding_divide_by_pot(ep_doubling_high_mul(ep_shift_left(x, left), multiplier),
                                     right);
}

/* The requantized accumulator moved to the output's zero point and clamped. */
EP_INLINE int32_t ep_requantize_to(int32_t acc, int32_t multiplier, int32_t shift, int32_t offset,
                                   int32_t low, int32_t high) {
    return ep_clamp32(ep_wrap_add(ep_requantize(acc, multiplier, shift), offset), low, high);
}

/* The same for an int64 accumulator (16x8 kernels): a 15-bit multiplier and one rounding; shift in
 * -31..7. */
EP_INLINE int32_t ep_requantize64(int64_t x, int32_t multiplier, int32_t shift) {
    const int32_t reduced = multiplier < 0x7FFF0000 ? (multiplier + (1 << 15)) >> 16 : 0x7FFF;
    const int32_t total = 15 - shift;
    const uint64_t product = (uint64_t)x * (uint64_t)reduced;
    return (int32_t)((int64_t)(product + ((uint64_t)1 << (total - 1))) >> total);
}

#endif
