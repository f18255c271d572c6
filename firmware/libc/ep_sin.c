/* Sine and cosine: the angle is brought to -pi/4..pi/4 and the quadrant in double arithmetic. */
#include <math.h>
#include <stdint.h>

#undef fabsf

#define HALF_PI_HIGH 1.5707963109016418 /* 26 bits: its product with a quadrant is exact */
#define HALF_PI_LOW 1.5893254773528196e-08
#define TWO_OVER_PI 0.6366197723675814
#define NEAR 65536.0f /* up to here HIGH and LOW are enough */

/* The first 256 bits of 2 / pi behind the point. */
static const uint32_t two_over_pi[8] = {0xA2F9836Eu, 0x4E441529u, 0xFC2757D1u, 0xF534DDC0u,
                                        0xDB629599u, 0x3C439041u, 0xFE5163ABu, 0xDEBBC561u};

/* Bits `at` to `at` + 31 behind the point of 2 / pi; in front of it are zeros. */
static uint32_t window(int at) {
    const int word = at >> 5;
    const uint32_t first = at < 0 ? 0u : two_over_pi[word];

    if (at < 0) {
        return at > -32 ? two_over_pi[0] >> -at : 0u;
    }
    return (at & 31) == 0 ? first : first << (at & 31) | two_over_pi[word + 1] >> (32 - (at & 31));
}

/* A large angle, as an integer m times 2^e: m times those bits of 2 / pi whose product counts for
 * the quadrant (modulo 4) and for 62 bits behind it. */
static double reduce_large(float x, uint32_t *quadrant) {
    uint32_t bits;
    int e;
    uint64_t product;
    uint64_t rest;
    uint64_t m;

    __builtin_memcpy(&bits, &x, sizeof bits);
    m = (bits & 0x007FFFFFu) | 0x00800000u;
    e = (int)(bits >> 23 & 0xFFu) - 150;
    /* bits at e - 2 and later: those in front give multiples of 4 */
    rest = (m * window(e + 62)) >> 32;
    product = m * window(e + 30) + rest;
    product += (m * window(e - 2)) << 32;
    /* now in units of 2^-62 quadrants, modulo 4 */
    *quadrant = (uint32_t)(product >> 62);
    product <<= 2;
    if ((product >> 63) != 0u) { /* the nearer quadrant */
        *quadrant += 1u;
    }
    return (double)(int64_t)product * (1.5707963267948966 / 18446744073709551616.0);
}

static double reduce(float x, uint32_t *quadrant) {
    const double wide = (double)x;
    int32_t n;

    if (fabsf(x) < NEAR) {
        n = (int32_t)(wide * TWO_OVER_PI + (x < 0.0f ? -0.5 : 0.5));
        *quadrant = (uint32_t)n;
        return (wide - (double)n * HALF_PI_HIGH) - (double)n * HALF_PI_LOW;
    }
    if (x > 0.0f) {
        return reduce_large(x, quadrant);
    }
    {
        const double rest = reduce_large(-x, quadrant);
        *quadrant = 0u - *quadrant;
        return -rest;
    }
}

/* Sine in even quadrants, cosine in odd ones. */
static float wave(double r, uint32_t quadrant) {
    const double z = r * r;
    double p;

    if ((quadrant & 1u) != 0u) {
        p = 2.0700257825999366e-09;
        p = p * z - 2.755636600675113e-07;
        p = p * z + 2.4801585198847224e-05;
        p = p * z - 0.0013888888887264909;
        p = p * z + 0.041666666666664666;
        p = 1.0 - 0.5 * z + z * z * p;
    } else {
        p = -2.4805173169701534e-08;
        p = p * z + 2.7555985958412782e-06;
        p = p * z - 0.000198412669006806;
        p = p * z + 0.00833333333106262;
        p = p * z - 0.16666666666663862;
        p = r + r * z * p;
    }
    return (float)((quadrant & 2u) != 0u ? -p : p);
}

float sinf(float x) {
    uint32_t quadrant;
    double r;

    if (!(fabsf(x) < INFINITY)) {
        return NAN;
    }
    if (fabsf(x) < 1e-4f) {
        return (float)((double)x - (double)x * (double)x * (double)x * (1.0 / 6.0));
    }
    r = reduce(x, &quadrant);
    return wave(r, quadrant);
}

float cosf(float x) {
    uint32_t quadrant;
    double r;

    if (!(fabsf(x) < INFINITY)) {
        return NAN;
    }
    r = reduce(x, &quadrant);
    return wave(r, quadrant + 1u);
}
