/* What the `mul32` and `mul64` kernels share: int8 kernels for cores with a multiplier but without
 * DSP or vector extensions. `mul64` is a core with a 64-bit multiply-accumulate (SMLAL, Armv7-M),
 * `mul32` one with 32-bit products only (Armv6-M, RV32IM). EP_MUL64 is set per call by the lowering,
 * so that both can be tested on any host. */
#ifndef EP_MUL_H
#define EP_MUL_H

#include <string.h>

#include "ep_fixed.h"

/* Armv7-M and Armv6-M assembly for the inner loops; plain C of the same meaning elsewhere. */
#if defined(__GNUC__) && defined(__thumb__) && defined(__OPTIMIZE__) && !defined(EP_NO_ASM)
#if defined(__thumb2__)
#define EP_MUL64_ASM 1
#define EP_MUL32_ASM 0
#else
#define EP_MUL64_ASM 0
#define EP_MUL32_ASM 1
#endif
#else
#define EP_MUL64_ASM 0
#define EP_MUL32_ASM 0
#endif

/* Two values share one factor: low + 2^23 * high. A sum of products of such pairs with int8 weights
 * is A + 2^23 * B; both come apart exactly while A fits 23 bits (checked at build time). */
#define EP_PAIR_BITS 23

EP_INLINE int32_t ep_pair(int32_t low, int32_t high) {
    return ep_wrap_add(low, ep_shift_left(high, EP_PAIR_BITS));
}

/* The start of two sums; half of the low field's range makes it unsigned. */
EP_INLINE int64_t ep_pair_start(int32_t low, int32_t high) {
    return (int64_t)high * (1 << EP_PAIR_BITS) + low + (1 << (EP_PAIR_BITS - 1));
}
EP_INLINE int32_t ep_pair_low(int64_t sum) {
    return (int32_t)((uint32_t)(uint64_t)sum & ((1u << EP_PAIR_BITS) - 1u)) -
           (1 << (EP_PAIR_BITS - 1));
}
EP_INLINE int32_t ep_pair_high(int64_t sum) {
    return (int32_t)(uint32_t)((uint64_t)sum >> EP_PAIR_BITS);
}

/* How one filter's sums become outputs, the same for all positions.
 *
 * TFLM's two roundings are one here: adding half a step before each of two floors equals adding both
 * before one floor. Halves of the second rounding go away from zero, so that negative accumulators
 * get one unit of the first less; where accumulator and rounded product differ in sign, the product
 * is 0 and both variants give 0. */
typedef struct {
    int32_t multiplier;     /* mul64 */
    int32_t low, mid, high; /* mul32: 11, 11 and 9 bits of the multiplier */
    int32_t round;          /* both halves and the output's zero point */
    int32_t biased; /* mul32: the same and 128, so that what saturates has more than eight bits */
    int32_t shift;
} ep_scale;

/* mul64: |acc| < 2^30, shift 1 to 22. */
EP_INLINE ep_scale ep_scale64(int32_t multiplier, int32_t shift, int32_t zero) {
    ep_scale s = {multiplier, 0, 0, 0, ep_shift_left(2 * zero + 1, shift - 1), 0, shift};
    return s;
}
EP_INLINE int32_t ep_scaled64(const ep_scale *s, int32_t acc) {
    const uint64_t start = ((uint64_t)(uint32_t)(s->round + (acc >> 31)) << 32) | 0x80000000u;
    const uint64_t sum = start + (uint64_t)((int64_t)(acc * 2) * s->multiplier);
    return (int32_t)(uint32_t)(sum >> 32) >> s->shift;
}

/* mul32: |acc| < 2^20, shift 1 to 13. Floors of partial products nest exactly, so that
 * acc * multiplier / 2^22 needs no 64-bit product. */
EP_INLINE ep_scale ep_scale32(int32_t multiplier, int32_t shift, int32_t zero) {
    ep_scale s = {0,
                  multiplier & 2047,
                  (multiplier >> 11) & 2047,
                  multiplier >> 22,
                  (1 << 8) + ep_shift_left(2 * zero + 1, shift + 8),
                  (1 << 8) + ep_shift_left(2 * zero + 257, shift + 8),
                  shift + 9};
    return s;
}
EP_INLINE int32_t ep_scaled32(const ep_scale *s, int32_t acc) {
    int32_t sum = (acc * s->low) >> 11;
    sum = (acc * s->mid + sum) >> 11;
    sum += acc * s->high + s->round + ep_shift_left(acc >> 31, 9);
    return sum >> s->shift;
}

/* Saturates to int8. */
EP_INLINE int32_t ep_saturate8(int32_t x) {
#if EP_MUL64_ASM
    int32_t r;
    __asm__("ssat %0, #8, %1" : "=r"(r) : "r"(x));
    return r;
#else
    return (uint32_t)ep_wrap_add(x, 128) > 255u ? (x < 0 ? -128 : 127) : x;
#endif
}

