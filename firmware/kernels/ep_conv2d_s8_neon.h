/* CONV_2D on int8 with NEON: tiles of pixels by four filters, windows gathered into rows of bytes.
 *
 * A window's taps outside the input are filled with the input's zero point, so that they add
 * nothing. With sum((x + offset) * w) = dot + offset * sum(w) modulo 2^32, which is how the portable
 * kernel adds, the inner loop multiplies bytes alone. A tile is written when all of it has been
 * computed: the memory plan may have put it where its windows are. */
#ifndef EP_CONV2D_S8_NEON_H
#define EP_CONV2D_S8_NEON_H

#include "ep_neon.h"

#if defined(__aarch64__)
#define EP_CONV2D_TILE 4 /* pixels: 16 of 32 registers are sums */
#else
#define EP_CONV2D_TILE 2 /* 8 of 16 */
#endif
#define EP_CONV2D_WINDOW_MAX 4096  /* bytes of a window; the tile's windows lie on the stack */
#define EP_CONV2D_FILTERS_MAX 1024 /* output channels, whose sums lie there too */

/* Whether a window is worth it and its tile fits on the stack; else the portable loops run. */
EP_INLINE bool ep_conv2d_neon_pays(const ep_conv2d_params *p) {
    const int32_t window = p->kernel_h * p->kernel_w * p->group_c;
    const int32_t filters = p->out_c / (p->in_c / p->group_c);

    return window >= 16 && window <= EP_CONV2D_WINDOW_MAX && filters >= 4 &&
           p->out_c <= EP_CONV2D_FILTERS_MAX;
}

/* The window of output pixel (oy, ox) as kernel_h * kernel_w * group_c bytes. */
EP_INLINE void ep_conv2d_gather(const ep_conv2d_params *p, const int8_t *in, int32_t oy, int32_t ox,
                                int8_t *row) {
    const int32_t y = oy * p->stride_h - p->pad_top;
    const int32_t x = ox * p->stride_w - p->pad_left;
    const bool dense = p->dilation_w == 1 && p->group_c == p->in_c;
    const int zero = -p->input_offset;

    for (int32_t ky = 0; ky < p->kernel_h; ++ky) {
        const int32_t iy = y + ky * p->dilation_h;
        const bool inside = iy >= 0 && iy < p->in_h;

        if (inside && dense && x >= 0 && x + p->kernel_w <= p->in_w) {
            memcpy(row, in + (iy * p->in_w + x) * p->in_c, (size_t)(p->kernel_w * p->group_c));
            row += p->kernel_w * p->group_c;
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; ++kx) {
            const int32_t ix = x + kx * p->dilation_w;

            if (inside && ix >= 0 && ix < p->in_w) {
                memcpy(row, in + (iy * p->in_w + ix) * p->in_c, (size_t)p->group_c);
            } else {
                memset(row, zero, (size_t)p->group_c);
            }
            row += p->group_c;
        }
    }
}

/* The dot products of a tile's windows with four filters. The windows may be read up to a multiple
 * of 16 bytes, the filters may not. */
EP_INLINE void ep_conv2d_tile(const int8_t *const *window, const int8_t *const *filter, int32_t n,
                              int32x4_t *sums) {
    int32x4_t acc[EP_CONV2D_TILE][4];
    int32_t i = 0;

    for (int32_t pixel = 0; pixel < EP_CONV2D_TILE; ++pixel) {
        for (int32_t f = 0; f < 4; ++f) {
            acc[pixel][f] = vdupq_n_s32(0);
        }
    }
    for (; i + 16 <= n; i += 16) {
        int8x16_t w[4];

        for (int32_t f = 0; f < 4; ++f) {
            w[f] = vld1q_s8(filter[f] + i);
        }
        for (int32_t pixel = 0; pixel < EP_CONV2D_TILE; ++pixel) {
            const int8x16_t x = vld1q_s8(window[pixel] + i);

            for (int32_t f = 0; f < 4; ++f) {
                acc[pixel][f] = ep_neon_dot16(acc[pixel][f], x, w[f]);
            }
        }
    }
    if (i < n) {
        for (int32_t f = 0; f < 4; ++f) {
            int8_t rest[16] = {0};
            int8x16_t w;

            memcpy(rest, filter[f] + i, (size_t)(n - i));
            w = vld1q_s8(rest);
            for (int32_t pixel = 0; pixel < EP_CONV2D_TILE; ++pixel) {
                acc[pixel][f] = ep_neon_dot16(acc[pixel][f], vld1q_s8(window[pixel] + i), w);
            }
        }
    }
    for (int32_t pixel = 0; pixel < EP_CONV2D_TILE; ++pixel) {
        sums[pixel] = ep_neon_sum4(acc[pixel][0], acc[pixel][1], acc[pixel][2], acc[pixel][3]);
    }
}

