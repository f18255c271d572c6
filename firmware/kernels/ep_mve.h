/* The few vectors of the `mve` kernels (Armv8.1-M Helium): sixteen int8, four int32, and what is done
 * with them; plain C of the same meaning where Helium does not exist, so that those kernels can be
 * tested on any host. */
#ifndef EP_MVE_H
#define EP_MVE_H

#include <string.h>

#include "ep_fixed.h"

#if defined(__ARM_FEATURE_MVE) && defined(__GNUC__) && !defined(EP_NO_ASM)
#define EP_MVE_ASM 1
#else
#define EP_MVE_ASM 0
#endif

#if EP_MVE_ASM

#include <arm_mve.h>

typedef int8x16_t ep_v16;
typedef int32x4_t ep_v4;
typedef uint16x8_t ep_pairs; /* byte offsets of eight pairs of bytes */

EP_INLINE ep_v16 ep_v16_load(const int8_t *from) {
    return vldrbq_s8(from);
}
EP_INLINE void ep_v16_store(int8_t *to, ep_v16 x) {
    vstrbq_s8(to, x);
}
EP_INLINE ep_v16 ep_v16_set(int32_t x) {
    return vdupq_n_s8((int8_t)x);
}
/* The first `count` (1 to 15) of sixteen, then zeros. */
EP_INLINE ep_v16 ep_v16_load_some(const int8_t *from, int32_t count) {
    return vldrbq_z_s8(from, vctp8q((uint32_t)count));
}
EP_INLINE void ep_v16_store_some(int8_t *to, ep_v16 x, int32_t count) {
    vstrbq_p_s8(to, x, vctp8q((uint32_t)count));
}
EP_INLINE ep_v16 ep_v16_max(ep_v16 a, ep_v16 b) {
    return vmaxq_s8(a, b);
}
EP_INLINE ep_v16 ep_v16_min(ep_v16 a, ep_v16 b) {
    return vminq_s8(a, b);
}
/* from[index[i]] */
EP_INLINE ep_v16 ep_v16_pick(const int8_t *from, const uint8_t *index) {
    return vldrbq_gather_offset_s8(from, vldrbq_u8(index));
}
EP_INLINE ep_pairs ep_pairs_load(const uint16_t *from) {
    return vldrhq_u16(from);
}
/* Pairs of bytes at from + offsets; all addresses are even. */
EP_INLINE ep_v16 ep_v16_gather(const int8_t *from, ep_pairs offsets) {
    return vreinterpretq_s8_u16(
        vldrhq_gather_offset_u16((const uint16_t *)(const void *)from, offsets));
}
EP_INLINE int32_t ep_v16_dot(int32_t acc, ep_v16 a, ep_v16 b) {
    return vmladavaq_s8(acc, a, b);
}
EP_INLINE int32_t ep_v16_dot_first(ep_v16 a, ep_v16 b) {
    return vmladavq_s8(a, b);
}

