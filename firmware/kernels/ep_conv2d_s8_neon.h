/* CONV_2D on int8 with SDOT; ep_conv2d.h takes it where the compiler may use the instruction. */
#ifndef EP_CONV2D_S8_NEON_H
#define EP_CONV2D_S8_NEON_H

#include "ep_dot_neon.h"

/* Whether a row of the window fills vectors; else GCC's own vectors over channels do better. */
EP_INLINE bool ep_conv2d_neon_pays(const ep_conv2d_params *p) {
    const bool dense = p->dilation_w == 1 && p->group_c == p->in_c;

    return (dense ? p->kernel_w : 1) * p->group_c >= 16;
}

/* One window, of which taps outside the input are left out. Without groups and dilation the taps of
 * a row lie side by side in input and weights. */
EP_INLINE int32_t ep_conv2d_window_neon(const ep_conv2d_params *p, const int8_t *in,
                                        const int8_t *weights, int32_t y, int32_t x) {
    const bool dense = p->dilation_w == 1 && p->group_c == p->in_c;
    ep_dot_neon dot;

    ep_dot_neon_start(&dot);
    for (int32_t ky = 0; ky < p->kernel_h; ++ky) {
        const int32_t iy = y + ky * p->dilation_h;
        const int8_t *const row = weights + ky * p->kernel_w * p->group_c;

        if (iy < 0 || iy >= p->in_h) {
            continue;
        }
        if (dense) {
            const int32_t first = x < 0 ? -x : 0;
            const int32_t end = x + p->kernel_w > p->in_w ? p->in_w - x : p->kernel_w;

            ep_dot_neon_run(&dot, in + (iy * p->in_w + x + first) * p->in_c, row + first * p->in_c,
                            (end - first) * p->in_c);
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; ++kx) {
            const int32_t ix = x + kx * p->dilation_w;

            if (ix >= 0 && ix < p->in_w) {
                ep_dot_neon_run(&dot, in + (iy * p->in_w + ix) * p->in_c, row + kx * p->group_c,
                                p->group_c);
            }
        }
    }
    return ep_dot_neon_end(&dot, p->input_offset);
}

EP_INLINE void ep_conv2d_s8_neon(const ep_conv2d_params *p, const int8_t *in, const int8_t *weights,
                                 const int32_t *bias, const int32_t *multiplier,
                                 const int8_t *shift, int8_t *out) {
    const int32_t filters_per_group = p->out_c / (p->in_c / p->group_c);
    const int32_t filter = p->kernel_h * p->kernel_w * p->group_c;
    const int32_t image = p->in_h * p->in_w * p->in_c;

    for (int32_t b = 0; b < p->batches; ++b) {
        for (int32_t oy = 0; oy < p->out_h; ++oy) {
            for (int32_t ox = 0; ox < p->out_w; ++ox) {
                int8_t *const pixel = out + ((b * p->out_h + oy) * p->out_w + ox) * p->out_c;

                for (int32_t oc = 0; oc < p->out_c; ++oc) {
                    const int32_t first_c = (oc / filters_per_group) * p->group_c;
                    const int32_t dot = ep_conv2d_window_neon(
                        p, in + b * image + first_c, weights + oc * filter,
                        oy * p->stride_h - p->pad_top, ox * p->stride_w - p->pad_left);
                    const int32_t acc = ep_wrap_add(bias ? bias[oc] : 0, dot);

                    pixel[oc] = (int8_t)ep_requantize_to(acc, multiplier[oc], shift[oc],
                                                         p->output_offset, p->act_min, p->act_max);
                }
            }
        }
    }
}

#endif
