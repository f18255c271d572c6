/* Exponential and logarithm in double arithmetic. The polynomials are Chebyshev fits made for this
 * library; their own errors are below 2e-17. */
#include <math.h>
#include <stdint.h>

#define LN2_HIGH 0.6931471804855391 /* 32 bits: its product with an exponent is exact */
#define LN2_LOW 7.440617110012397e-11

static double power_of_two(int32_t n) { /* n in -1022..1023 */
    const uint64_t bits = (uint64_t)(n + 1023) << 52;
    double x;

    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

double exp(double x) {
    double n;
    double r;
    double p;
    int32_t whole;

    if (!(x > -746.0)) {
        return x != x ? x : 0.0;
    }
    if (x > 709.782712893384) {
        return (double)INFINITY;
    }
    whole = (int32_t)(x * 1.4426950408889634 + (x < 0.0 ? -0.5 : 0.5));
    n = (double)whole;
    r = (x - n * LN2_HIGH) - n * LN2_LOW;
    p = 3.4393634311179943e-09;
    p = p * r + 2.51830321909486e-08;
    p = p * r + 2.7519216771553843e-07;
    p = p * r + 2.7557078895264063e-06;
    p = p * r + 2.4801624582094423e-05;
    p = p * r + 0.00019841270008126013;
    p = p * r + 0.001388888887438117;
    p = p * r + 0.008333333333288187;
    p = p * r + 0.04166666666668435;
    p = p * r + 0.1666666666666669;
    p = p * r + 0.5000000000000004;
    p = 1.0 + (r + r * r * p);
    if (whole > 1023) {
        return p * 2.0 * power_of_two(whole - 1);
    }
    return whole >= -1022 ? p * power_of_two(whole)
                          : p * power_of_two(whole + 128) * 2.938735877055719e-39; /* 2^-128 */
}

/* log(m) = 2 s + s z Q(z) with s = (m - 1) / (m + 1), z = s^2 */
double log(double x) {
    uint64_t bits;
    int32_t e = 0;
    double f;
    double s;
    double z;
    double p;

    if (!(x > 0.0)) {
        return x == 0.0 ? -(double)INFINITY : (double)NAN;
    }
    if (x == (double)INFINITY) {
        return x;
    }
    if (x < 2.2250738585072014e-308) {
        x *= 4503599627370496.0;
        e = -52;
    }
    __builtin_memcpy(&bits, &x, sizeof bits);
    bits -= 0x3FE6A09E667F3BCDu; /* sqrt(1/2) */
    e += (int32_t)((int64_t)bits >> 52);
    bits = (bits & 0x000FFFFFFFFFFFFFu) + 0x3FE6A09E667F3BCDu;
    __builtin_memcpy(&f, &bits, sizeof f);
    f -= 1.0;
    s = f / (2.0 + f);
    z = s * s;
    p = 0.15349658328930157;
    p = p * z + 0.13050578143406666;
    p = p * z + 0.1539447130436497;
    p = p * z + 0.18181642167074996;
    p = p * z + 0.22222223858208495;
    p = p * z + 0.28571428564120493;
    p = p * z + 0.40000000000012287;
    p = p * z + 0.6666666666666671;
    /* 2 s = f - s f: the large term f stays as it is */
    p = s * (z * p - f) + (double)e * LN2_LOW;
    return (p + f) + (double)e * LN2_HIGH;
}
