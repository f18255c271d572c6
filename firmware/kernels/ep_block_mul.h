/* The inner product of the `mul32` and `mul64` convolutions: every filter over the inputs of a block
 * of output positions, which are gathered once.
 *
 * `columns` holds four words per input k. mul64: word j is the input of positions j and j + 4 as a
 * pair (ep_mul.h), so that one SMLAL does two multiply-accumulates and a block has eight positions.
 * mul32: word j is the input of position j alone, four positions.
 *
 * `stream` holds per filter: start << 5 | shift (the bias with the zero point folded in, and the right
 * shift), k weights as bytes, and the multiplier. mul64 weights are int8; mul32 weights are uint8,
 * weight + 128, which Armv6-M loads in one instruction; 128 times the sum of inputs is taken off
 * again, once per position. */
#ifndef EP_BLOCK_MUL_H
#define EP_BLOCK_MUL_H

#include "ep_mul.h"

typedef struct {
    int32_t k; /* inputs of a filter, a multiple of 4 */
    int32_t filters;
    int32_t row;  /* the distance between outputs of neighbouring positions */
    int32_t zero; /* the output's zero point */
    int32_t act_min, act_max;
    bool clamp; /* mul32: accumulators may exceed 2^20, where outputs are saturated already */
} ep_block;

EP_INLINE int32_t ep_block_clamp(const ep_block *b, int32_t y) {
    return ep_clamp32(y, b->act_min, b->act_max);
}

/* mul64: one filter times eight positions. Returns the weights that follow. */
EP_INLINE const int8_t *ep_dot_1x8(int64_t *sums, const int8_t *w, const int32_t *x, int32_t k) {
#if EP_MUL64_ASM
    uint32_t l0 = (uint32_t)sums[0], l1 = (uint32_t)sums[1], l2 = (uint32_t)sums[2],
             l3 = (uint32_t)sums[3];
    uint32_t h0 = (uint32_t)((uint64_t)sums[0] >> 32), h1 = (uint32_t)((uint64_t)sums[1] >> 32),
             h2 = (uint32_t)((uint64_t)sums[2] >> 32), h3 = (uint32_t)((uint64_t)sums[3] >> 32);
    const int32_t *const end = x + 4 * k;
    uint32_t t = (uint32_t)k & 4u, x0, x1;
#define EP_STEP                                                                                    \
    "ldrsb %[t], [%[w]], #1\n\t"                                                                   \
    "ldrd  %[x0], %[x1], [%[x]], #8\n\t"                                                           \
    "smlal %[l0], %[h0], %[x0], %[t]\n\t"                                                          \
    "smlal %[l1], %[h1], %[x1], %[t]\n\t"                                                          \
    "ldrd  %[x0], %[x1], [%[x]], #8\n\t"                                                           \
    "smlal %[l2], %[h2], %[x0], %[t]\n\t"                                                          \
    "smlal %[l3], %[h3], %[x1], %[t]\n\t"
#define EP_STEPS_4 EP_STEP EP_STEP EP_STEP EP_STEP
    /* All fourteen general registers are in use; the end is compared from the stack. The loop is
     * entered in the middle if k is an odd multiple of 4. */
    __asm__ volatile("cmp   %[t], #0\n\t"
                     "bne   2f\n"
                     "1:\n\t" EP_STEPS_4 "2:\n\t" EP_STEPS_4 "ldr   %[t], %[end]\n\t"
                     "cmp   %[x], %[t]\n\t"
                     "bne   1b\n\t"
                     : [l0] "+r"(l0), [l1] "+r"(l1), [l2] "+r"(l2), [l3] "+r"(l3), [h0] "+r"(h0),
                       [h1] "+r"(h1), [h2] "+r"(h2), [h3] "+r"(h3), [w] "+r"(w), [x] "+r"(x),
                       [t] "+r"(t), [x0] "=&r"(x0), [x1] "=&r"(x1)
                     : [end] "m"(end)
                     : "cc", "memory");
#undef EP_STEPS_4
#undef EP_STEP
    sums[0] = (int64_t)((uint64_t)h0 << 32 | l0);
    sums[1] = (int64_t)((uint64_t)h1 << 32 | l1);
    sums[2] = (int64_t)((uint64_t)h2 << 32 | l2);
    sums[3] = (int64_t)((uint64_t)h3 << 32 | l3);
    return w;
#else
    for (int32_t i = 0; i < k; ++i, x += 4) {
        const int64_t weight = *w++;
        for (int32_t j = 0; j < 4; ++j) {
            sums[j] += weight * x[j];
        }
    }
    return w;
#endif
}

