/* FULLY_CONNECTED int8 for cores with SMLAD: four filters at a time share the widened inputs.
 *
 * `stream` holds per group of four filters: their biases (int16 where all fit, else int32); for every
 * four inputs four words of weights, two per pair of filters (ep_dot_dsp.h explains the pairs), in
 * the order inputs 0, 2 and 1, 3; with per-channel scales, four multipliers and a word of four right
 * shifts less one. A last group is filled with zeros.
 *
 * Other layouts (ep_dot_single.h): for every four inputs a word per filter, or a word per two, the first
 * in the low halves of its bytes; the zero point is folded into the biases. With `any_scale` shifts
 * are those of ep_requantize. */
#ifndef EP_FULLY_CONNECTED_S8_DSP_H
#define EP_FULLY_CONNECTED_S8_DSP_H

#include "ep_dot_single.h"

typedef struct {
    int32_t batches, in_n, out_n;
    int32_t input_offset;      /* minus the input's zero point */
    int32_t output_offset;     /* the output's zero point */
    int32_t multiplier, shift; /* per-tensor scale; to the right, less one */
    int32_t act_min, act_max;
    int32_t layout; /* EP_WEIGHTS_... */
    bool per_channel, narrow_bias;
    bool
        any_scale; /* factors of one and more, or sums that may wrap: the long way of requantizing */
} ep_fully_connected_s8_dsp_params;

EP_INLINE int8_t ep_dense_output(const ep_fully_connected_s8_dsp_params *p, int32_t twice_acc,
                                 int32_t multiplier, int32_t less_1) {
    const int32_t round = ep_shift_left(2 * p->output_offset + 1, less_1);
    const int32_t y = ep_requantize_dsp(twice_acc, multiplier, round, less_1 + 1);
    return (int8_t)ep_clamp32(y, p->act_min, p->act_max);
}

#if EP_DSP_ASM && defined(__OPTIMIZE__)

#define EP_DENSE_PAIR(A, S)                                                                        \
    "ldrd    %[w0], %[w1], [%[w]], #8\n\t"                                                         \
    "sxtb16  %[t], %[w0]\n\t"                                                                      \
    "smlad   %[" S "], %[even], %[w0], %[" S "]\n\t"                                               \
    "smlad   %[" A "], %[even], %[t], %[" A "]\n\t"                                                \
    "sxtb16  %[t], %[w1]\n\t"                                                                      \
    "smlad   %[" S "], %[odd], %[w1], %[" S "]\n\t"                                                \
    "smlad   %[" A "], %[odd], %[t], %[" A "]\n\t"
#define EP_DENSE_STEP                                                                              \
    "ldr     %[even], [%[x]], #4\n\t"                                                              \
    "sxtab16 %[odd], %[off], %[even], ror #8\n\t"                                                  \
    "sxtab16 %[even], %[off], %[even]\n\t" EP_DENSE_PAIR("a0", "s0") EP_DENSE_PAIR("a1", "s1")
#define EP_DENSE_ASM(CODE)                                                                         \
    __asm__ volatile(                                                                              \
        "1:\n\t" CODE "cmp %[x], %[end]\n\tbne 1b\n\t"                                             \
        : [a0] "+r"(a0), [a1] "+r"(a1), [s0] "+r"(s0), [s1] "+r"(s1), [w] "+r"(w), [x] "+r"(x),    \
          [even] "=&r"(even), [odd] "=&r"(odd), [w0] "=&r"(w0), [w1] "=&r"(w1), [t] "=&r"(t)       \
        : [off] "r"(offset), [end] "r"(end)                                                        \
        : "cc", "memory")

/* `count` inputs, a multiple of 4, times four filters. Returns the weights that follow. */
EP_INLINE const uint32_t *ep_dense_dot(ep_sums *sums, const uint32_t *w, const int8_t *x,
                                       int32_t count, uint32_t offset) {
    int32_t a0 = sums->a0, a1 = sums->a1, s0 = sums->s0, s1 = sums->s1;
    uint32_t even, odd, w0, w1, t;
    const int8_t *const end = x + count;
    if (count % 16 == 0 && count > 0) {
        EP_DENSE_ASM(EP_DENSE_STEP EP_DENSE_STEP EP_DENSE_STEP EP_DENSE_STEP);
    } else if (count > 0) {
        EP_DENSE_ASM(EP_DENSE_STEP);
    }
    sums->a0 = a0, sums->a1 = a1, sums->s0 = s0, sums->s1 = s1;
    return w;
}

#else

