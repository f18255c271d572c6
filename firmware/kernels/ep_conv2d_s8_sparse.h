/* CONV_2D int8 of which only the weights that are not zero are stored (ep_sparse.h).
 *
 * The inputs of four output positions are gathered at a time; each entry serves all four.
 * `start`: biases, the input's zero point folded in. `counts`: entries of each filter. */
#ifndef EP_CONV2D_S8_SPARSE_H
#define EP_CONV2D_S8_SPARSE_H

#include "ep_sparse.h"

typedef struct {
    int32_t batches, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t fill; /* the input's zero point */
    int32_t scale_step;
    int32_t output_offset;
    int32_t act_min, act_max;
    int32_t block; /* weights of an entry: 1 or 4 */
    bool fast;     /* ep_sparse_output */
} ep_conv2d_s8_sparse_params;

/* What position (oy, ox) reads, taps outside the input as `fill`. */
EP_INLINE void ep_sparse_gather(const ep_conv2d_s8_sparse_params *p, const int8_t *in, int32_t oy,
                                int32_t ox, int8_t *to) {
    const int32_t y0 = oy * p->stride_h - p->pad_top, x0 = ox * p->stride_w - p->pad_left;
    const size_t bytes = (size_t)p->in_c;
    for (int32_t ky = 0; ky < p->kernel_h; ++ky) {
        const int32_t y = y0 + ky * p->dilation_h;
        for (int32_t kx = 0; kx < p->kernel_w; ++kx, to += bytes) {
            const int32_t x = x0 + kx * p->dilation_w;
            if (y >= 0 && y < p->in_h && x >= 0 && x < p->in_w) {
                memcpy(to, in + (y * p->in_w + x) * p->in_c, bytes);
            } else {
                memset(to, p->fill, bytes);
            }
        }
    }
}

/* columns: 4 * kernel_h * kernel_w * in_c bytes. */
EP_INLINE void ep_conv2d_s8_sparse(const ep_conv2d_s8_sparse_params *p, const int8_t *in,
                                   const int32_t *start, const uint16_t *counts,
                                   const uint8_t *gaps, const int8_t *weights,
                                   const int32_t *multiplier, const int8_t *shift, int8_t *out,
                                   int8_t *columns) {
    const int32_t k = p->kernel_h * p->kernel_w * p->in_c;
    const int32_t positions = p->out_h * p->out_w;
    for (int32_t b = 0; b < p->batches; ++b, in += p->in_h * p->in_w * p->in_c) {
        int32_t oy = 0, ox = 0;
        for (int32_t n = 0; n < positions; n += 4) {
            const int32_t live = ep_min32(4, positions - n);
            for (int32_t i = 0; i < 4; ++i) { /* the last position again beyond the end */
                ep_sparse_gather(p, in, oy, ox, columns + i * k);
                if (i + 1 < live && ++ox == p->out_w) {
                    ox = 0;
                    ++oy;
                }
            }
            if (++ox == p->out_w) {
                ox = 0;
                ++oy;
            }
            ep_sparse_at at = {gaps, weights};
            for (int32_t oc = 0; oc < p->out_c; ++oc) {
                int32_t acc[4] = {start[oc], start[oc], start[oc], start[oc]};
                ep_sparse_dot4(&at, counts[oc], columns, k, acc, p->block);
                const int32_t scale = oc * p->scale_step;
                for (int32_t i = 0; i < live; ++i) {
                    out[i * p->out_c + oc] =
                        ep_sparse_output(acc[i], multiplier[scale], shift[scale], p->output_offset,
                                         p->act_min, p->act_max, p->fast);
                }
            }
            out += live * p->out_c;
        }
    }
}

#endif
