/* FULLY_CONNECTED int8 for cores with a multiplier only.
 *
 * mul64: three filters at a time, and one SMLAL for two inputs. The bytes 0 and 3 of a word of inputs
 * and of a word of weights become x0 + 2^24 * x3 and w0 + 2^24 * w3 by one mask; the product has
 * x0 * w3 + x3 * w0 in bits 24 to 47, so that with the weights of inputs 0 and 3 swapped two of an
 * inner product's terms add up there (and bytes 2 and 1 alike, after a rotation). What stands in the
 * low bytes must not be negative: there inputs and weights have 128 added, of which `start` takes off
 * what is known at build time and the sum of odd inputs the rest. Sums are exact modulo 2^24.
 *
 * mul32: four filters at a time; weights have 128 added, as Armv6-M loads unsigned bytes at fixed
 * offsets in one instruction, and 128 times the sum of inputs is taken off again.
 *
 * `stream` holds per group of filters: their start values (biases with the input's zero point and the
 * above folded in), the weights of four inputs at a time and within them by filter (mul64: a word of
 * inputs 3, 2, 1, 0 each) or by input (mul32: four filters each), and, with scales per channel,
 * multipliers and right shifts. Missing filters and inputs have weights of 0. */
#ifndef EP_FULLY_CONNECTED_S8_MUL_H
#define EP_FULLY_CONNECTED_S8_MUL_H

#include "ep_mul.h"

typedef struct {
    int32_t batches, in_n, out_n;
    int32_t output_offset;     /* the output's zero point */
    int32_t multiplier, shift; /* of all filters, unless per_channel */
    int32_t act_min, act_max;
    bool per_channel;
    bool mul64;
    bool clamp; /* mul32: ep_store.clamp */
} ep_fully_connected_s8_mul_params;

EP_INLINE uint32_t ep_rotate16(uint32_t x) {
    return x >> 16 | x << 16;
}
/* Bytes 0 and 3. */
EP_INLINE int32_t ep_ends(uint32_t x) {
    return (int32_t)(x & 0xFF0000FFu);
}

EP_INLINE int64_t ep_dense_word(int64_t sum, uint32_t w, uint32_t x) {
    /* what stands above the wanted field may wrap */
    sum = ep_wrap_add64(sum, (int64_t)ep_ends(w) * ep_ends(x));
    return ep_wrap_add64(sum, (int64_t)ep_ends(ep_rotate16(w)) * ep_ends(ep_rotate16(x)));
}

/* Three filters; sums modulo 2^24 in bits 24 to 47. */
EP_INLINE const uint32_t *ep_dense_3(int64_t *sums, const uint32_t *w, const int8_t *in,
                                     int32_t n) {
    const int8_t *const end = in + (n & ~3);
    int64_t a = 0, b = 0, c = 0;
#if EP_MUL64_ASM
    if (n >= 4) {
        const uint32_t mask = 0xFF0000FFu;
        uint32_t x, y, t, v;
#define EP_FILTER(S)                                                                               \
    "ldr   %[v], [%[w]], #4\n\t"                                                                   \
    "and   %[t], %[mask], %[v]\n\t"                                                                \
    "smlal %Q[" S "], %R[" S "], %[x], %[t]\n\t"                                                   \
    "and   %[t], %[mask], %[v], ror #16\n\t"                                                       \
    "smlal %Q[" S "], %R[" S "], %[y], %[t]\n\t"
#define EP_INPUTS                                                                                  \
    "ldr   %[y], [%[in]], #4\n\t"                                                                  \
    "eor   %[y], %[y], #0x00800080\n\t"                                                            \
    "and   %[x], %[mask], %[y]\n\t"                                                                \
    "and   %[y], %[mask], %[y], ror #16\n\t" EP_FILTER("a") EP_FILTER("b") EP_FILTER("c")
        __asm__ volatile("1:\n\t" EP_INPUTS "ldr   %[t], %[end]\n\t"
                         "cmp   %[in], %[t]\n\t"
                         "beq   2f\n\t" EP_INPUTS "ldr   %[t], %[end]\n\t"
                         "cmp   %[in], %[t]\n\t"
                         "bne   1b\n"
                         "2:\n\t"
                         : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [w] "+r"(w), [in] "+r"(in),
                           [x] "=&r"(x), [y] "=&r"(y), [t] "=&r"(t), [v] "=&r"(v)
                         : [mask] "r"(mask), [end] "m"(end)
                         : "cc", "memory");
#undef EP_INPUTS
#undef EP_FILTER
    }
#endif
    for (; in < end; in += 4, w += 3) {
        uint32_t four;
        memcpy(&four, in, 4);
        four ^= 0x00800080u;
        a = ep_dense_word(a, w[0], four);
        b = ep_dense_word(b, w[1], four);
        c = ep_dense_word(c, w[2], four);
    }
    if (n % 4 != 0) { /* what the missing inputs meet are weights of 0, or of 128 at odd inputs */
        uint32_t four = 0;
        memcpy(&four, in, (size_t)(n % 4));
        four ^= 0x00800080u;
        a = ep_dense_word(a, w[0], four);
        b = ep_dense_word(b, w[1], four);
        c = ep_dense_word(c, w[2], four);
        w += 3;
    }
    sums[0] = a, sums[1] = b, sums[2] = c;
    return w;
}