EP_INLINE const uint32_t *ep_dense_dot(ep_sums *sums, const uint32_t *w, const int8_t *x,
                                       int32_t count, uint32_t offset) {
    for (int32_t k = 0; k < count; k += 4, x += 4, w += 4) {
        const uint32_t four = ep_load32(x);
        const uint32_t even = ep_sxtab16(offset, four), odd = ep_sxtab16_ror8(offset, four);
        sums->a0 = ep_smlad(odd, ep_sxtb16(w[1]), ep_smlad(even, ep_sxtb16(w[0]), sums->a0));
        sums->s0 = ep_smlad(odd, w[1], ep_smlad(even, w[0], sums->s0));
        sums->a1 = ep_smlad(odd, ep_sxtb16(w[3]), ep_smlad(even, ep_sxtb16(w[2]), sums->a1));
        sums->s1 = ep_smlad(odd, w[3], ep_smlad(even, w[2], sums->s1));
    }
    return w;
}

#endif

/* Sums of four filters in weights that are not shared. */
typedef struct {
    int32_t s0, s1, s2, s3;
} ep_dense_sums;

#if EP_DSP_ASM && defined(__OPTIMIZE__)

#define EP_DENSE_INPUTS                                                                            \
    "ldr     %[even], [%[x]], #4\n\t"                                                              \
    "sxtb16  %[odd], %[even], ror #8\n\t"                                                          \
    "sxtb16  %[even], %[even]\n\t"
#define EP_DENSE_FOUR(T, S)                                                                        \
    "sxtb16  %[t], %[" T "]\n\t"                                                                   \
    "smlad   %[" S "], %[even], %[t], %[" S "]\n\t"                                                \
    "sxtb16  %[t], %[" T "], ror #8\n\t"                                                           \
    "smlad   %[" S "], %[odd], %[t], %[" S "]\n\t"
#define EP_DENSE_BYTE(S) "ldr     %[w0], [%[w]], #4\n\t" EP_DENSE_FOUR("w0", S)
#define EP_DENSE_BYTES                                                                             \
    EP_DENSE_INPUTS EP_DENSE_BYTE("s0") EP_DENSE_BYTE("s1") EP_DENSE_BYTE("s2") EP_DENSE_BYTE("s"  \
                                                                                              "3")
#define EP_DENSE_NIBBLE(S, U)                                                                      \
    "ldr     %[w0], [%[w]], #4\n\t"                                                                \
    "and     %[w1], %[mask], %[w0], lsl #4\n\t" EP_DENSE_FOUR(                                     \
        "w1", S) "and     %[w1], %[mask], %[w0]\n\t" EP_DENSE_FOUR("w1", U)
#define EP_DENSE_NIBBLES EP_DENSE_INPUTS EP_DENSE_NIBBLE("s0", "s1") EP_DENSE_NIBBLE("s2", "s3")
#define EP_DENSE_SINGLE(CODE)                                                                      \
    __asm__ volatile(                                                                              \
        "1:\n\t" CODE "cmp %[x], %[end]\n\tbne 1b\n\t"                                             \
        : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [w] "+r"(w), [x] "+r"(x),    \
          [even] "=&r"(even), [odd] "=&r"(odd), [w0] "=&r"(w0), [w1] "=&r"(w1), [t] "=&r"(t)       \
        : [end] "r"(end), [mask] "r"(EP_NIBBLES)                                                   \
        : "cc", "memory")

/* ep_dense_dot for weights that are not shared. */
EP_INLINE const uint32_t *ep_dense_single(ep_dense_sums *sums, const uint32_t *w, const int8_t *x,
                                          int32_t count, int32_t layout) {
    int32_t s0 = sums->s0, s1 = sums->s1, s2 = sums->s2, s3 = sums->s3;
    uint32_t even, odd, w0, w1, t;
    const int8_t *const end = x + count;
    if (count > 0 && layout == EP_WEIGHTS_BYTES) {
        EP_DENSE_SINGLE(EP_DENSE_BYTES);
    } else if (count > 0) {
        EP_DENSE_SINGLE(EP_DENSE_NIBBLES);
    }
    *sums = (ep_dense_sums){s0, s1, s2, s3};
    return w;
}

#else

EP_INLINE int32_t ep_dense_four(int32_t acc, uint32_t even, uint32_t odd, uint32_t weights) {
    return ep_smlad(odd, ep_sxtb16_ror8(weights), ep_smlad(even, ep_sxtb16(weights), acc));
}

EP_INLINE const uint32_t *ep_dense_single(ep_dense_sums *sums, const uint32_t *w, const int8_t *x,
                                          int32_t count, int32_t layout) {
    const bool bytes = layout == EP_WEIGHTS_BYTES;
    for (int32_t k = 0; k < count; k += 4, x += 4, w += bytes ? 4 : 2) {
        const uint32_t four = ep_load32(x);
        const uint32_t even = ep_sxtb16(four), odd = ep_sxtb16_ror8(four);
        const uint32_t w0 = bytes ? w[0] : (w[0] << 4) & EP_NIBBLES;
        const uint32_t w1 = bytes ? w[1] : w[0] & EP_NIBBLES;
        const uint32_t w2 = bytes ? w[2] : (w[1] << 4) & EP_NIBBLES;
        const uint32_t w3 = bytes ? w[3] : w[1] & EP_NIBBLES;
        sums->s0 = ep_dense_four(sums->s0, even, odd, w0);
        sums->s1 = ep_dense_four(sums->s1, even, odd, w1);
        sums->s2 = ep_dense_four(sums->s2, even, odd, w2);
        sums->s3 = ep_dense_four(sums->s3, even, odd, w3);
    }
    return w;
}

