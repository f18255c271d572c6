/* The inner product of the `dsp` convolutions: two filters times four output positions.
 *
 * One word of weights serves two filters f0, f1 and two inputs k0, k1: its halves are the int16
 * f0k0 + 256 * f1k0 and f0k1 + 256 * f1k1. The sum of inputs times halves is then A + 256 * B, where
 * A and B are the sums of f0 and of f1. A is summed by itself, from the low bytes that SXTB16
 * extends, and B = (sum - A) / 256 is exact as long as it fits 24 bits (checked at build time):
 * one extension less than two separate filters need.
 *
 * Columns are four words for two inputs: the int16 pair (k0, k1) of positions 0, 1, 2, 3. Both
 * streams are read front to back; 12 instructions do 16 multiply-accumulates. */
#ifndef EP_DOT_DSP_H
#define EP_DOT_DSP_H

#include "ep_dsp.h"

/* Sums at four positions: of filter 0, and of filter 0 plus 256 times filter 1. */
typedef struct {
    int32_t a0, a1, a2, a3, s0, s1, s2, s3;
} ep_sums;

/* Twice the sum of filter 1: the 256 goes, a factor of two stays for the high multiply. */
EP_INLINE int32_t ep_second_doubled(int32_t a, int32_t s) {
    return (int32_t)((uint32_t)s - (uint32_t)a) >> 7;
}

/* The loop in assembly needs every general register, which GCC grants at -O1 to -O3 but not always at
 * -Os, and clang only without a frame pointer: define EP_DOT_ASM to 1 to have it there too (with
 * -fschedule-insns -fno-branch-count-reg for GCC, -fomit-frame-pointer for clang). */
#ifndef EP_DOT_ASM
#if defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__) && !defined(__clang__)
#define EP_DOT_ASM 1
#else
#define EP_DOT_ASM 0
#endif
#endif

#if EP_DSP_ASM && EP_DOT_ASM

#define EP_DOT_STEP                                                                                \
    "ldr    %[t0], [%[w]], #4\n\t"                                                                 \
    "ldrd   %[x0], %[x1], [%[x]], #8\n\t"                                                          \
    "sxtb16 %[t1], %[t0]\n\t"                                                                      \
    "smlad  %[s0], %[x0], %[t0], %[s0]\n\t"                                                        \
    "smlad  %[s1], %[x1], %[t0], %[s1]\n\t"                                                        \
    "smlad  %[a0], %[x0], %[t1], %[a0]\n\t"                                                        \
    "smlad  %[a1], %[x1], %[t1], %[a1]\n\t"                                                        \
    "ldrd   %[x0], %[x1], [%[x]], #8\n\t"                                                          \
    "smlad  %[s2], %[x0], %[t0], %[s2]\n\t"                                                        \
    "smlad  %[s3], %[x1], %[t0], %[s3]\n\t"                                                        \
    "smlad  %[a2], %[x0], %[t1], %[a2]\n\t"                                                        \
    "smlad  %[a3], %[x1], %[t1], %[a3]\n\t"
#define EP_DOT_STEPS_2 EP_DOT_STEP EP_DOT_STEP
#define EP_DOT_STEPS_4 EP_DOT_STEPS_2 EP_DOT_STEPS_2

/* All fourteen general registers are in use: eight sums, two pointers, four temporaries; the end of
 * the columns is compared from the stack. Clang would hold the address of a memory operand in a
 * fifteenth, so there the code itself puts the end, which t0 brings, onto the stack, and takes it
 * off again. */
