/* Fixed-point functions that TensorFlow Lite takes from gemmlowp or builds in its style, bit for
 * bit. Qm.n: m integer bits and n fractional bits besides the sign. */
#ifndef EP_GEMMLOWP_H
#define EP_GEMMLOWP_H

#include "ep_fixed.h"

/* ep_doubling_high_mul for operands of which one is not INT32_MIN. */
EP_INLINE int32_t ep_high_mul(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* 1 / (1 + x) for x in [0, 1), both Q0.31. gemmlowp saturates where Newton's iteration, which starts
 * within 1/17 of the result, cannot get (compared for all 2^31 values of x); only 1 itself leaves Q0.31. */
EP_INLINE int32_t ep_one_over_one_plus_x(int32_t x) {
    const int32_t half_denominator = (int32_t)(((uint32_t)x + 0x80000000u) / 2u);
    /* Q2.29 constants of the first Newton estimate: 48/17 and -32/17 */
    int32_t y = 1515870810 + ep_high_mul(half_denominator, -1010580540);
    for (int i = 0; i < 3; ++i) {
        const int32_t error = (1 << 29) - ep_high_mul(half_denominator, y);
        y += ep_high_mul(y, error) * 4; /* Q4.27 to Q2.29 */
    }
    return y > (INT32_MAX >> 1) ? INT32_MAX : y * 2;
}

EP_INLINE int32_t ep_leading_zeros(uint32_t x) {
#if defined(__GNUC__) || defined(__clang__)
    return x == 0u ? 32 : (int32_t)__builtin_clz(x);
#else
    int32_t n = 32;
    for (; x != 0u; x >>= 1) {
        --n;
    }
    return n;
#endif
}

/* A function of an int16 from 512 intervals of its range: table[0..512], linear in between. */
EP_INLINE int32_t ep_interpolate(const int16_t *table, int32_t x) {
    const int32_t index = 256 + (x >> 7);
    const int32_t slope = table[index + 1] - table[index];
    return table[index] + ((slope * (x & 0x7F) + 64) >> 7);
}

/* log(x) in Q5.26 for x >= 1 in Q12.19: the exponent times log(2), plus a rational approximation of
 * the logarithm of the mantissa brought to [sqrt(1/2), 1) by one of two ways of scaling. */
EP_INLINE int32_t ep_log_of_1_or_more(int32_t x) {
    const int32_t log_2 = 1488522236, sqrt_half = 1518500250, sqrt_sqrt_half = 1805811301;
    const int32_t quarter = 8388608; /* in Q6.25, as the exponents */
    /* coefficients of the approximation, Q0.31 */
    const int32_t alpha_n = 117049297, alpha_d = 127690142;
    const int32_t alpha_i = 1057819769, alpha_f = 638450708;

    const int32_t zeros_a = ep_leading_zeros((uint32_t)x);
    const int32_t mantissa_a = ep_saturating_shift_left(
        ep_doubling_high_mul(ep_saturating_shift_left(x, zeros_a - 1), sqrt_half), 1);
    const int32_t exponent_a = (12 - zeros_a) * (1 << 25) + quarter;
    const int32_t zeros_b = ep_leading_zeros((uint32_t)ep_doubling_high_mul(x, sqrt_half)) - 1;
    const int32_t mantissa_b = ep_saturating_shift_left(x, zeros_b);
    const int32_t exponent_b = (12 - zeros_b) * (1 << 25) - quarter;

    const int32_t r = ep_min32(mantissa_a, mantissa_b);
    const int32_t exponent = ep_max32(exponent_a, exponent_b);
    const int32_t p = (int32_t)(((int64_t)r + sqrt_sqrt_half + 1) / 2); /* both are positive */
    const int32_t q = 2 * (r - sqrt_sqrt_half);
    const int32_t square = ep_doubling_high_mul(q, q);
    const int32_t numerator = ep_wrap_add(
        ep_doubling_high_mul(q, r), ep_doubling_high_mul(ep_doubling_high_mul(q, square), alpha_n));
    const int32_t sum = ep_wrap_add(ep_wrap_add(alpha_i, q), ep_doubling_high_mul(alpha_d, square));
    const int32_t denominator =
        ep_wrap_add(ep_doubling_high_mul(p, sum), ep_doubling_high_mul(alpha_f, q));
    const int32_t mantissa_log = ep_doubling_high_mul(ep_rounding_divide_by_pot(numerator, 6),
                                                      ep_one_over_one_plus_x(denominator));
    return ep_saturating_shift_left(
        ep_wrap_add(ep_doubling_high_mul(exponent, log_2), mantissa_log), 1);
}

typedef struct {
    int32_t multiplier, shift; /* shift <= 0 */
} ep_inverse_sqrt_result;

/* 1 / sqrt(x) for x >= 0 (0 counts as 1): Newton's iteration in Q3.28 on x brought to
 * [2^27, 2^29) by an even shift. */
EP_INLINE ep_inverse_sqrt_result ep_inverse_sqrt(int32_t x) {
    ep_inverse_sqrt_result result = {INT32_MAX, 0};
    if (x <= 1) {
        return result;
    }
    int32_t right = 11;
    for (; x >= (1 << 29); x /= 4) {
        ++right;
    }
    const int32_t pairs = (ep_leading_zeros((uint32_t)x) - 1) / 2 - 1;
    right -= pairs;
    const int32_t half = ep_rounding_divide_by_pot((x << (2 * pairs)) >> 1, 1);
    const int32_t one_and_a_half = (1 << 28) + (1 << 27);
    int32_t y = 1 << 28;
    for (int i = 0; i < 5; ++i) {
        const int32_t cube =
            ep_saturating_shift_left(ep_doubling_high_mul(ep_doubling_high_mul(y, y), y), 6);
        y = ep_saturating_shift_left(
            ep_wrap_sub(ep_doubling_high_mul(one_and_a_half, y), ep_doubling_high_mul(half, cube)),
            3);
    }
    y = ep_doubling_high_mul(y, 1518500250); /* sqrt(2) / 2 in Q0.31 */
    result.multiplier = right < 0 ? ep_shift_left(y, -right) : y;
    result.shift = right < 0 ? 0 : -right;
    return result;
}

#endif