/* All filters at up to eight positions; `count` of them are kept. */
EP_NOINLINE void ep_block_mul64(const ep_block *b, const int32_t *columns, const uint32_t *stream,
                                int8_t *to, int32_t count) {
    const int32_t c = b->row;
    const bool plain = count == 8 && b->act_min == INT8_MIN && b->act_max == INT8_MAX;
    for (int8_t *const last = to + b->filters; to < last; ++to) {
        const int32_t head = (int32_t)*stream++;
        const int64_t start = ep_pair_start(head >> 5, head >> 5);
        int64_t sums[4] = {start, start, start, start};
        stream = (const uint32_t *)(const void *)ep_dot_1x8(
            sums, (const int8_t *)(const void *)stream, columns, b->k);
        const ep_scale scale = ep_scale64((int32_t)*stream++, head & 31, b->zero);
        if (plain) {
            int8_t *at = to;
            EP_UNROLL(4)
            for (int32_t j = 0; j < 4; ++j, at += c) {
                *at = (int8_t)ep_saturate8(ep_scaled64(&scale, ep_pair_low(sums[j])));
            }
            EP_UNROLL(4)
            for (int32_t j = 0; j < 4; ++j, at += c) {
                *at = (int8_t)ep_saturate8(ep_scaled64(&scale, ep_pair_high(sums[j])));
            }
        } else {
            const ep_store store = {scale, c, b->act_min, b->act_max, false};
            ep_store_pairs(&store, sums, to, ep_min32(count, 4), to + 4 * c, count - 4);
        }
    }
}

/* mul32: sums at four positions. */
typedef struct {
    int32_t a0, a1, a2, a3;
} ep_sums_4;

/* mul32: one filter times four positions. Returns the weights that follow. */
EP_INLINE const uint8_t *ep_dot_1x4(ep_sums_4 *s, const uint8_t *w, const int32_t *x, int32_t k) {
#if EP_MUL32_ASM
    const int32_t *const end = x + 4 * k;
    uint32_t t = (uint32_t)k & 4u;
#define EP_STEP(I)                                                                                 \
    "ldrb  %[t], [%[w], #" #I "]\n\t"                                                              \
    "ldmia %[x]!, {r3, r4, r5, r6}\n\t"                                                            \
    "muls  r3, %[t], r3\n\t"                                                                       \
    "add   %[a0], r3\n\t"                                                                          \
    "muls  r4, %[t], r4\n\t"                                                                       \
    "add   %[a1], r4\n\t"                                                                          \
    "muls  r5, %[t], r5\n\t"                                                                       \
    "add   %[a2], r5\n\t"                                                                          \
    "muls  r6, %[t], r6\n\t"                                                                       \
    "add   %[a3], r6\n\t"
    __asm__ volatile(".syntax unified\n\t"
                     "cmp   %[t], #0\n\t"
                     "beq   1f\n\t"
                     "subs  %[w], #4\n\t" /* an odd multiple of 4: enter in the middle */
                     "b     2f\n"
                     "1:\n\t" EP_STEP(0) EP_STEP(1) EP_STEP(2) EP_STEP(3) "2:\n\t" EP_STEP(4)
                         EP_STEP(5) EP_STEP(6) EP_STEP(7) "adds  %[w], #8\n\t"
                                                          "cmp   %[x], %[end]\n\t"
                                                          "bne   1b\n\t"
                     : [a0] "+h"(s->a0), [a1] "+h"(s->a1), [a2] "+h"(s->a2), [a3] "+h"(s->a3),
                       [w] "+l"(w), [x] "+l"(x), [t] "+l"(t)
                     : [end] "r"(end)
                     : "r3", "r4", "r5", "r6", "cc", "memory");
#undef EP_STEP
#else
    EP_UNROLL(4)
    for (int32_t i = 0; i < k; ++i, x += 4) {
        const int32_t weight = *w++;
        s->a0 = ep_wrap_add(s->a0, weight * x[0]);
        s->a1 = ep_wrap_add(s->a1, weight * x[1]);
        s->a2 = ep_wrap_add(s->a2, weight * x[2]);
        s->a3 = ep_wrap_add(s->a3, weight * x[3]);
    }
#endif
    return w;
}

/* All filters at up to four positions; `count` of them are kept. */
EP_NOINLINE void ep_block_mul32(const ep_block *b, const int32_t *columns, const uint32_t *stream,
                                int8_t *to, int32_t count) {
    const bool plain = b->act_min == INT8_MIN && b->act_max == INT8_MAX && !b->clamp;
    int32_t base0 = 0, base1 = 0, base2 = 0, base3 = 0; /* minus 128 times the sums of inputs */
    for (const int32_t *x = columns; x < columns + 4 * b->k; x += 4) {
        base0 -= x[0], base1 -= x[1], base2 -= x[2], base3 -= x[3];
    }
    base0 *= 128, base1 *= 128, base2 *= 128, base3 *= 128;
    for (int8_t *const end = to + b->filters; to < end; ++to) {
        const int32_t head = (int32_t)*stream++, start = head >> 5;
        ep_sums_4 s = {ep_wrap_add(base0, start), ep_wrap_add(base1, start),
                       ep_wrap_add(base2, start), ep_wrap_add(base3, start)};
        stream = (const uint32_t *)(const void *)ep_dot_1x4(
            &s, (const uint8_t *)(const void *)stream, columns, b->k);
        const int32_t accs[4] = {s.a0, s.a1, s.a2, s.a3};
        const ep_scale scale = ep_scale32((int32_t)*stream++, head & 31, b->zero);
        if (plain) {
            ep_store_plain(&scale, b->row, accs, to, count);
        } else {
            const ep_store store = {scale, b->row, b->act_min, b->act_max, b->clamp};
            ep_store_words(&store, accs, to, count);
        }
    }
}

#endif