#ifdef __clang__
#define EP_DOT_END [t0] "+r"(t0)
#define EP_DOT_INPUTS
#define EP_DOT_LOOP "str %[t0], [sp, #-8]!\n1:\n\t"
#define EP_DOT_UNTIL_END "ldr %[t0], [sp]\n\tcmp %[x], %[t0]\n\tbne 1b\n\tadd sp, #8\n\t"
#define EP_DOT_SET_END (t0 = (uint32_t)(uintptr_t)end)
#else
#define EP_DOT_END [t0] "=&r"(t0)
#define EP_DOT_INPUTS [end] "m"(end)
#define EP_DOT_LOOP "1:\n\t"
#define EP_DOT_UNTIL_END "ldr %[t0], %[end]\n\tcmp %[x], %[t0]\n\tbne 1b\n\t"
#define EP_DOT_SET_END ((void)0)
#endif
#define EP_DOT_RUN(CODE)                                                                           \
    EP_DOT_SET_END;                                                                                \
    __asm__ volatile(CODE                                                                          \
                     : [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3), [s0] "+r"(s0),  \
                       [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [w] "+r"(w), [x] "+r"(x),      \
                       EP_DOT_END, [t1] "=&r"(t1), [x0] "=&r"(x0), [x1] "=&r"(x1)                  \
                     : EP_DOT_INPUTS                                                               \
                     : "cc", "memory")

/* Adds the products of `pairs` pairs of inputs, an even number; by eight pairs a turn where `eights`
 * (pairs is a multiple of 8), else by four. Returns the weights that follow. */
EP_INLINE const uint32_t *ep_dot_2x4(ep_sums *sums, const uint32_t *w, const uint32_t *x,
                                     int32_t pairs, bool eights) {
    int32_t a0 = sums->a0, a1 = sums->a1, a2 = sums->a2, a3 = sums->a3;
    int32_t s0 = sums->s0, s1 = sums->s1, s2 = sums->s2, s3 = sums->s3;
    uint32_t t0, t1, x0, x1;
    if (eights) {
        const uint32_t *const end = x + pairs * 4;
        EP_DOT_RUN(EP_DOT_LOOP EP_DOT_STEPS_4 EP_DOT_STEPS_4 EP_DOT_UNTIL_END);
    } else {
        const uint32_t *const end = x + pairs / 4 * 16;
        if (pairs >= 4) {
            EP_DOT_RUN(EP_DOT_LOOP EP_DOT_STEPS_4 EP_DOT_UNTIL_END);
        }
        if (pairs % 4 != 0) {
            EP_DOT_RUN(EP_DOT_STEPS_2);
        }
    }
    *sums = (ep_sums){a0, a1, a2, a3, s0, s1, s2, s3};
    return w;
}

#else

EP_INLINE const uint32_t *ep_dot_2x4(ep_sums *sums, const uint32_t *w, const uint32_t *x,
                                     int32_t pairs, bool eights) {
    (void)eights;
    for (int32_t pair = 0; pair < pairs; ++pair, ++w, x += 4) {
        const uint32_t first = ep_sxtb16(*w);
        sums->a0 = ep_smlad(x[0], first, sums->a0);
        sums->a1 = ep_smlad(x[1], first, sums->a1);
        sums->a2 = ep_smlad(x[2], first, sums->a2);
        sums->a3 = ep_smlad(x[3], first, sums->a3);
        sums->s0 = ep_smlad(x[0], *w, sums->s0);
        sums->s1 = ep_smlad(x[1], *w, sums->s1);
        sums->s2 = ep_smlad(x[2], *w, sums->s2);
        sums->s3 = ep_smlad(x[3], *w, sums->s3);
    }
    return w;
}

#endif

/* The same for one position, whose column is every fourth word of x. */
EP_INLINE const uint32_t *ep_dot_2x1(int32_t *a, int32_t *s, const uint32_t *w, const uint32_t *x,
                                     int32_t pairs) {
    int32_t sum0 = *a, sum1 = *s;
    for (int32_t pair = 0; pair < pairs; ++pair, ++w, x += 4) {
        sum0 = ep_smlad(*x, ep_sxtb16(*w), sum0);
        sum1 = ep_smlad(*x, *w, sum1);
    }
    *a = sum0;
    *s = sum1;
    return w;
}

#endif
