/* DEPTHWISE_CONV_2D int8 for cores with a multiplier only: one channel of the output at a time, row by
 * row. A ring holds the widened input rows that the next output row needs, so that output and
 * input may be the same memory (checked at build time), and the padding: positions outside the input
 * read `fill`.
 *
 * mul64: a word is a pair (ep_mul.h) of inputs `half` outputs apart, and every SMLAL does a
 * multiply-accumulate for an output in either half of the row. mul32: a word is one input. A row is
 * stored by phases: words 0, stride_w, 2 * stride_w, ... first, so that what neighbouring outputs
 * read is neighbouring whatever the stride.
 *
 * `stream` holds per channel start << 5 | shift (the bias with the zero point folded in, and the right
 * shift) and the multiplier; behind all of these, the taps of every channel as int8. */
#ifndef EP_DEPTHWISE_S8_MUL_H
#define EP_DEPTHWISE_S8_MUL_H

#include "ep_mul.h"

typedef struct {
    int32_t batches, in_h, in_w, channels; /* channels: of the output */
    int32_t depth_multiplier;              /* filters of an input channel */
    int32_t out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t half;      /* mul64: outputs of the left half, (out_w + 1) / 2; mul32: out_w */
    int32_t ring_h;    /* rows that an output row reads, (kernel_h - 1) * dilation_h + 1 */
    int32_t phase_len; /* words of one phase; half rounded up to 4, plus what the taps reach */
    int32_t fill;      /* the input's zero point */
    int32_t output_offset;
    int32_t act_min, act_max;
    bool three; /* a 3x3 kernel */
    bool mul64;
    bool clamp; /* mul32: accumulators may exceed 2^20, where outputs are saturated already */
} ep_depthwise_s8_mul_params;

/* Channels of the input. */
EP_INLINE int32_t ep_ring_channels(const ep_depthwise_s8_mul_params *p) {
    return p->channels / p->depth_multiplier;
}

/* `n` words of a row from inputs `step` apart: pairs of low[..] and high[..], either may be NULL. */
EP_INLINE void ep_ring_run(const ep_depthwise_s8_mul_params *p, int32_t *to, const int8_t *low,
                           const int8_t *high, int32_t n) {
    const int32_t step = p->stride_w * ep_ring_channels(p);
    for (int32_t at = 0; n > 0; --n, at += step) {
        *to++ = p->mul64 ? ep_pair(low ? low[at] : p->fill, high ? high[at] : p->fill) : low[at];
    }
}

/* Widens one input row of one channel. Words with no input at all are `fill` already. */
EP_INLINE void ep_ring_load(const ep_depthwise_s8_mul_params *p, const int8_t *in, int32_t *row) {
    const int32_t s = p->stride_w, c = ep_ring_channels(p), length = p->phase_len;
    for (int32_t phase = 0; phase < s; ++phase, row += length) {
        const int32_t before = p->pad_left - phase;
        const int32_t first = before > 0 ? (before + s - 1) / s : 0; /* words with a low input */
        const int32_t behind = (p->in_w + before + s - 1) / s;
        const int32_t end = ep_min32(behind, length);
        const int8_t *const low = in + (s * first - before) * c;
        if (!p->mul64) {
            ep_ring_run(p, row + first, low, NULL, end - first);
            continue;
        }
        const int32_t high_first = before > s * p->half ? (before + s - 1) / s - p->half : 0;
        const int32_t high_end = ep_min32(behind - p->half, length);
        const int8_t *const high = in + (s * (high_first + p->half) - before) * c;
        const int32_t both = ep_max32(first, high_first);
        if (high_end <= both) { /* so narrow that no word has two inputs */
            ep_ring_run(p, row + high_first, NULL, high, high_end - high_first);
            ep_ring_run(p, row + first, low, NULL, end - first);
            continue;
        }
        ep_ring_run(p, row + high_first, NULL, high, both - high_first);
        ep_ring_run(p, row + both, in + (s * both - before) * c,
                    in + (s * (both + p->half) - before) * c, high_end - both);
        ep_ring_run(p, row + high_end, in + (s * high_end - before) * c, NULL, end - high_end);
    }
}

