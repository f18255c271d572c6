/* Elementary float functions that small C libraries lack, made from expf and polynomials. The
 * coefficients are minimax fits made for this project; each comment states the relative error. */
#ifndef EP_MATH_H
#define EP_MATH_H

#include <math.h>

#include "ep_runtime.h"

/* tanh for |x| < 0.625: an odd polynomial, relative error below 8e-8. */
EP_INLINE float ep_tanh_small_f32(float x) {
    const float z = x * x;
    float p = -0.005717036779969931f;
    p = p * z + 0.020650578662753105f;
    p = p * z - 0.05374349653720856f;
    p = p * z + 0.13331490755081177f;
    p = p * z - 0.3333328366279602f;
    return x + x * z * p;
}

/* tanh, relative error below 3e-7. */
EP_INLINE float ep_tanh_f32(float x) {
    const float size = fabsf(x);
    if (size < 0.625f) {
        return ep_tanh_small_f32(x);
    }
    const float e = expf(-2.0f * size);
    const float y = (1.0f - e) / (1.0f + e);
    return x < 0.0f ? -y : y;
}

/* exp(x) - 1 without cancellation near 0: 2 t / (1 - t) with t = tanh(x / 2). */
EP_INLINE float ep_expm1_f32(float x) {
    if (x > -0.5f && x < 0.5f) {
        const float t = ep_tanh_small_f32(0.5f * x);
        return 2.0f * t / (1.0f - t);
    }
    return expf(x) - 1.0f;
}

/* 1 / (1 + exp(-x)). */
EP_INLINE float ep_logistic_f32(float x) {
    if (x < -9.0f) {
        return expf(x); /* differs by a factor of 1 + exp(-9) at most, and cannot overflow */
    }
    return 1.0f / (1.0f + expf(-x));
}

/* 1 - erf(x), absolute error below 4e-7: exp(-x^2) times a polynomial in 1 / (1 + |x| / 2). */
EP_INLINE float ep_erfc_f32(float x) {
    const float size = fabsf(x);
    const float t = 1.0f / (1.0f + 0.5f * size);
    float p = -0.059172313660383224f;
    p = p * t + 0.2850801646709442f;
    p = p * t - 0.4882480204105377f;
    p = p * t + 0.2792687714099884f;
    p = p * t - 0.02745528519153595f;
    p = p * t + 0.20303872227668762f;
    p = p * t + 0.2430146187543869f;
    p = p * t + 0.2823875844478607f;
    p = p * t + 0.28208571672439575f;
    const float y = t * p * expf(-(x * x));
    return x < 0.0f ? 2.0f - y : y;
}

/* Nearest integer, halves to even. */
EP_INLINE float ep_round_even_f32(float x) {
    const float low = floorf(x);
    const float above = x - low;
    if (above < 0.5f || (above == 0.5f && floorf(low * 0.5f) * 2.0f == low)) {
        return low;
    }
    return low + 1.0f;
}

/* Nearest integer, halves away from zero, clamped to [low, high] (|low|, |high| <= 2^24); NaN
 * gives low. */
EP_INLINE int32_t ep_round_clamp_f32(float x, int32_t low, int32_t high) {
    if (!(x > (float)low)) {
        return low;
    }
    if (x >= (float)high) {
        return high;
    }
    const int32_t whole = (int32_t)x; /* towards zero; in range, since low < x < high */
    const float rest = x - (float)whole;
    return rest >= 0.5f ? whole + 1 : rest <= -0.5f ? whole - 1 : whole;
}

#endif
