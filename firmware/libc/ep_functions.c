/* Functions that kernels rarely need: rounded from double arithmetic. */
#include <math.h>
#include <stdint.h>

#undef fabsf

float expm1f(float x) {
    const double wide = (double)x;

    if (fabsf(x) < 1e-3f) { /* exp(x) - 1 would cancel; the next term is x^4 / 24 */
        return (float)(wide * (1.0 + wide * (0.5 + wide * (1.0 / 6.0))));
    }
    return (float)(exp(wide) - 1.0);
}

float log1pf(float x) {
    if (fabsf(x) < 1e-3f) {
        const double wide = (double)x;
        return (float)(wide * (1.0 - wide * (0.5 - wide * (1.0 / 3.0 - wide * 0.25))));
    }
    return (float)log(1.0 + (double)x); /* the sum rounds by 2^-53 of at least 2^-10 */
}

float tanhf(float x) {
    const double wide = (double)x;
    double e;

    if (fabsf(x) < 1e-3f) {
        return (float)(wide * (1.0 - wide * wide * (1.0 / 3.0)));
    }
    if (fabsf(x) > 10.0f) {
        return x > 0.0f ? 1.0f : -1.0f;
    }
    e = exp(2.0 * wide);
    return (float)((e - 1.0) / (e + 1.0));
}

/* C99 7.12.7.4 and F.9.4.4 for the special cases. */
float powf(float x, float y) {
    const float whole = truncf(y);
    const int integer = whole == y;
    const int odd = integer && 0.5f * whole != truncf(0.5f * whole);
    const float size = fabsf(x);
    double result;

    if (y == 0.0f || x == 1.0f) {
        return 1.0f;
    }
    if (isnan(x) || isnan(y)) {
        return NAN;
    }
    if (size == 1.0f && isinf(y)) {
        return 1.0f;
    }
    if (x < 0.0f && !integer && !isinf(x)) {
        return NAN;
    }
    if (isinf(y)) {
        return (size > 1.0f) == (y > 0.0f) ? INFINITY : 0.0f;
    }
    result = exp((double)y * log((double)size));
    return (float)(odd && copysignf(1.0f, x) < 0.0f ? -result : result);
}