/* Sums of four words, in names of their own: the compiler keeps them in registers. */
typedef struct {
    int64_t p0, p1, p2, p3; /* mul64 */
    int32_t s0, s1, s2, s3; /* mul32 */
} ep_four;

/* Adds one tap times four neighbouring words. */
EP_INLINE void ep_tap64(ep_four *f, const int32_t *x, int32_t weight) {
#if EP_MUL64_ASM
    uint32_t x0, x1;
    __asm__("ldrd  %[x0], %[x1], [%[x]]\n\t"
            "smlal %Q[p0], %R[p0], %[x0], %[w]\n\t"
            "smlal %Q[p1], %R[p1], %[x1], %[w]\n\t"
            "ldrd  %[x0], %[x1], [%[x], #8]\n\t"
            "smlal %Q[p2], %R[p2], %[x0], %[w]\n\t"
            "smlal %Q[p3], %R[p3], %[x1], %[w]\n\t"
            : [p0] "+r"(f->p0), [p1] "+r"(f->p1), [p2] "+r"(f->p2), [p3] "+r"(f->p3),
              [x0] "=&r"(x0), [x1] "=&r"(x1)
            : [x] "r"(x), [w] "r"(weight), "m"(*(const int32_t (*)[4])x));
#else
    f->p0 += (int64_t)weight * x[0];
    f->p1 += (int64_t)weight * x[1];
    f->p2 += (int64_t)weight * x[2];
    f->p3 += (int64_t)weight * x[3];
#endif
}
EP_INLINE void ep_tap32(ep_four *f, const int32_t *x, int32_t weight) {
#if EP_MUL32_ASM
    __asm__(".syntax unified\n\t"
            "ldmia %[x]!, {r3, r4, r5, r6}\n\t"
            "muls  r3, %[w], r3\n\t"
            "add   %[s0], r3\n\t"
            "muls  r4, %[w], r4\n\t"
            "add   %[s1], r4\n\t"
            "muls  r5, %[w], r5\n\t"
            "add   %[s2], r5\n\t"
            "muls  r6, %[w], r6\n\t"
            "add   %[s3], r6\n\t"
            : [s0] "+h"(f->s0), [s1] "+h"(f->s1), [s2] "+h"(f->s2), [s3] "+h"(f->s3), [x] "+l"(x)
            : [w] "l"(weight), "m"(*(const int32_t (*)[4])x)
            : "r3", "r4", "r5", "r6", "cc");
#else
    f->s0 += weight * x[0];
    f->s1 += weight * x[1];
    f->s2 += weight * x[2];
    f->s3 += weight * x[3];
#endif
}

/* Where a 3x3 kernel reads: the words of its first column, row by row, and the bytes from there to
 * the words of the second, and of the third column, less the four words read before. */
typedef struct {
    const int32_t *row[3];
    int32_t second, third;
    int32_t taps[9]; /* mul64 */
} ep_rows_3;

