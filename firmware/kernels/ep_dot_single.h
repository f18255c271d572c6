/* The inner product of the `dsp` convolutions for weights that cannot share words (ep_dot_dsp.h): one
 * filter times four output positions, weights as they are in bytes or as 4-bit values.
 *
 * EP_WEIGHTS_BYTES: a word holds four inputs of a filter. EP_WEIGHTS_NIBBLES: a word holds eight, the
 * first four in the low halves of its bytes. A 4-bit weight is used where it lies in a byte once the
 * other is masked off, in the high half: sums are 16 times what they should be.
 *
 * Columns are those of ep_dot_dsp.h; 15 instructions do 16 multiply-accumulates, or 31 do 32. */
#ifndef EP_DOT_SINGLE_H
#define EP_DOT_SINGLE_H

#include "ep_dot_dsp.h"

#define EP_WEIGHTS_PAIRS 0
#define EP_WEIGHTS_BYTES 1
#define EP_WEIGHTS_NIBBLES 2
#define EP_NIBBLES 0xF0F0F0F0u /* the high halves of bytes */

/* Bias plus what the weights contributed: `sum` began with ep_single_start. */
EP_INLINE int32_t ep_single_start(int32_t layout, int32_t bias) {
    return layout == EP_WEIGHTS_NIBBLES ? 0 : bias;
}
EP_INLINE int32_t ep_single_sum(int32_t layout, int32_t sum, int32_t bias) {
    return layout == EP_WEIGHTS_NIBBLES ? ep_wrap_add(sum >> 4, bias) : sum;
}

/* acc plus four weights times four inputs of one position, whose column is every fourth word of x. */
EP_INLINE int32_t ep_dot_four(int32_t acc, uint32_t weights, const uint32_t *x) {
    return ep_smlad(x[4], ep_sxtb16_ror8(weights), ep_smlad(x[0], ep_sxtb16(weights), acc));
}

/* One filter at one position: `pairs` pairs of inputs, an even number. */
EP_INLINE int32_t ep_dot_1x1(int32_t acc, const uint32_t *w, const uint32_t *x, int32_t pairs,
                             int32_t layout) {
    const uint32_t *const end = x + 4 * pairs;
    if (layout == EP_WEIGHTS_BYTES) {
        for (; x < end; x += 8) {
            acc = ep_dot_four(acc, *w++, x);
        }
        return acc;
    }
    for (; x < end; x += 16, ++w) {
        acc = ep_dot_four(acc, (*w << 4) & EP_NIBBLES, x);
        if (x + 8 < end) {
            acc = ep_dot_four(acc, *w & EP_NIBBLES, x + 8);
        }
    }
    return acc;
}

/* Words of weights that `pairs` pairs of inputs take. */
EP_INLINE int32_t ep_single_words(int32_t pairs, int32_t layout) {
    return layout == EP_WEIGHTS_BYTES ? pairs / 2 : (pairs + 2) / 4;
}

#if EP_DSP_ASM && defined(__OPTIMIZE__)

/* Two pairs of inputs at four positions, weights in the bytes of T. */
#define EP_SINGLE_PAIR(SXTB, T)                                                                    \
    "ldrd   %[x0], %[x1], [%[x]], #8\n\t"                                                          \
    "sxtb16 %[t], %[" T "]" SXTB "\n\t"                                                            \
    "smlad  %[a0], %[x0], %[t], %[a0]\n\t"                                                         \
    "smlad  %[a1], %[x1], %[t], %[a1]\n\t"                                                         \
    "ldrd   %[x0], %[x1], [%[x]], #8\n\t"                                                          \
    "smlad  %[a2], %[x0], %[t], %[a2]\n\t"                                                         \
    "smlad  %[a3], %[x1], %[t], %[a3]\n\t"
#define EP_SINGLE_FOUR(T) EP_SINGLE_PAIR("", T) EP_SINGLE_PAIR(", ror #8", T)
#define EP_SINGLE_BYTES "ldr    %[four], [%[w]], #4\n\t" EP_SINGLE_FOUR("four")
#define EP_SINGLE_LOW                                                                              \
    "ldr    %[eight], [%[w]], #4\n\t"                                                              \
    "and    %[four], %[mask], %[eight], lsl #4\n\t" EP_SINGLE_FOUR("four")
#define EP_SINGLE_NIBBLES                                                                          \
    EP_SINGLE_LOW "and    %[four], %[mask], %[eight]\n\t" EP_SINGLE_FOUR("four")
#define EP_SINGLE_RUN(CODE)                                                                        \
    __asm__ volatile(                                                                              \
        "1:\n\t" CODE "cmp %[x], %[end]\n\tbne 1b\n\t"                                             \
        : [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3), [w] "+r"(w), [x] "+r"(x),    \
          [x0] "=&r"(x0), [x1] "=&r"(x1), [t] "=&r"(t), [four] "=&r"(four), [eight] "=&r"(eight)   \
        : [end] "r"(end), [mask] "r"(EP_NIBBLES)                                                   \
        : "cc", "memory")

/* One filter at four positions. Returns the weights that follow. */
EP_INLINE const uint32_t *ep_dot_1x4(ep_sums *sums, const uint32_t *w, const uint32_t *x,
                                     int32_t pairs, int32_t layout) {
    int32_t a0 = sums->a0, a1 = sums->a1, a2 = sums->a2, a3 = sums->a3;
    uint32_t x0, x1, t, four, eight;
    const uint32_t *end = x + pairs * 4;
    if (layout == EP_WEIGHTS_BYTES) {
        EP_SINGLE_RUN(EP_SINGLE_BYTES);
    } else {
        end = x + pairs / 4 * 16;
        if (pairs >= 4) {
            EP_SINGLE_RUN(EP_SINGLE_NIBBLES);
        }
        if (pairs % 4 != 0) {
            end = x + 8;
            EP_SINGLE_RUN(EP_SINGLE_LOW);
        }
    }
    sums->a0 = a0, sums->a1 = a1, sums->a2 = a2, sums->a3 = a3;
    return w;
}

#else

EP_INLINE const uint32_t *ep_dot_1x4(ep_sums *sums, const uint32_t *w, const uint32_t *x,
                                     int32_t pairs, int32_t layout) {
    sums->a0 = ep_dot_1x1(sums->a0, w, x, pairs, layout);
    sums->a1 = ep_dot_1x1(sums->a1, w, x + 1, pairs, layout);
    sums->a2 = ep_dot_1x1(sums->a2, w, x + 2, pairs, layout);
    sums->a3 = ep_dot_1x1(sums->a3, w, x + 3, pairs, layout);
    return w + ep_single_words(pairs, layout);
}

#endif

#endif
