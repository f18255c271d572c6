/* floor and absolute value of a double. */
#include <math.h>
#include <stdint.h>

#define FRACTION 52
#define BIAS 1023

double fabs(double x) {
    return __builtin_fabs(x);
}

double floor(double x) {
    uint64_t bits;
    double low;
    int e;

    __builtin_memcpy(&bits, &x, sizeof bits);
    e = (int)((bits >> FRACTION) & 0x7FFu) - BIAS;
    if (e >= FRACTION) {
        return x; /* an integer, infinite or NaN */
    }
    bits &= e < 0 ? (uint64_t)1u << 63 : ~((((uint64_t)1u << FRACTION) - 1u) >> e);
    __builtin_memcpy(&low, &bits, sizeof low);
    return x < low ? low - 1.0 : low;
}