/* mul64: all of a 3x3 kernel. */
EP_INLINE void ep_taps_3x3_pairs(ep_four *f, const ep_rows_3 *rows, bool neighbours) {
#if EP_MUL64_ASM
    uint32_t x, t, x0, x1;
#define EP_TAP(T, A, B)                                                                            \
    "ldr   %[t], [%[rows], #" #T "]\n\t"                                                           \
    "ldrd  %[x0], %[x1], [%[x], #" #A "]\n\t"                                                      \
    "smlal %Q[p0], %R[p0], %[x0], %[t]\n\t"                                                        \
    "smlal %Q[p1], %R[p1], %[x1], %[t]\n\t"                                                        \
    "ldrd  %[x0], %[x1], [%[x], #" #B "]\n\t"                                                      \
    "smlal %Q[p2], %R[p2], %[x0], %[t]\n\t"                                                        \
    "smlal %Q[p3], %R[p3], %[x1], %[t]\n\t"
#define EP_MOVE(D) "ldr   %[t], [%[rows], #" #D "]\n\tadd   %[x], %[t]\n\tadds  %[x], #16\n\t"
#define EP_ROW(R, A, B, C)                                                                         \
    "ldr   %[x], [%[rows], #" #R "]\n\t" EP_TAP(A, 0, 8) EP_TAP(B, 4, 12) EP_TAP(C, 8, 16)
#define EP_FAR(R, A, B, C)                                                                         \
    "ldr   %[x], [%[rows], #" #R "]\n\t" EP_TAP(A, 0, 8) EP_MOVE(12) EP_TAP(B, 0, 8) EP_MOVE(16)   \
        EP_TAP(C, 0, 8)
#define EP_TAPS_ASM(ROW)                                                                           \
    __asm__(ROW(0, 20, 24, 28) ROW(4, 32, 36, 40) ROW(8, 44, 48, 52)                               \
            : [p0] "+r"(f->p0), [p1] "+r"(f->p1), [p2] "+r"(f->p2), [p3] "+r"(f->p3),              \
              [x] "=&r"(x), [t] "=&r"(t), [x0] "=&r"(x0), [x1] "=&r"(x1)                           \
            : [rows] "r"(rows)                                                                     \
            : "cc", "memory")
    if (neighbours) {
        EP_TAPS_ASM(EP_ROW);
    } else {
        EP_TAPS_ASM(EP_FAR);
    }
#undef EP_TAPS_ASM
#undef EP_FAR
#undef EP_ROW
#undef EP_MOVE
#undef EP_TAP
#else
    (void)neighbours;
    for (int32_t ky = 0; ky < 3; ++ky) {
        const int32_t *const x = rows->row[ky], *const y = x + 4 + rows->second / 4;
        ep_tap64(f, x, rows->taps[3 * ky]);
        ep_tap64(f, y, rows->taps[3 * ky + 1]);
        ep_tap64(f, y + 4 + rows->third / 4, rows->taps[3 * ky + 2]);
    }
#endif
}

#if EP_MUL32_ASM

/* mul32: all of a 3x3 kernel. */
EP_INLINE void ep_taps_3x3(ep_four *f, const ep_rows_3 *rows, const int8_t *taps) {
    uint32_t x, t;
#define EP_TAP(I)                                                                                  \
    "ldrb  %[t], [%[w], #" #I "]\n\t"                                                              \
    "sxtb  %[t], %[t]\n\t"                                                                         \
    "ldmia %[x]!, {r3, r4, r5, r6}\n\t"                                                            \
    "muls  r3, %[t], r3\n\t"                                                                       \
    "add   %[s0], r3\n\t"                                                                          \
    "muls  r4, %[t], r4\n\t"                                                                       \
    "add   %[s1], r4\n\t"                                                                          \
    "muls  r5, %[t], r5\n\t"                                                                       \
    "add   %[s2], r5\n\t"                                                                          \
    "muls  r6, %[t], r6\n\t"                                                                       \
    "add   %[s3], r6\n\t"
#define EP_ROW(R, A, B, C)                                                                         \
    "ldr   %[x], [%[rows], #" #R "]\n\t" EP_TAP(A) "ldr   %[t], [%[rows], #12]\n\t"                \
                                                   "adds  %[x], %[x], %[t]\n\t" EP_TAP(            \
                                                       B) "ldr   %[t], [%[rows], #16]\n\t"         \
                                                          "adds  %[x], %[x], %[t]\n\t" EP_TAP(C)
    __asm__(".syntax unified\n\t" EP_ROW(0, 0, 1, 2) EP_ROW(4, 3, 4, 5) EP_ROW(8, 6, 7, 8)
            : [s0] "+h"(f->s0), [s1] "+h"(f->s1), [s2] "+h"(f->s2), [s3] "+h"(f->s3), [x] "=&l"(x),
              [t] "=&l"(t)
            : [rows] "l"(rows), [w] "l"(taps)
            : "r3", "r4", "r5", "r6", "cc", "memory");
#undef EP_ROW
#undef EP_TAP
}

