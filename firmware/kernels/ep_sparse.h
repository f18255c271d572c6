/* Sums of products with weights of which most are zero: only the others are stored and multiplied.
 *
 * A filter has `counts` entries. An entry is one weight, or (block 4) four in a row at a multiple of four
 * inputs. `gaps` holds for each how far it lies behind the filter's entry before, or behind the first
 * input, in entries; where that is more than 255 there are entries with weights of 0 on the way. */
#ifndef EP_SPARSE_H
#define EP_SPARSE_H

#include "ep_dsp.h"

typedef struct {
    const uint8_t *gaps;
    const int8_t *weights;
} ep_sparse_at;

/* A sum as an output. `fast`: accumulators and shifts are what ep_requantize_dsp takes. */
EP_INLINE int8_t ep_sparse_output(int32_t acc, int32_t multiplier, int32_t shift, int32_t offset,
                                  int32_t low, int32_t high, bool fast) {
    if (fast) {
        const int32_t round = ep_shift_left(2 * offset + 1, -shift - 1);
        const int32_t y = ep_requantize_dsp(ep_shift_left(acc, 1), multiplier, round, -shift);
        return (int8_t)ep_clamp32(y, low, high);
    }
    return (int8_t)ep_requantize_to(acc, multiplier, shift, offset, low, high);
}

#if EP_DSP_ASM && defined(__OPTIMIZE__)

#define EP_SPARSE_INPUT(X, ROTATED)                                                                \
    "uxtab   %[x], %[x], %[g]" ROTATED "\n\tldrsb   %[" X "], [%[x]]\n\t"
/* Four single weights at a time; `n` is a multiple of four above 0. */
EP_INLINE int32_t ep_sparse_fours(ep_sparse_at *at, const int8_t **x_at, int32_t n, int32_t acc) {
    const int8_t *x = *x_at;
    uint32_t g, w, v, a, b;
    __asm__ volatile(
        "1:\n\t"
        "ldr     %[g], [%[gaps]], #4\n\t"
        "ldr     %[w], [%[weights]], #4\n\t" EP_SPARSE_INPUT("a", "") EP_SPARSE_INPUT(
            "b",
            ", ror #8") "sxtb16  %[v], %[w]\n\t"
                        "sxtb16  %[w], %[w], ror #8\n\t"
                        "smlabb  %[acc], %[a], %[v], %[acc]\n\t"
                        "smlabb  %[acc], %[b], %[w], %[acc]\n\t" EP_SPARSE_INPUT("a", ", ror #16")
                            EP_SPARSE_INPUT("b",
                                            ", ror #24") "subs    %[n], %[n], #4\n\t"
                                                         "smlabt  %[acc], %[a], %[v], %[acc]\n\t"
                                                         "smlabt  %[acc], %[b], %[w], %[acc]\n\t"
                                                         "bne     1b\n\t"
        : [acc] "+r"(acc), [x] "+r"(x), [n] "+r"(n), [gaps] "+r"(at->gaps),
          [weights] "+r"(at->weights), [g] "=&r"(g), [w] "=&r"(w), [v] "=&r"(v), [a] "=&r"(a),
          [b] "=&r"(b)
        :
        : "cc", "memory");
    *x_at = x;
    return acc;
}

#endif

/* `acc` plus the products of a filter's entries with `x`, its first input. Moves `at` behind them. */
EP_INLINE int32_t ep_sparse_dot(ep_sparse_at *at, int32_t n, const int8_t *x, int32_t acc,
                                int32_t block) {
    if (block == 4) {
        for (; n > 0; --n, at->weights += 4) {
            x += 4 * *at->gaps++;
#if EP_DSP_ASM
            const uint32_t w = ep_load32(at->weights), v = ep_load32(x);
            acc = ep_smlad(ep_sxtb16(v), ep_sxtb16(w), acc);
            acc = ep_smlad(ep_sxtb16_ror8(v), ep_sxtb16_ror8(w), acc);
#else
            acc = ep_wrap_mac(acc, x[0], at->weights[0]);
            acc = ep_wrap_mac(acc, x[1], at->weights[1]);
            acc = ep_wrap_mac(acc, x[2], at->weights[2]);
            acc = ep_wrap_mac(acc, x[3], at->weights[3]);
#endif
        }
        return acc;
    }
#if EP_DSP_ASM && defined(__OPTIMIZE__)
    if (n > 3) {
        acc = ep_sparse_fours(at, &x, n & ~3, acc);
        n &= 3;
    }
#endif
    for (; n > 0; --n) {
        x += *at->gaps++;
        acc = ep_wrap_mac(acc, *x, *at->weights++);
    }
    return acc;
}

/* ep_sparse_dot for four columns of inputs, `k` bytes from each to the next; adds to acc[0..3]. */
EP_INLINE void ep_sparse_dot4(ep_sparse_at *at, int32_t n, const int8_t *x, int32_t k, int32_t *acc,
                              int32_t block) {
    int32_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];
    for (; n > 0; --n) {
        x += block * *at->gaps++;
#if EP_DSP_ASM
        if (block == 4) {
            const uint32_t four = ep_load32(at->weights);
            const uint32_t even = ep_sxtb16(four), odd = ep_sxtb16_ror8(four);
            const uint32_t u = ep_load32(x), v = ep_load32(x + k);
            const uint32_t w = ep_load32(x + 2 * k), y = ep_load32(x + 3 * k);
            a = ep_smlad(ep_sxtb16_ror8(u), odd, ep_smlad(ep_sxtb16(u), even, a));
            b = ep_smlad(ep_sxtb16_ror8(v), odd, ep_smlad(ep_sxtb16(v), even, b));
            c = ep_smlad(ep_sxtb16_ror8(w), odd, ep_smlad(ep_sxtb16(w), even, c));
            d = ep_smlad(ep_sxtb16_ror8(y), odd, ep_smlad(ep_sxtb16(y), even, d));
            at->weights += 4;
            continue;
        }
#endif
        for (int32_t i = 0; i < block; ++i) {
            const int32_t w = *at->weights++;
            a = ep_wrap_mac(a, x[i], w);
            b = ep_wrap_mac(b, x[i + k], w);
            c = ep_wrap_mac(c, x[i + 2 * k], w);
            d = ep_wrap_mac(d, x[i + 3 * k], w);
        }
    }
    acc[0] = a, acc[1] = b, acc[2] = c, acc[3] = d;
}

#endif
