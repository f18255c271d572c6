/* DEPTHWISE_CONV_2D on int8 with NEON: eight channels at once, for a depth multiplier of 1.
 *
 * Taps outside the input read a row of zero points, so that they add nothing; the offset goes into
 * the sum's begin, as in ep_conv2d_s8_neon.h. */
#ifndef EP_DEPTHWISE_S8_NEON_H
#define EP_DEPTHWISE_S8_NEON_H

#include "ep_neon.h"

#define EP_DEPTHWISE_TAPS_MAX 64
#define EP_DEPTHWISE_CHANNELS_MAX 2048

/* Whether channels fill a vector and everything fits on the stack; else the portable loops run. */
EP_INLINE bool ep_depthwise_neon_pays(const ep_depthwise_conv2d_params *p) {
    return p->depth_multiplier == 1 && p->in_c >= 8 && p->in_c <= EP_DEPTHWISE_CHANNELS_MAX &&
           p->kernel_h * p->kernel_w <= EP_DEPTHWISE_TAPS_MAX;
}

/* Where the window of output pixel (oy, ox) lies, tap by tap. */
EP_INLINE void ep_depthwise_taps(const ep_depthwise_conv2d_params *p, const int8_t *in,
                                 const int8_t *zeros, int32_t oy, int32_t ox, const int8_t **tap) {
    for (int32_t ky = 0; ky < p->kernel_h; ++ky) {
        const int32_t iy = oy * p->stride_h - p->pad_top + ky * p->dilation_h;

        for (int32_t kx = 0; kx < p->kernel_w; ++kx) {
            const int32_t ix = ox * p->stride_w - p->pad_left + kx * p->dilation_w;
            const bool inside = iy >= 0 && iy < p->in_h && ix >= 0 && ix < p->in_w;

            *tap++ = inside ? in + (iy * p->in_w + ix) * p->in_c : zeros;
        }
    }
}

EP_INLINE void ep_depthwise_s8_neon(const ep_depthwise_conv2d_params *p, const int8_t *in,
                                    const int8_t *weights, const int32_t *bias,
                                    const int32_t *multiplier, const int8_t *shift, int8_t *out) {
    const int32_t taps = p->kernel_h * p->kernel_w;
    const int32_t channels = p->in_c;
    int8_t zeros[EP_DEPTHWISE_CHANNELS_MAX];
    int32_t base[EP_DEPTHWISE_CHANNELS_MAX];
    int8_t row[EP_DEPTHWISE_CHANNELS_MAX]; /* the output may lie where the window is */

    memset(zeros, -p->input_offset, (size_t)channels);
    for (int32_t c = 0; c < channels; ++c) {
        int32_t sum = 0;

        for (int32_t i = 0; i < taps; ++i) {
            sum = ep_wrap_add(sum, weights[i * channels + c]);
        }
        base[c] = ep_wrap_add(bias ? bias[c] : 0, ep_wrap_mul(p->input_offset, sum));
    }
    for (int32_t b = 0; b < p->batches; ++b) {
        const int8_t *const image = in + b * p->in_h * p->in_w * channels;

        for (int32_t pixel = 0; pixel < p->out_h * p->out_w; ++pixel) {
            const int8_t *tap[EP_DEPTHWISE_TAPS_MAX];

            ep_depthwise_taps(p, image, zeros, pixel / p->out_w, pixel % p->out_w, tap);
            for (int32_t first = 0; first < channels; first += 8) {
                /* the last eight overlap those before: what is computed twice is the same */
                const int32_t c = first + 8 <= channels ? first : channels - 8;
                int32x4_t low = vld1q_s32(base + c);
                int32x4_t high = vld1q_s32(base + c + 4);

                for (int32_t i = 0; i < taps; ++i) {
                    const int16x8_t product =
                        vmull_s8(vld1_s8(tap[i] + c), vld1_s8(weights + i * channels + c));

                    low = vaddw_s16(low, vget_low_s16(product));
                    high = vaddw_s16(high, vget_high_s16(product));
                }
                ep_neon_store8(row + c,
                               ep_neon_requantize(low, vld1q_s32(multiplier + c),
                                                  ep_neon_shifts(shift + c), p->output_offset,
                                                  p->act_min, p->act_max),
                               ep_neon_requantize(high, vld1q_s32(multiplier + c + 4),
                                                  ep_neon_shifts(shift + c + 4), p->output_offset,
                                                  p->act_min, p->act_max));
            }
            memcpy(out, row, (size_t)channels);
            out += channels;
        }
    }
}

#endif