#else

EP_INLINE void ep_taps_3x3(ep_four *f, const ep_rows_3 *rows, const int8_t *taps) {
    for (int32_t ky = 0; ky < 3; ++ky, taps += 3) {
        const int32_t *const x = rows->row[ky], *const y = x + 4 + rows->second / 4;
        ep_tap32(f, x, taps[0]);
        ep_tap32(f, y, taps[1]);
        ep_tap32(f, y + 4 + rows->third / 4, taps[2]);
    }
}

#endif

/* What the outputs of a row share: its ring, the taps, and how they are stored. */
typedef struct {
    const int32_t *ring, *ring_end, *oldest; /* the row of the first tap */
    const int8_t *taps;
    int32_t start;
    ep_store store;
} ep_depthwise_row;

/* Outputs ox to ox + 3 (and half + ox to half + ox + 3) of one row. */
EP_INLINE void ep_depthwise_four(const ep_depthwise_s8_mul_params *p, const ep_depthwise_row *r,
                                 int32_t ox, int8_t *out) {
    const int32_t s = p->stride_w, words = s * p->phase_len, left = ep_min32(4, p->half - ox);
    const int64_t first = ep_pair_start(r->start, r->start);
    ep_four sums = {first, first, first, first, r->start, r->start, r->start, r->start};
    const int32_t *x = r->oldest + ox;
    const int8_t *taps = r->taps;
    for (int32_t ky = 0; ky < p->kernel_h; ++ky, x += p->dilation_h * words) {
        x -= x >= r->ring_end ? p->ring_h * words : 0;
        for (int32_t kx = 0; kx < p->kernel_w; ++kx) {
            const int32_t at = kx * p->dilation_w;
            if (p->mul64) {
                ep_tap64(&sums, x + at % s * p->phase_len + at / s, *taps++);
            } else {
                ep_tap32(&sums, x + at % s * p->phase_len + at / s, *taps++);
            }
        }
    }
    if (p->mul64) {
        const int64_t pairs[4] = {sums.p0, sums.p1, sums.p2, sums.p3};
        ep_store_pairs(&r->store, pairs, out + ox * p->channels, left,
                       out + (p->half + ox) * p->channels, ep_min32(left, p->out_w - p->half - ox));
    } else {
        const int32_t accs[4] = {sums.s0, sums.s1, sums.s2, sums.s3};
        ep_store_words(&r->store, accs, out + ox * p->channels, left);
    }
}

/* 3x3 kernel: all outputs of one row. */
EP_INLINE void ep_depthwise_row_3x3(const ep_depthwise_s8_mul_params *p, const ep_depthwise_row *r,
                                    ep_rows_3 *rows, int8_t *out) {
    const int32_t words = p->stride_w * p->phase_len, c = p->channels, half = p->half;
    const int32_t *x = r->oldest;
    for (int32_t ky = 0; ky < 3; ++ky, x += p->dilation_h * words) {
        x -= x >= r->ring_end ? p->ring_h * words : 0;
        rows->row[ky] = x;
    }
    const int64_t first = ep_pair_start(r->start, r->start);
    for (int32_t ox = 0; ox < half; ox += 4, out += 4 * c) {
        ep_four sums = {first, first, first, first, r->start, r->start, r->start, r->start};
        const int32_t left = ep_min32(half - ox, 4);
        if (p->mul64) {
            ep_taps_3x3_pairs(&sums, rows, p->stride_w == 1 && p->dilation_w == 1);
            const int64_t pairs[4] = {sums.p0, sums.p1, sums.p2, sums.p3};
            ep_store_pairs(&r->store, pairs, out, left, out + half * c,
                           ep_min32(left, p->out_w - half - ox));
        } else {
            ep_taps_3x3(&sums, rows, r->taps);
            const int32_t accs[4] = {sums.s0, sums.s1, sums.s2, sums.s3};
            ep_store_words(&r->store, accs, out, left);
        }
        rows->row[0] += 4, rows->row[1] += 4, rows->row[2] += 4;
    }
}