/* 128 times the inputs that meet weights with 128 added: the odd ones, or all. */
EP_INLINE int32_t ep_dense_excess(const ep_fully_connected_s8_mul_params *p, const int8_t *in) {
    int32_t sum = 0;
    for (int32_t i = p->mul64 ? 1 : 0; i < p->in_n; i += p->mul64 ? 2 : 1) {
        sum += in[i];
    }
    return sum * 128;
}

/* Four filters times n inputs, a multiple of 4. */
EP_INLINE const uint8_t *ep_dense_4(int32_t *sums, const uint8_t *w, const int8_t *in, int32_t n) {
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    int32_t i = 0;
#if EP_MUL32_ASM
    uint32_t x, t;
#define EP_TERM(J, S)                                                                              \
    "ldrb  %[t], [%[w], #" #J "]\n\t"                                                              \
    "muls  %[t], %[x], %[t]\n\t"                                                                   \
    "add   " S ", %[t]\n\t"
#define EP_INPUT(A, B, C, D)                                                                       \
    "ldrsb %[x], [%[in], %[i]]\n\t"                                                                \
    "adds  %[i], #1\n\t" EP_TERM(A, "%[s0]") EP_TERM(B, "%[s1]") EP_TERM(C, "%[s2]")               \
        EP_TERM(D, "%[s3]")
    if (n > 0) {
        __asm__(".syntax unified\n"
                "1:\n\t" EP_INPUT(0, 1, 2, 3) EP_INPUT(4, 5, 6, 7) EP_INPUT(8, 9, 10, 11)
                    EP_INPUT(12, 13, 14, 15) "adds  %[w], #16\n\t"
                                             "cmp   %[i], %[n]\n\t"
                                             "bne   1b\n\t"
                : [s0] "+h"(s0), [s1] "+h"(s1), [s2] "+h"(s2), [s3] "+h"(s3), [w] "+l"(w),
                  [i] "+l"(i), [x] "=&l"(x), [t] "=&l"(t)
                : [in] "l"(in), [n] "r"(n)
                : "cc", "memory");
    }
#undef EP_INPUT
#undef EP_TERM
#else
    for (; i < n; ++i, w += 4) {
        s0 += w[0] * in[i], s1 += w[1] * in[i], s2 += w[2] * in[i], s3 += w[3] * in[i];
    }
#endif
    sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
    return w;
}

EP_INLINE void ep_fully_connected_s8_mul(const ep_fully_connected_s8_mul_params *p,
                                         const int8_t *in, const uint32_t *stream, int8_t *out) {
    const int32_t group = p->mul64 ? 3 : 4, zero = p->output_offset;
    ep_store store = {{0, 0, 0, 0, 0, 0, 0}, 1, p->act_min, p->act_max, p->clamp};
    store.scale = p->mul64 ? ep_scale64(p->multiplier, p->shift, zero)
                           : ep_scale32(p->multiplier, p->shift, zero);
    for (int32_t b = 0; b < p->batches; ++b, in += p->in_n, out += p->out_n) {
        const int32_t excess = ep_dense_excess(p, in);
        const uint32_t *w = stream;
        for (int32_t f = 0; f < p->out_n; f += group) {
            int32_t accs[4];
            memcpy(accs, w, 4u * (size_t)group);
            w += group;
            if (p->mul64) {
                int64_t sums[3];
                w = ep_dense_3(sums, w, in, p->in_n);
                for (int32_t i = 0; i < 3; ++i) {
                    const uint32_t raw = (uint32_t)((uint64_t)sums[i] >> 24) + (uint32_t)accs[i];
                    accs[i] = ep_shift_left((int32_t)(raw - (uint32_t)excess), 8) >> 8;
                }
            } else {
                const int32_t whole = p->in_n & ~3;
                const uint8_t *bytes = (const uint8_t *)(const void *)w;
                for (int32_t i = 0; i < 4; ++i) {
                    accs[i] = ep_wrap_sub(accs[i], excess);
                }
                bytes = ep_dense_4(accs, bytes, in, whole);
                for (int32_t k = whole; k < p->in_n; ++k, bytes += 4) {
                    for (int32_t i = 0; i < 4; ++i) {
                        accs[i] += bytes[i] * in[k];
                    }
                }
                w = (const uint32_t *)(const void *)bytes;
            }
            const int32_t live = ep_min32(group, p->out_n - f);
            const uint8_t *const shifts = (const uint8_t *)(const void *)(w + group);
            for (int32_t i = 0; i < live; i += p->per_channel ? 1 : live) {
                const int32_t count = p->per_channel ? 1 : live;
                if (p->per_channel) {
                    store.scale = p->mul64 ? ep_scale64((int32_t)w[i], shifts[i], zero)
                                           : ep_scale32((int32_t)w[i], shifts[i], zero);
                }
                if (p->mul64) {
                    ep_store_accs(&store, accs + i, out + f + i, count);
                } else {
                    ep_store_words(&store, accs + i, out + f + i, count);
                }
            }
            w += p->per_channel ? group + 1 : 0;
        }
    }
}

#endif
