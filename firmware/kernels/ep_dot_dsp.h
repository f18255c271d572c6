/* The inner product of the `dsp` convolutions: two filters times four output positions.
 *
 * Weights, one word for two filters f0, f1 and two inputs k0, k1: bytes [f0k0, f1k0, f0k1, f1k1],
 * so that SXTB16 of the word and of the word rotated by 8 are the pairs of f0 and of f1.
 * Columns, four words for two inputs: the int16 pair (k0, k1) of positions 0, 1, 2, 3.
 * Both are read front to back; 13 instructions do 16 multiply-accumulates. */
#ifndef EP_DOT_DSP_H
#define EP_DOT_DSP_H

#include "ep_dsp.h"

/* Sums of filter 0 (a) and filter 1 (b) at four positions. */
typedef struct {
    int32_t a0, a1, a2, a3, b0, b1, b2, b3;
} ep_sums;

#if EP_DSP_ASM && defined(__OPTIMIZE__)

#define EP_DOT_STEP                    \
    "ldr    %[t0], [%[w]], #4\n\t"     \
    "ldrd   %[x0], %[x1], [%[x]], #8\n\t" \
    "sxtb16 %[t1], %[t0], ror #8\n\t"  \
    "sxtb16 %[t0], %[t0]\n\t"          \
    "smlad  %[a0], %[x0], %[t0], %[a0]\n\t" \
    "smlad  %[a1], %[x1], %[t0], %[a1]\n\t" \
    "smlad  %[b0], %[x0], %[t1], %[b0]\n\t" \
    "smlad  %[b1], %[x1], %[t1], %[b1]\n\t" \
    "ldrd   %[x0], %[x1], [%[x]], #8\n\t" \
    "smlad  %[a2], %[x0], %[t0], %[a2]\n\t" \
    "smlad  %[a3], %[x1], %[t0], %[a3]\n\t" \
    "smlad  %[b2], %[x0], %[t1], %[b2]\n\t" \
    "smlad  %[b3], %[x1], %[t1], %[b3]\n\t"

/* All fourteen general registers are in use: eight sums, two pointers, four temporaries; the end of
 * the columns is compared from the stack. */
#define EP_DOT_ASM(CODE)                                                                        \
    __asm__ volatile(CODE                                                                       \
                     : [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3),              \
                       [b0] "+r"(b0), [b1] "+r"(b1), [b2] "+r"(b2), [b3] "+r"(b3),              \
                       [w] "+r"(w), [x] "+r"(x), [t0] "=&r"(t0), [t1] "=&r"(t1),                \
                       [x0] "=&r"(x0), [x1] "=&r"(x1)                                           \
                     : [end] "m"(end)                                                           \
                     : "cc", "memory")

/* Adds the products of `pairs` (a compile-time constant) pairs of inputs. Returns the weights that
 * follow. */
EP_INLINE const uint32_t *ep_dot_2x4(ep_sums *sums, const uint32_t *w, const uint32_t *x,
                                     int32_t pairs) {
    int32_t a0 = sums->a0, a1 = sums->a1, a2 = sums->a2, a3 = sums->a3;
    int32_t b0 = sums->b0, b1 = sums->b1, b2 = sums->b2, b3 = sums->b3;
    uint32_t t0, t1, x0, x1;
    const uint32_t *const end = x + pairs / 4 * 16;
    if (pairs >= 4) {
        EP_DOT_ASM("1:\n\t" EP_DOT_STEP EP_DOT_STEP EP_DOT_STEP EP_DOT_STEP
                   "ldr %[t0], %[end]\n\t"
                   "cmp %[x], %[t0]\n\t"
                   "bne 1b\n\t");
    }
    if (pairs % 4 >= 2) { /* pairs is even: inputs are padded to fours */
        EP_DOT_ASM(EP_DOT_STEP EP_DOT_STEP);
    }
    *sums = (ep_sums){a0, a1, a2, a3, b0, b1, b2, b3};
    return w;
}

#else

EP_INLINE const uint32_t *ep_dot_2x4(ep_sums *sums, const uint32_t *w, const uint32_t *x,
                                     int32_t pairs) {
    for (int32_t pair = 0; pair < pairs; ++pair, ++w, x += 4) {
        const uint32_t w0 = ep_sxtb16(*w), w1 = ep_sxtb16_ror8(*w);
        sums->a0 = ep_smlad(x[0], w0, sums->a0);
        sums->a1 = ep_smlad(x[1], w0, sums->a1);
        sums->a2 = ep_smlad(x[2], w0, sums->a2);
        sums->a3 = ep_smlad(x[3], w0, sums->a3);
        sums->b0 = ep_smlad(x[0], w1, sums->b0);
        sums->b1 = ep_smlad(x[1], w1, sums->b1);
        sums->b2 = ep_smlad(x[2], w1, sums->b2);
        sums->b3 = ep_smlad(x[3], w1, sums->b3);
    }
    return w;
}

#endif

/* The same for one position, whose column is every fourth word of x. */
EP_INLINE const uint32_t *ep_dot_2x1(int32_t *a, int32_t *b, const uint32_t *w, const uint32_t *x,
                                     int32_t pairs) {
    int32_t sum0 = *a, sum1 = *b;
    for (int32_t pair = 0; pair < pairs; ++pair, ++w, x += 4) {
        sum0 = ep_smlad(*x, ep_sxtb16(*w), sum0);
        sum1 = ep_smlad(*x, ep_sxtb16_ror8(*w), sum1);
    }
    *a = sum0;
    *b = sum1;
    return w;
}

#endif
