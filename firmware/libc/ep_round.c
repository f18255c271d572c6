/* Roundings, remainder and square root: exact, on the bits of an IEEE 754 number. */
#include <limits.h>
#include <math.h>
#include <stdint.h>

#undef fabsf
#undef sqrtf

#define SIGN 0x80000000u
#define FRACTION 23
#define BIAS 127

static uint32_t bits_of(float x) {
    uint32_t bits;

    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float of_bits(uint32_t bits) {
    float x;

    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

static int exponent_of(uint32_t bits) {
    return (int)((bits >> FRACTION) & 0xFFu) - BIAS;
}

float fabsf(float x) {
    return of_bits(bits_of(x) & ~SIGN);
}

float copysignf(float x, float y) {
    return of_bits((bits_of(x) & ~SIGN) | (bits_of(y) & SIGN));
}

float truncf(float x) {
    const uint32_t bits = bits_of(x);
    const int e = exponent_of(bits);

    if (e >= FRACTION) {
        return x; /* an integer, infinite or NaN */
    }
    return of_bits(e < 0 ? bits & SIGN : bits & ~(0x007FFFFFu >> e));
}

float floorf(float x) {
    const float low = truncf(x);

    return x < low ? low - 1.0f : low;
}

float ceilf(float x) {
    const float high = truncf(x);

    return x > high ? high + 1.0f : copysignf(high, x);
}

float rintf(float x) {
    const float shift = copysignf(8388608.0f, x); /* beyond 2^23 there are no fractions */

    if (exponent_of(bits_of(x)) >= FRACTION) {
        return x;
    }
    {
        volatile float sum = x + shift; /* rounds as the sum does, halves to even */
        return copysignf(sum - shift, x);
    }
}

float roundf(float x) {
    const float low = truncf(x);
    const float rest = x - low; /* exact */

    if (rest >= 0.5f) {
        return low + 1.0f;
    }
    return rest <= -0.5f ? low - 1.0f : low;
}

long lroundf(float x) {
    const float whole = roundf(x);

    if (whole >= -(float)LONG_MIN) {
        return LONG_MAX;
    }
    return whole <= (float)LONG_MIN ? LONG_MIN : (long)whole;
}

/* The fraction with its hidden bit, and the exponent that goes with it, of a finite number. */
static uint32_t significand(uint32_t magnitude, int *exponent) {
    uint32_t fraction = magnitude & 0x007FFFFFu;

    *exponent = (int)(magnitude >> FRACTION);
    if (*exponent > 0) {
        return fraction | 0x00800000u;
    }
    *exponent = 1; /* subnormal */
    while (fraction < 0x00800000u) {
        fraction <<= 1;
        (*exponent)--;
    }
    return fraction;
}

static float assemble(uint32_t fraction, int exponent, uint32_t sign) {
    while (fraction < 0x00800000u) {
        fraction <<= 1;
        exponent--;
    }
    if (exponent > 0) {
        return of_bits(sign | ((uint32_t)exponent << FRACTION) | (fraction & 0x007FFFFFu));
    }
    return of_bits(sign | (fraction >> (1 - exponent))); /* exact: x and y have no finer bits */
}

float fmodf(float x, float y) {
    const uint32_t sign = bits_of(x) & SIGN;
    const uint32_t a = bits_of(x) & ~SIGN;
    const uint32_t b = bits_of(y) & ~SIGN;
    uint32_t rest;
    uint32_t divisor;
    int e;
    int e_divisor;

    if (a >= 0x7F800000u || b > 0x7F800000u || b == 0u) {
        return NAN;
    }
    if (a < b) {
        return x;
    }
    rest = significand(a, &e);
    divisor = significand(b, &e_divisor);
    for (;; e--, rest <<= 1) { /* long division, bit by bit */
        if (rest >= divisor) {
            rest -= divisor;
        }
        if (rest == 0u) {
            return of_bits(sign);
        }
        if (e == e_divisor) {
            return assemble(rest, e, sign);
        }
    }
}

float sqrtf(float x) {
#if (defined(__ARM_FP) && (__ARM_FP & 4)) || defined(__riscv_flen)
    return __builtin_sqrtf(x);
#else
    const uint32_t bits = bits_of(x);
    uint32_t value;
    uint32_t root = 0u;
    uint32_t rest = 0u;
    int e;
    int i;

    if ((bits & ~SIGN) == 0u || bits == 0x7F800000u || (bits & ~SIGN) > 0x7F800000u) {
        return x; /* zeros, infinity, NaN */
    }
    if ((bits & SIGN) != 0u) {
        return NAN;
    }
    value = significand(bits, &e);
    e -= BIAS;
    if ((e & 1) != 0) {
        value <<= 1;
        e--;
    }
    value <<= 7; /* 1.0 stands at bit 30; e is even */
    /* Digit by digit, two bits of the number for one of the root: 24 bits and one to round by.
     * There is no tie: the square of a number that ends in that half has more bits than x. */
    for (i = 0; i < 25; i++) {
        rest = (rest << 2) | (value >> 30);
        value <<= 2;
        root <<= 1;
        if (rest >= 2u * root + 1u) {
            rest -= 2u * root + 1u;
            root++;
        }
    }
    root = (root + 1u) >> 1;
    return of_bits((uint32_t)((e / 2 + BIAS) << FRACTION) + (root - 0x00800000u));
#endif
}
