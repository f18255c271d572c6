/* Exponential and logarithm in float arithmetic. The polynomials are Chebyshev fits made for this
 * library; their own errors are below 2e-9. */
#include <math.h>
#include <stdint.h>

#define LN2_HIGH 0.693145751953125f /* 15 bits: its product with an exponent is exact */
#define LN2_LOW 1.428606765330187e-06f

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

/* 2^n for n in -126..127 */
static float power_of_two(int32_t n) {
    return of_bits((uint32_t)(n + 127) << 23);
}

float expf(float x) {
    float n;
    float r;
    float p;
    int32_t whole;

    if (!(x > -104.0f)) {
        return x != x ? x : 0.0f;
    }
    if (x > 88.72284f) {
        return INFINITY;
    }
    whole = (int32_t)(x * 1.44269504f + (x < 0.0f ? -0.5f : 0.5f));
    n = (float)whole;
    r = (x - n * LN2_HIGH) - n * LN2_LOW; /* |r| <= ln(2) / 2 */
    p = 0.001393368816934526f;
    p = p * r + 0.008363205008208752f;
    p = p * r + 0.041666463017463684f;
    p = p * r + 0.16666576266288757f;
    p = p * r + 0.5f;
    p = 1.0f + (r + r * r * p);
    if (whole > 127) {
        return p * 2.0f * power_of_two(whole - 1);
    }
    return whole >= -126 ? p * power_of_two(whole)
                         : p * power_of_two(whole + 64) * 5.421010862427522e-20f; /* 2^-64 */
}

float logf(float x) {
    uint32_t bits;
    int32_t e = 0;
    float f;
    float p;
    float z;

    if (!(x > 0.0f)) {
        return x == 0.0f ? -INFINITY : NAN;
    }
    if (x == INFINITY) {
        return x;
    }
    if (x < 1.17549435e-38f) {
        x *= 8388608.0f; /* subnormal */
        e = -23;
    }
    bits = bits_of(x) - 0x3F3504F3u; /* sqrt(1/2): the significand comes to [sqrt(1/2), sqrt(2)) */
    e += (int32_t)bits >> 23;
    f = of_bits((bits & 0x007FFFFFu) + 0x3F3504F3u) - 1.0f;
    z = f * f;
    p = 0.07149753719568253f;
    p = p * f - 0.115712009370327f;
    p = p * f + 0.11661510914564133f;
    p = p * f - 0.12411050498485565f;
    p = p * f + 0.14249937236309052f;
    p = p * f - 0.1666848063468933f;
    p = p * f + 0.20000708103179932f;
    p = p * f - 0.24999989569187164f;
    p = p * f + 0.3333333134651184f;
    p = f * z * p + (float)e * LN2_LOW;
    p = p - 0.5f * z;
    return (p + f) + (float)e * LN2_HIGH;
}
