/* int8 arithmetic on Arm's A-profile cores: NEON, which every phone has, and SDOT where the compiler
 * may use it (__ARM_FEATURE_DOTPROD). Every function gives the bytes of the portable kernels. */
#ifndef EP_NEON_H
#define EP_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "ep_fixed.h"

/* acc += the dot product of 16 pairs, spread over 4 lanes. A product of two int8 fits int16, the sum
 * of two products that are added to acc fits as well. */
EP_INLINE int32x4_t ep_neon_dot16(int32x4_t acc, int8x16_t x, int8x16_t w) {
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(acc, x, w);
#else
    const int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(w));
    const int16x8_t high = vmull_s8(vget_high_s8(x), vget_high_s8(w));

    return vpadalq_s16(vpadalq_s16(acc, low), high);
#endif
}

/* The sums of the lanes of four vectors, side by side. */
EP_INLINE int32x4_t ep_neon_sum4(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) {
#if defined(__aarch64__)
    return vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
#else
    const int32x2_t ab = vpadd_s32(vpadd_s32(vget_low_s32(a), vget_high_s32(a)),
                                   vpadd_s32(vget_low_s32(b), vget_high_s32(b)));
    const int32x2_t cd = vpadd_s32(vpadd_s32(vget_low_s32(c), vget_high_s32(c)),
                                   vpadd_s32(vget_low_s32(d), vget_high_s32(d)));

    return vcombine_s32(ab, cd);
#endif
}

/* Four shifts, each int8, as lanes. */
EP_INLINE int32x4_t ep_neon_shifts(const int8_t *shift) {
    int32_t word;

    memcpy(&word, shift, sizeof word);
    return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(word)))));
}

/* ep_requantize_to of four accumulators. VQRDMULH is ep_doubling_high_mul; VRSHL rounds halves up,
 * which one less for negative numbers turns into away from zero. */
EP_INLINE int32x4_t ep_neon_requantize(int32x4_t acc, int32x4_t multiplier, int32x4_t shift,
                                       int32_t offset, int32_t low, int32_t high) {
    const int32x4_t left = vmaxq_s32(shift, vdupq_n_s32(0));
    const int32x4_t right = vminq_s32(shift, vdupq_n_s32(0));
    const int32x4_t product = vqrdmulhq_s32(vshlq_s32(acc, left), multiplier);
    const int32x4_t nudge = vshrq_n_s32(vandq_s32(product, right), 31);
    const int32x4_t scaled = vrshlq_s32(vqaddq_s32(product, nudge), right);
    const int32x4_t moved = vaddq_s32(scaled, vdupq_n_s32(offset));

    return vminq_s32(vmaxq_s32(moved, vdupq_n_s32(low)), vdupq_n_s32(high));
}

/* Four and eight values within int8 as bytes. */
EP_INLINE void ep_neon_store4(int8_t *out, int32x4_t values) {
    const int16x4_t halves = vmovn_s32(values);
    const int8x8_t bytes = vmovn_s16(vcombine_s16(halves, halves));
    const int32_t word = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);

    memcpy(out, &word, sizeof word);
}
EP_INLINE void ep_neon_store8(int8_t *out, int32x4_t low, int32x4_t high) {
    vst1_s8(out, vmovn_s16(vcombine_s16(vmovn_s32(low), vmovn_s32(high))));
}

#endif