/* Where and how a filter's outputs are stored: `step` bytes apart, from position to position. */
typedef struct {
    ep_scale scale;
    int32_t step;
    int32_t act_min, act_max;
    bool clamp; /* mul32: accumulators may exceed 2^20, where outputs are saturated already */
} ep_store;

/* Stores the first `low` of four low sums at `to` and the first `high` of the high ones at `then`. */
EP_NOINLINE void ep_store_pairs(const ep_store *s, const int64_t *sums, int8_t *to, int32_t low,
                                int8_t *then, int32_t high) {
    const ep_scale scale = s->scale;
    const int32_t step = s->step, act_min = s->act_min, act_max = s->act_max;
    for (int32_t i = 0; i < low; ++i, to += step) {
        *to = (int8_t)ep_clamp32(ep_scaled64(&scale, ep_pair_low(sums[i])), act_min, act_max);
    }
    for (int32_t i = 0; i < high; ++i, then += step) {
        *then = (int8_t)ep_clamp32(ep_scaled64(&scale, ep_pair_high(sums[i])), act_min, act_max);
    }
}

/* mul64: stores `count` outputs of whole accumulators. */
EP_NOINLINE void ep_store_accs(const ep_store *s, const int32_t *accs, int8_t *to, int32_t count) {
    for (int32_t i = 0; i < count; ++i, to += s->step) {
        *to = (int8_t)ep_clamp32(ep_scaled64(&s->scale, accs[i]), s->act_min, s->act_max);
    }
}

#if EP_MUL32_ASM

/* mul32: stores `count` outputs, `step` bytes apart, without further limits than int8's. */
EP_INLINE void ep_store_plain(const ep_scale *c, int32_t step, const int32_t *accs, int8_t *to,
                              int32_t count) {
    const int32_t round = c->biased;
    uint32_t sum, t, a;
    __asm__ volatile(".syntax unified\n"
                     "1:\n\t"
                     "ldmia %[accs]!, {%[a]}\n\t"
                     "mov   %[sum], %[low]\n\t"
                     "muls  %[sum], %[a], %[sum]\n\t"
                     "asrs  %[sum], %[sum], #11\n\t"
                     "mov   %[t], %[mid]\n\t"
                     "muls  %[t], %[a], %[t]\n\t"
                     "adds  %[sum], %[sum], %[t]\n\t"
                     "asrs  %[sum], %[sum], #11\n\t"
                     "mov   %[t], %[high]\n\t"
                     "muls  %[t], %[a], %[t]\n\t"
                     "adds  %[sum], %[sum], %[t]\n\t"
                     "asrs  %[a], %[a], #31\n\t"
                     "lsls  %[a], %[a], #9\n\t"
                     "adds  %[sum], %[sum], %[a]\n\t"
                     "add   %[sum], %[round]\n\t"
                     "asrs  %[sum], %[sum], %[shift]\n\t"
                     "lsrs  %[t], %[sum], #8\n\t"
                     "beq   2f\n\t"
                     "asrs  %[sum], %[sum], #31\n\t"
                     "mvns  %[sum], %[sum]\n"
                     "2:\n\t"
                     "subs  %[sum], #128\n\t"
                     "strb  %[sum], [%[to]]\n\t"
                     "add   %[to], %[step]\n\t"
                     "subs  %[n], #1\n\t"
                     "bne   1b\n\t"
                     : [accs] "+l"(accs), [to] "+l"(to), [n] "+l"(count), [sum] "=&l"(sum),
                       [t] "=&l"(t), [a] "=&l"(a)
                     : [low] "h"(c->low), [mid] "h"(c->mid), [high] "h"(c->high),
                       [round] "h"(round), [step] "h"(step), [shift] "l"(c->shift)
                     : "cc", "memory");
}

#else

EP_INLINE void ep_store_plain(const ep_scale *c, int32_t step, const int32_t *accs, int8_t *to,
                              int32_t count) {
    for (int32_t i = 0; i < count; ++i, to += step) {
        *to = (int8_t)ep_saturate8(ep_scaled32(c, accs[i]));
    }
}

#endif

/* Stores `count` (at least 1) outputs. */
EP_NOINLINE void ep_store_words(const ep_store *s, const int32_t *accs, int8_t *to, int32_t count) {
    if (s->act_min == INT8_MIN && s->act_max == INT8_MAX && !s->clamp) {
        ep_store_plain(&s->scale, s->step, accs, to, count);
        return;
    }
    for (int32_t i = 0; i < count; ++i, to += s->step) {
        const int32_t acc = ep_clamp32(accs[i], 1 - (1 << 20), (1 << 20) - 1);
        *to = (int8_t)ep_clamp32(ep_scaled32(&s->scale, acc), s->act_min, s->act_max);
    }
}

#endif