/* What does not change from row to row. */
EP_INLINE ep_rows_3 ep_rows_3_of(const ep_depthwise_s8_mul_params *p, const int8_t *taps) {
    const int32_t s = p->stride_w, d = p->dilation_w;
    const int32_t one = d % s * p->phase_len + d / s;
    const int32_t two = 2 * d % s * p->phase_len + 2 * d / s;
    ep_rows_3 rows = {
        {NULL, NULL, NULL}, 4 * one - 16, 4 * (two - one) - 16, {0, 0, 0, 0, 0, 0, 0, 0, 0}};
    if (p->mul64 && p->three) {
        for (int32_t i = 0; i < 9; ++i) {
            rows.taps[i] = taps[i];
        }
    }
    return rows;
}

/* One channel. ring: ring_h * stride_w * phase_len words; those without any input hold `fill`. */
EP_INLINE void ep_depthwise_channel(const ep_depthwise_s8_mul_params *p, const int8_t *in,
                                    const uint32_t *channel, const int8_t *taps, int8_t *out,
                                    int32_t *ring) {
    const int32_t words = p->stride_w * p->phase_len, c = p->channels;
    const int32_t head = (int32_t)channel[0], factor = (int32_t)channel[1];
    const int32_t blank = p->mul64 ? ep_pair(p->fill, p->fill) : p->fill;
    const ep_depthwise_row shared = {ring,
                                     ring + p->ring_h * words,
                                     ring,
                                     taps,
                                     head >> 5,
                                     {p->mul64 ? ep_scale64(factor, head & 31, p->output_offset)
                                               : ep_scale32(factor, head & 31, p->output_offset),
                                      c, p->act_min, p->act_max, p->clamp}};
    ep_depthwise_row row = shared;
    ep_rows_3 rows = ep_rows_3_of(p, row.taps);
    int32_t *free = ring; /* where the next row goes: over the oldest */
    int32_t y = -p->pad_top;
    for (int32_t oy = 0; oy < p->out_h; ++oy) {
        const int32_t first = oy * p->stride_h - p->pad_top;
        for (y = ep_max32(y, first); y < first + p->ring_h; ++y) {
            if (y >= 0 && y < p->in_h) {
                ep_ring_load(p, in + y * p->in_w * ep_ring_channels(p), free);
            } else {
                for (int32_t i = 0; i < words; ++i) {
                    free[i] = blank;
                }
            }
            free += words;
            free = free == row.ring_end ? ring : free;
        }
        row.oldest = free;
        if (p->three) {
            ep_depthwise_row_3x3(p, &row, &rows, out);
        } else {
            for (int32_t ox = 0; ox < p->half; ox += 4) {
                ep_depthwise_four(p, &row, ox, out);
            }
        }
        out += p->out_w * c;
    }
}

EP_INLINE void ep_depthwise_s8_mul(const ep_depthwise_s8_mul_params *p, const int8_t *in,
                                   const uint32_t *stream, int8_t *out, int32_t *ring) {
    const int32_t window = p->kernel_h * p->kernel_w;
    const int32_t blank = p->mul64 ? ep_pair(p->fill, p->fill) : p->fill;
    for (int32_t i = 0; i < p->ring_h * p->stride_w * p->phase_len; ++i) {
        ring[i] = blank;
    }
    for (int32_t b = 0; b < p->batches; ++b) {
        const int8_t *taps = (const int8_t *)(const void *)(stream + 2 * p->channels);
        for (int32_t i = 0; i < p->channels; ++i, taps += window) {
            ep_depthwise_channel(p, in + i / p->depth_multiplier, stream + 2 * i, taps, out + i,
                                 ring);
        }
        in += p->in_h * p->in_w * ep_ring_channels(p);
        out += p->out_h * p->out_w * p->channels;
    }
}

#endif