/* bias + offset * sum(filter), modulo 2^32: what the dot products of bytes leave out. */
EP_INLINE int32_t ep_conv2d_base(const int8_t *filter, int32_t n, int32_t bias, int32_t offset) {
    int32x4_t sum = vdupq_n_s32(0);
    int32_t lanes[4];
    int32_t rest = 0;
    int32_t i = 0;

    for (; i + 16 <= n; i += 16) {
        sum = ep_neon_dot16(sum, vld1q_s8(filter + i), vdupq_n_s8(1));
    }
    for (; i < n; ++i) {
        rest = ep_wrap_add(rest, filter[i]);
    }
    vst1q_s32(lanes, sum);
    rest = ep_wrap_add(
        rest, ep_wrap_add(ep_wrap_add(lanes[0], lanes[1]), ep_wrap_add(lanes[2], lanes[3])));
    return ep_wrap_add(bias, ep_wrap_mul(offset, rest));
}

/* A tile of pixels with all filters of a group; `out` is the first filter's byte of each pixel. */
EP_INLINE void ep_conv2d_filters(const ep_conv2d_params *p, const int8_t *const *window,
                                 const int8_t *weights, const int32_t *base,
                                 const int32_t *multiplier, const int8_t *shift, int32_t filters,
                                 int32_t pixels, int8_t *const *out) {
    const int32_t n = p->kernel_h * p->kernel_w * p->group_c;

    for (int32_t first = 0; first < filters; first += 4) {
        /* the last four overlap those before: what is computed twice is the same */
        const int32_t f = first + 4 <= filters ? first : filters - 4;
        const int8_t *const filter[4] = {weights + f * n, weights + (f + 1) * n,
                                         weights + (f + 2) * n, weights + (f + 3) * n};
        const int32x4_t scale = vld1q_s32(multiplier + f);
        const int32x4_t shifts = ep_neon_shifts(shift + f);
        const int32x4_t begin = vld1q_s32(base + f);
        int32x4_t sums[EP_CONV2D_TILE];

        ep_conv2d_tile(window, filter, n, sums);
        for (int32_t pixel = 0; pixel < pixels; ++pixel) {
            ep_neon_store4(out[pixel] + f,
                           ep_neon_requantize(vaddq_s32(sums[pixel], begin), scale, shifts,
                                              p->output_offset, p->act_min, p->act_max));
        }
    }
}

/* The pixels of a tile, all groups and filters; `base` has one entry for each filter. */
EP_INLINE void ep_conv2d_pixels(const ep_conv2d_params *p, const int8_t *in, const int8_t *weights,
                                const int32_t *base, const int32_t *multiplier, const int8_t *shift,
                                int32_t at, int32_t pixels, int8_t (*rows)[EP_CONV2D_FILTERS_MAX]) {
    const int32_t groups = p->in_c / p->group_c;
    const int32_t filters = p->out_c / groups;
    const int32_t n = p->kernel_h * p->kernel_w * p->group_c;
    int8_t gathered[EP_CONV2D_TILE][EP_CONV2D_WINDOW_MAX + 16];
    const int8_t *window[EP_CONV2D_TILE];
    int8_t *to[EP_CONV2D_TILE];

    for (int32_t group = 0; group < groups; ++group) {
        const int32_t first = group * filters;

        for (int32_t i = 0; i < EP_CONV2D_TILE; ++i) {
            to[i] = rows[i] + first;
            window[i] = gathered[ep_min32(i, pixels - 1)];
            if (i < pixels) {
                ep_conv2d_gather(p, in + group * p->group_c, (at + i) / p->out_w,
                                 (at + i) % p->out_w, gathered[i]);
            }
        }
        ep_conv2d_filters(p, window, weights + first * n, base + first, multiplier + first,
                          shift + first, filters, pixels, to);
    }
}

EP_INLINE void ep_conv2d_s8_neon(const ep_conv2d_params *p, const int8_t *in, const int8_t *weights,
                                 const int32_t *bias, const int32_t *multiplier,
                                 const int8_t *shift, int8_t *out) {
    const int32_t n = p->kernel_h * p->kernel_w * p->group_c;
    const int32_t pixels = p->out_h * p->out_w;
    int8_t rows[EP_CONV2D_TILE][EP_CONV2D_FILTERS_MAX];
    int32_t base[EP_CONV2D_FILTERS_MAX];

    for (int32_t f = 0; f < p->out_c; ++f) {
        base[f] = ep_conv2d_base(weights + f * n, n, bias ? bias[f] : 0, p->input_offset);
    }
    for (int32_t b = 0; b < p->batches; ++b) {
        const int8_t *const image = in + b * p->in_h * p->in_w * p->in_c;

        for (int32_t at = 0; at < pixels; at += EP_CONV2D_TILE) {
            const int32_t count = ep_min32(pixels - at, EP_CONV2D_TILE);

            ep_conv2d_pixels(p, image, weights, base, multiplier, shift, at, count, rows);
            for (int32_t i = 0; i < count; ++i) {
                memcpy(out, rows[i], (size_t)p->out_c);
                out += p->out_c;
            }
        }
    }
}

#endif