EP_INLINE ep_v4 ep_v4_load(const int8_t *from) {
    return vldrwq_s32((const int32_t *)(const void *)from);
}
EP_INLINE ep_v4 ep_v4_load_s8(const int8_t *from) {
    return vldrbq_s32(from);
}
EP_INLINE ep_v4 ep_v4_load_s8_some(const int8_t *from, int32_t count) {
    return vldrbq_z_s32(from, vctp32q((uint32_t)count));
}
EP_INLINE void ep_v4_store(int32_t *to, ep_v4 x) {
    vstrwq_s32(to, x);
}
EP_INLINE ep_v4 ep_v4_set(int32_t x) {
    return vdupq_n_s32(x);
}
EP_INLINE ep_v4 ep_v4_of(int32_t a, int32_t b, int32_t c, int32_t d) {
    ep_v4 r;
    __asm__("vmov %q[r][2], %q[r][0], %[a], %[c]\n\tvmov %q[r][3], %q[r][1], %[b], %[d]"
            : [r] "=&w"(r)
            : [a] "r"(a), [b] "r"(b), [c] "r"(c), [d] "r"(d));
    return r;
}
/* The inner products of x with four others. */
EP_INLINE ep_v4 ep_v4_dots(ep_v16 x, ep_v16 w0, ep_v16 w1, ep_v16 w2, ep_v16 w3) {
    int32_t a, b, c, d;
    ep_v4 r;
    __asm__("vmladav.s8 %[a], %q[x], %q[w0]\n\tvmladav.s8 %[b], %q[x], %q[w1]\n\t"
            "vmladav.s8 %[c], %q[x], %q[w2]\n\tvmladav.s8 %[d], %q[x], %q[w3]\n\t"
            "vmov %q[r][2], %q[r][0], %[a], %[c]\n\tvmov %q[r][3], %q[r][1], %[b], %[d]"
            : [a] "=&Te"(a), [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d), [r] "=w"(r)
            : [x] "w"(x), [w0] "w"(w0), [w1] "w"(w1), [w2] "w"(w2), [w3] "w"(w3));
    return r;
}
EP_INLINE ep_v4 ep_v4_add(ep_v4 a, ep_v4 b) {
    return vaddq_s32(a, b);
}
EP_INLINE ep_v4 ep_v4_add_n(ep_v4 a, int32_t b) {
    return vaddq_n_s32(a, b);
}
/* a * b + c; may wrap */
EP_INLINE ep_v4 ep_v4_mul_add_n(ep_v4 a, ep_v4 b, int32_t c) {
    return vmlasq_n_s32(a, b, c);
}
EP_INLINE ep_v4 ep_v4_and(ep_v4 a, ep_v4 b) {
    return vandq_s32(a, b);
}
EP_INLINE ep_v4 ep_v4_max(ep_v4 a, ep_v4 b) {
    return vmaxq_s32(a, b);
}
EP_INLINE ep_v4 ep_v4_min(ep_v4 a, ep_v4 b) {
    return vminq_s32(a, b);
}
EP_INLINE ep_v4 ep_v4_sign(ep_v4 x) {
    return vshrq_n_s32(x, 31);
}
/* ep_doubling_high_mul; b is not negative */
EP_INLINE ep_v4 ep_v4_high_mul(ep_v4 a, ep_v4 b) {
    return vqrdmulhq_s32(a, b);
}
EP_INLINE ep_v4 ep_v4_high_mul_n(ep_v4 a, int32_t b) {
    return vqrdmulhq_n_s32(a, b);
}
/* x * 2^bits, wrapped, for bits of 0 to 30; x / 2^-bits, halves upwards, for bits of -31 to -1 */
EP_INLINE ep_v4 ep_v4_shift(ep_v4 x, ep_v4 bits) {
    return vrshlq_s32(x, bits);
}
EP_INLINE ep_v4 ep_v4_shift_n(ep_v4 x, int32_t bits) {
    return vrshlq_n_s32(x, bits);
}
/* Saturated to int8. */
EP_INLINE ep_v4 ep_v4_saturate(ep_v4 x) {
    __asm__("vqmovnb.s32 %q[x], %q[x]\n\tvqmovnb.s16 %q[x], %q[x]" : [x] "+w"(x));
    return x;
}
/* The low bytes of all four, of the first `count`, or scattered to `to + at`; `lanes` are the bits
 * of those that are written. */
EP_INLINE void ep_v4_store_s8(int8_t *to, ep_v4 x) {
    vstrbq_s32(to, x);
}
EP_INLINE void ep_v4_store_s8_some(int8_t *to, ep_v4 x, int32_t count) {
    vstrbq_p_s32(to, x, vctp32q((uint32_t)count));
}
EP_INLINE void ep_v4_scatter_s8(int8_t *to, ep_v4 at, ep_v4 x) {
    vstrbq_scatter_offset_s32(to, vreinterpretq_u32_s32(at), x);
}
EP_INLINE void ep_v4_scatter_s8_some(int8_t *to, ep_v4 at, ep_v4 x, uint32_t lanes) {
    __asm__("" : "+r"(lanes)); /* GCC 12.2 reads constant predicates wrongly (PR 108443) */
    vstrbq_scatter_offset_p_s32(to, vreinterpretq_u32_s32(at), x, (mve_pred16_t)lanes);
}

EP_INLINE void ep_mve_copy(int8_t *to, const int8_t *from, int32_t count) {
    __asm__ volatile(
        "wlstp.8 lr, %[n], 2f\n1:\n\tvldrb.8 q0, [%[from]], #16\n\tvstrb.8 q0, [%[to]], #16\n\t"
        "letp lr, 1b\n2:"
        : [to] "+r"(to), [from] "+r"(from)
        : [n] "r"(count)
        : "lr", "q0", "cc", "memory");
}
EP_INLINE void ep_mve_fill(int8_t *to, int32_t value, int32_t count) {
    const ep_v16 x = ep_v16_set(value);
    __asm__ volatile("wlstp.8 lr, %[n], 2f\n1:\n\tvstrb.8 %q[x], [%[to]], #16\n\tletp lr, 1b\n2:"
                     : [to] "+r"(to)
                     : [n] "r"(count), [x] "w"(x)
                     : "lr", "cc", "memory");
}
/* to[i] = from[i * step]; step is at most 8191. */
EP_INLINE void ep_mve_collect(int8_t *to, const int8_t *from, int32_t step, int32_t count) {
    uint16x8_t at = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)step);
    __asm__ volatile("wlstp.16 lr, %[n], 2f\n1:\n\tvldrb.u16 q0, [%[from], %q[at]]\n\t"
                     "add %[from], %[from], %[eight]\n\tvstrb.16 q0, [%[to]], #8\n\t"
                     "letp lr, 1b\n2:"
                     : [to] "+l"(to), [from] "+r"(from)
                     : [n] "r"(count), [at] "w"(at), [eight] "r"(8 * step)
                     : "lr", "q0", "cc", "memory");
}

