/* The Armv7E-M DSP instructions that the `dsp` kernels use, with plain C of the same meaning where
 * they do not exist, so that those kernels can be tested on any host. */
#ifndef EP_DSP_H
#define EP_DSP_H

#include <string.h>

#include "ep_fixed.h"

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__) && !defined(EP_NO_ASM)
#define EP_DSP_ASM 1
#else
#define EP_DSP_ASM 0
#endif

/* Two int16 in one word: low half first in memory on little-endian targets. */
EP_INLINE int32_t ep_low16(uint32_t x) {
    return (int16_t)(x & 0xFFFFu);
}
EP_INLINE int32_t ep_high16(uint32_t x) {
    return (int16_t)(x >> 16);
}
EP_INLINE uint32_t ep_pack16(int32_t low, int32_t high) {
    return ((uint32_t)low & 0xFFFFu) | ((uint32_t)high << 16);
}

/* Two int16 that are also accessed as one word, and words that are also accessed as int16. Without
 * the attribute the compiler may take a store through one type and a load through the other for
 * independent, and exchange them (GCC 12.2 -O3 does). */
#if defined(__GNUC__) || defined(__clang__)
typedef uint32_t __attribute__((__may_alias__)) ep_word;
typedef int16_t __attribute__((__may_alias__)) ep_half;
#else
typedef uint32_t ep_word;
typedef int16_t ep_half;
#endif

/* Reads that need no alignment; one instruction where the core allows unaligned loads. */
EP_INLINE uint32_t ep_load32(const void *p) {
    uint32_t x;
#if defined(__GNUC__) || defined(__clang__)
    __builtin_memcpy(&x, p, 4); /* with -ffreestanding, memcpy would be a call */
#else
    memcpy(&x, p, 4);
#endif
    return x;
}

#if EP_DSP_ASM

/* bytes 0 and 2 sign-extended to two int16 */
EP_INLINE uint32_t ep_sxtb16(uint32_t x) {
    uint32_t r;
    __asm__("sxtb16 %0, %1" : "=r"(r) : "r"(x));
    return r;
}
/* bytes 1 and 3 sign-extended to two int16 */
EP_INLINE uint32_t ep_sxtb16_ror8(uint32_t x) {
    uint32_t r;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(x));
    return r;
}
/* the same plus two int16 */
EP_INLINE uint32_t ep_sxtab16(uint32_t a, uint32_t x) {
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2" : "=r"(r) : "r"(a), "r"(x));
    return r;
}
EP_INLINE uint32_t ep_sxtab16_ror8(uint32_t a, uint32_t x) {
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(r) : "r"(a), "r"(x));
    return r;
}
/* acc + a.low * b.low + a.high * b.high */
EP_INLINE int32_t ep_smlad(uint32_t a, uint32_t b, int32_t acc) {
    int32_t r;
    __asm__("smlad %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}
EP_INLINE int32_t ep_smlabb(uint32_t a, uint32_t b, int32_t acc) {
    int32_t r;
    __asm__("smlabb %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}
EP_INLINE int32_t ep_smlabt(uint32_t a, uint32_t b, int32_t acc) {
    int32_t r;
    __asm__("smlabt %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}
EP_INLINE int32_t ep_smlatb(uint32_t a, uint32_t b, int32_t acc) {
    int32_t r;
    __asm__("smlatb %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}
/* acc + ((a * b + 2^31) >> 32) */
EP_INLINE int32_t ep_smmlar(int32_t a, int32_t b, int32_t acc) {
    int32_t r;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}
EP_INLINE int32_t ep_ssat8(int32_t x) {
    int32_t r;
    __asm__("ssat %0, #8, %1" : "=r"(r) : "r"(x));
    return r;
}

#else

EP_INLINE uint32_t ep_sxtb16(uint32_t x) {
    return ep_pack16((int8_t)(x & 0xFFu), (int8_t)((x >> 16) & 0xFFu));
}
EP_INLINE uint32_t ep_sxtb16_ror8(uint32_t x) {
    return ep_pack16((int8_t)((x >> 8) & 0xFFu), (int8_t)(x >> 24));
}
EP_INLINE uint32_t ep_sxtab16(uint32_t a, uint32_t x) {
    return ep_pack16(ep_low16(a) + (int8_t)(x & 0xFFu), ep_high16(a) + (int8_t)((x >> 16) & 0xFFu));
}
EP_INLINE uint32_t ep_sxtab16_ror8(uint32_t a, uint32_t x) {
    return ep_sxtab16(a, (x >> 8) | (x << 24));
}
EP_INLINE int32_t ep_smlad(uint32_t a, uint32_t b, int32_t acc) {
    const int32_t low = ep_low16(a) * ep_low16(b);
    return ep_wrap_add(ep_wrap_add(acc, low), ep_high16(a) * ep_high16(b));
}
EP_INLINE int32_t ep_smlabb(uint32_t a, uint32_t b, int32_t acc) {
    return ep_wrap_add(acc, ep_low16(a) * ep_low16(b));
}
EP_INLINE int32_t ep_smlabt(uint32_t a, uint32_t b, int32_t acc) {
    return ep_wrap_add(acc, ep_low16(a) * ep_high16(b));
}
EP_INLINE int32_t ep_smlatb(uint32_t a, uint32_t b, int32_t acc) {
    return ep_wrap_add(acc, ep_high16(a) * ep_low16(b));
}
EP_INLINE int32_t ep_smmlar(int32_t a, int32_t b, int32_t acc) {
    return ep_wrap_add(acc, (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32));
}
EP_INLINE int32_t ep_ssat8(int32_t x) {
    return ep_clamp32(x, -128, 127);
}

#endif

/* TFLM's two-step requantization in a few instructions, for accumulators below 2^30 in magnitude
 * and right shifts of 1 to 22 (both checked at build time).
 *
 * The high multiply of the doubled accumulator, `twice_acc`, is SaturatingRoundingDoublingHighMul. The rounding
 * division then adds half a step, minus one for negative values so that halves go away from zero;
 * taking the sign from the accumulator is equivalent, because where the two signs differ the high
 * multiply is 0 and half - 1 still rounds to 0. `round` is half a step plus the output's zero point
 * shifted left by `shift`. */
EP_INLINE int32_t ep_requantize_dsp(int32_t twice_acc, int32_t multiplier, int32_t round,
                                    int32_t shift) {
    return ep_smmlar(twice_acc, multiplier, round + (twice_acc >> 31)) >> shift;
}

/* The same where results below the zero point are clamped anyway (a fused ReLU). */
EP_INLINE int32_t ep_requantize_dsp_relu(int32_t twice_acc, int32_t multiplier, int32_t round,
                                         int32_t shift) {
    return ep_smmlar(twice_acc, multiplier, round) >> shift;
}

#endif