#endif

/* Adds the products of all inputs and of `last`, what is left of them, with four filters to `acc`,
 * their biases. Returns what follows the weights. */
EP_INLINE const uint32_t *ep_dense_four_single(const ep_fully_connected_s8_dsp_params *p,
                                               const uint32_t *w, const int8_t *in,
                                               const int8_t *last, int32_t *acc) {
    const int32_t layout = p->layout;
    ep_dense_sums s = {ep_single_start(layout, acc[0]), ep_single_start(layout, acc[1]),
                       ep_single_start(layout, acc[2]), ep_single_start(layout, acc[3])};
    w = ep_dense_single(&s, w, in, p->in_n & ~3, layout);
    if (p->in_n % 4 != 0) {
        w = ep_dense_single(&s, w, last, 4, layout);
    }
    acc[0] = ep_single_sum(layout, s.s0, acc[0]);
    acc[1] = ep_single_sum(layout, s.s1, acc[1]);
    acc[2] = ep_single_sum(layout, s.s2, acc[2]);
    acc[3] = ep_single_sum(layout, s.s3, acc[3]);
    return w;
}

/* The outputs of the first `count` of four filters, whose scales stand at `w`. */
EP_INLINE void ep_dense_store_single(const ep_fully_connected_s8_dsp_params *p, const uint32_t *w,
                                     const int32_t *acc, int8_t *out, int32_t count) {
    for (int32_t i = 0; i < 4; ++i) {
        const int32_t m = p->per_channel ? (int32_t)w[i] : p->multiplier;
        const int32_t bits = p->per_channel ? (int8_t)((w[4] >> (8 * i)) & 0xFFu) : p->shift;
        if (i >= count) {
            return;
        }
        out[i] = p->any_scale ? (int8_t)ep_requantize_to(acc[i], m, bits, p->output_offset,
                                                         p->act_min, p->act_max)
                              : ep_dense_output(p, acc[i] * 2, m, bits);
    }
}

EP_INLINE void ep_fully_connected_s8_dsp(const ep_fully_connected_s8_dsp_params *p,
                                         const int8_t *in, const uint32_t *stream, int8_t *out) {
    const uint32_t offset = ep_pack16(p->input_offset, p->input_offset);
    for (int32_t b = 0; b < p->batches; ++b, in += p->in_n, out += p->out_n) {
        const uint32_t *w = stream;
        for (int32_t f = 0; f < p->out_n; f += 4) {
            int32_t bias[4];
            if (p->narrow_bias) {
                bias[0] = ep_low16(w[0]), bias[1] = ep_high16(w[0]);
                bias[2] = ep_low16(w[1]), bias[3] = ep_high16(w[1]);
                w += 2;
            } else {
                for (int32_t i = 0; i < 4; ++i) {
                    bias[i] = (int32_t)*w++;
                }
            }
            int8_t last[4] = {0, 0, 0, 0}; /* the weights of the missing inputs are 0 */
            if (p->layout != EP_WEIGHTS_PAIRS) {
                for (int32_t i = 0; i < p->in_n % 4; ++i) {
                    last[i] = in[(p->in_n & ~3) + i];
                }
                w = ep_dense_four_single(p, w, in, last, bias);
                ep_dense_store_single(p, w, bias, out + f, p->out_n - f);
                w += p->per_channel ? 5 : 0;
                continue;
            }
            ep_sums s = {bias[0], bias[2], 0, 0, 0, 0, 0, 0};
            s.s0 = ep_wrap_add(bias[0], ep_shift_left(bias[1], 8));
            s.s1 = ep_wrap_add(bias[2], ep_shift_left(bias[3], 8));
            w = ep_dense_dot(&s, w, in, p->in_n & ~3, offset);
            if (p->in_n % 4 != 0) {
                for (int32_t i = 0; i < p->in_n % 4; ++i) {
                    last[i] = in[(p->in_n & ~3) + i];
                }
                w = ep_dense_dot(&s, w, last, 4, offset);
            }
            const int32_t twice[4] = {s.a0 * 2, ep_second_doubled(s.a0, s.s0), s.a1 * 2,
                                      ep_second_doubled(s.a1, s.s1)};
            EP_UNROLL(4)
            for (int32_t i = 0; i < 4; ++i) {
                const int32_t m = p->per_channel ? (int32_t)w[i] : p->multiplier;
                const int32_t less_1 =
                    p->per_channel ? (int32_t)((w[4] >> (8 * i)) & 0xFFu) : p->shift;
                if (p->out_n % 4 == 0 || f + i < p->out_n) {
                    out[f + i] = ep_dense_output(p, twice[i], m, less_1);
                }
            }
            w += p->per_channel ? 5 : 0;
        }
    }
}

#endif