/* The same for `rows` rows of at most 8, which begin every to_line and every from_line bytes. */
EP_INLINE void ep_mve_collect_rows(int8_t *to, const int8_t *from, int32_t step, int32_t count,
                                   int32_t rows, int32_t to_line, int32_t from_line) {
    const uint16x8_t at = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)step);
    uint32_t p0; /* GCC 12 has no name for the predicates: put back what it may hold there */
    __asm__ volatile("vmrs %[p0], p0\n\tvctp.16 %[n]\n\tdls lr, %[rows]\n1:\n\tvpstt\n\t"
                     "vldrbt.u16 q0, [%[from], %q[at]]\n\tvstrbt.16 q0, [%[to]]\n\t"
                     "add %[from], %[from], %[from_line]\n\tadd %[to], %[to], %[to_line]\n\t"
                     "le lr, 1b\n\tvmsr p0, %[p0]"
                     : [to] "+l"(to), [from] "+r"(from), [p0] "=&r"(p0)
                     : [n] "r"(count), [at] "w"(at), [rows] "r"(rows), [to_line] "r"(to_line),
                       [from_line] "r"(from_line)
                     : "lr", "q0", "memory");
}

#else

#include "ep_mve_plain.h"

#endif

#if defined(__GNUC__)
#define EP_MVE_KNOWN(X) __builtin_constant_p(X)
#else
#define EP_MVE_KNOWN(X) 0
#endif
#define EP_MVE_SHORT 256 /* bytes up to which copies are unrolled */

/* Copies whole vectors: reads and writes up to 15 bytes beyond `count`. */
EP_INLINE void ep_mve_copy_over(int8_t *to, const int8_t *from, int32_t count) {
    if (!EP_MVE_KNOWN(count) || count > EP_MVE_SHORT) {
        ep_mve_copy(to, from, count);
        return;
    }
    EP_UNROLL(16)
    for (int32_t i = 0; i < count; i += 16) {
        ep_v16_store(to + i, ep_v16_load(from + i));
    }
}

/* How accumulators become outputs: constants of a layer. */
typedef struct {
    int32_t offset; /* the output's zero point */
    int32_t act_min, act_max;
    bool relu;  /* results below the zero point are clamped: halves need not go away from zero */
    bool right; /* every shift is a right shift of at least one */
} ep_mve_output;

/* Rounded quotients to outputs, which are the low bytes of the result. */
EP_INLINE ep_v4 ep_mve_place(const ep_mve_output *p, ep_v4 x) {
    x = ep_v4_add_n(x, p->offset);
    if (p->act_min == INT8_MIN && p->act_max == INT8_MAX) {
        return ep_v4_saturate(x);
    }
    return ep_v4_min(ep_v4_max(x, ep_v4_set(p->act_min)), ep_v4_set(p->act_max));
}

/* TFLM's requantization, four accumulators at a time; right shifts are negative.
 *
 * ep_v4_shift rounds halves upwards; one less makes those of negative values go away from zero,
 * unless nothing is shifted. */
EP_INLINE ep_v4 ep_mve_requantize(const ep_mve_output *p, ep_v4 acc, ep_v4 multiplier,
                                  ep_v4 shift) {
    if (!p->right) {
        acc = ep_v4_shift(acc, ep_v4_max(shift, ep_v4_set(0)));
        shift = ep_v4_min(shift, ep_v4_set(0));
    }
    ep_v4 high = ep_v4_high_mul(acc, multiplier);
    if (!p->relu) {
        high = ep_v4_add(high, ep_v4_sign(p->right ? high : ep_v4_and(high, shift)));
    }
    return ep_mve_place(p, ep_v4_shift(high, shift));
}

/* The same with one multiplier and shift. */
EP_INLINE ep_v4 ep_mve_requantize_n(const ep_mve_output *p, ep_v4 acc, int32_t multiplier,
                                    int32_t shift) {
    if (!p->right) {
        return ep_mve_requantize(p, acc, ep_v4_set(multiplier), ep_v4_set(shift));
    }
    ep_v4 high = ep_v4_high_mul_n(acc, multiplier);
    if (!p->relu) {
        high = ep_v4_add(high, ep_v4_sign(high));
    }
    return ep_mve_place(p, ep_v4_shift_n(high, shift));
}

#endif
