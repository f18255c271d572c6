/* DEPTHWISE_CONV_2D int8 for cores with Helium: one channel at a time is copied into a padded plane.
 * Outputs are made in groups of four. One gathering load takes the inputs that one, two or four
 * outputs share; one VMLADAV per output multiplies them with that output's taps (zeros where it does
 * not look).
 *
 * A channel's outputs only ever overwrite the same channel of the input, which the plane holds, so
 * output and input may be the same memory, whatever the stride (with a depth multiplier of one).
 *
 * `stream` holds per output channel: the bias (zero point folded in), the multiplier, the taps, one
 * byte of zero and the shift (right is negative), padded to words. `pairs` are the byte offsets in
 * the plane of the pairs of inputs that one load takes, eight per chunk; `picks` say, per chunk and
 * sharing output, with which tap each of the sixteen inputs is multiplied. Positions outside the
 * input read `fill`. */
#ifndef EP_DEPTHWISE_S8_MVE_H
#define EP_DEPTHWISE_S8_MVE_H

#include "ep_dot_mve.h"

typedef struct {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t depth_multiplier, taps;
    int32_t stride_h, stride_w, pad_top, pad_left;
    int32_t plane_h, plane_w; /* padded extents; plane_w is even */
    int32_t group_h, group_w; /* 1 and 4, 2 and 2, or 4 and 1 */
    int32_t sharing;          /* outputs of a group that share loads: 1, 2 (neighbours) or 4 */
    int32_t chunks;           /* loads that they share */
    int32_t fill;             /* the input's zero point */
    ep_mve_output to;
} ep_depthwise_s8_mve_params;

/* What all outputs of one channel need. */
typedef struct {
    const int8_t *weights; /* sharing * chunks vectors, unless there are at most four: w0 to w3 */
    ep_v16 w0, w1, w2, w3;
    int32_t bias, multiplier, shift;
} ep_mve_channel;

EP_INLINE bool ep_depthwise_mve_resident(const ep_depthwise_s8_mve_params *p) {
    return p->sharing * p->chunks <= 4;
}

EP_INLINE ep_v16 ep_depthwise_mve_weights(const ep_depthwise_s8_mve_params *p,
                                          const ep_mve_channel *c, int32_t n) {
    if (!ep_depthwise_mve_resident(p)) {
        return ep_v16_load(c->weights + n * EP_CHUNK);
    }
    return n == 0 ? c->w0 : n == 1 ? c->w1 : n == 2 ? c->w2 : c->w3;
}

/* Outputs of the group whose first input is x. */
EP_INLINE ep_v4 ep_depthwise_mve_group(const ep_depthwise_s8_mve_params *p, const ep_mve_channel *c,
                                       const int8_t *x, const uint16_t *pairs) {
    ep_v4 y;
    if (p->sharing == 4 && p->chunks == 1) {
        y = ep_v4_dots(ep_v16_gather(x, ep_pairs_load(pairs)), c->w0, c->w1, c->w2, c->w3);
    } else {
        int32_t sums[4] = {0, 0, 0, 0};
        EP_UNROLL(4)
        for (int32_t i = 0; i < 4; i += p->sharing) {
            const int32_t iy = i / p->group_w, ix = i % p->group_w;
            const int8_t *const from = x + iy * p->stride_h * p->plane_w + ix * p->stride_w;
            EP_UNROLL(4)
            for (int32_t k = 0; k < p->chunks; ++k) {
                const ep_v16 inputs = ep_v16_gather(from, ep_pairs_load(pairs + 8 * k));
                EP_UNROLL(4)
                for (int32_t j = 0; j < p->sharing; ++j) {
                    const ep_v16 w = ep_depthwise_mve_weights(p, c, k * p->sharing + j);
                    sums[i + j] =
                        k == 0 ? ep_v16_dot_first(inputs, w) : ep_v16_dot(sums[i + j], inputs, w);
                }
            }
        }
        y = ep_v4_of(sums[0], sums[1], sums[2], sums[3]);
    }
    return ep_mve_requantize_n(&p->to, ep_v4_add_n(y, c->bias), c->multiplier, c->shift);
}

/* Bits (four per output, ep_v4_scatter_s8_some) of the first rows and columns of a group. */
EP_INLINE uint32_t ep_depthwise_mve_lanes(const ep_depthwise_s8_mve_params *p, int32_t rows,
                                          int32_t columns) {
    const uint32_t row = (1u << (4 * columns)) - 1u;
    return p->group_w == 4   ? row
           : p->group_w == 2 ? row | (rows > 1 ? row << 8 : 0)
                             : (1u << (4 * rows)) - 1u;
}

/* All outputs of one channel. */
EP_INLINE void ep_depthwise_mve_rows(const ep_depthwise_s8_mve_params *p, const ep_mve_channel *c,
                                     const int8_t *plane, const uint16_t *pairs, int8_t *out) {
    const int32_t step = p->in_c * p->depth_multiplier, line = p->out_w * step;
    const int32_t whole = p->out_w / p->group_w * p->group_w;
    const ep_v4 at = p->group_w == 4   ? ep_v4_of(0, step, 2 * step, 3 * step)
                     : p->group_w == 2 ? ep_v4_of(0, step, line, line + step)
                                       : ep_v4_of(0, line, 2 * line, 3 * line);
    for (int32_t oy = 0; oy < p->out_h; oy += p->group_h) {
        const int32_t rows = ep_min32(p->group_h, p->out_h - oy);
        const int8_t *x = plane + oy * p->stride_h * p->plane_w;
        int8_t *to = out + oy * line;
        int32_t ox = 0;
        if (p->out_h % p->group_h == 0 || rows == p->group_h) {
            for (; ox < whole; ox += p->group_w) {
                ep_v4_scatter_s8(to, at, ep_depthwise_mve_group(p, c, x, pairs));
                x += p->group_w * p->stride_w;
                to += p->group_w * step;
            }
        }
        if (p->out_h % p->group_h != 0 || p->out_w % p->group_w != 0) {
            const uint32_t some = ep_depthwise_mve_lanes(p, rows, p->out_w - whole);
            const uint32_t all = ep_depthwise_mve_lanes(p, rows, p->group_w);
            for (; ox < p->out_w; ox += p->group_w) {
                ep_v4_scatter_s8_some(to, at, ep_depthwise_mve_group(p, c, x, pairs),
                                      ox < whole ? all : some);
                x += p->group_w * p->stride_w;
                to += p->group_w * step;
            }
        }
    }
}

/* Copies one channel into the plane's interior. */
EP_INLINE void ep_depthwise_mve_plane(const ep_depthwise_s8_mve_params *p, const int8_t *in,
                                      int8_t *plane) {
    int8_t *to = plane + p->pad_top * p->plane_w + p->pad_left;
    if (p->in_w <= 8) {
        ep_mve_collect_rows(to, in, p->in_c, p->in_w, p->in_h, p->plane_w, p->in_w * p->in_c);
        return;
    }
    for (int32_t y = 0; y < p->in_h; ++y, to += p->plane_w) {
        ep_mve_collect(to, in, p->in_c, p->in_w);
        in += p->in_w * p->in_c;
    }
}

/* plane: plane_h * plane_w bytes, rounded up to 16, and 16 * sharing * chunks more unless that is at
 * most 64. */
EP_INLINE void ep_depthwise_s8_mve(const ep_depthwise_s8_mve_params *p, const int8_t *in,
                                   const uint32_t *stream, const uint16_t *pairs,
                                   const uint8_t *picks, int8_t *out, int8_t *plane) {
    const int32_t channels = p->in_c * p->depth_multiplier, vectors = p->sharing * p->chunks;
    int8_t *const weights = plane + ((p->plane_h * p->plane_w + 15) & ~15);
    ep_mve_fill(plane, p->fill, p->plane_h * p->plane_w);
    for (int32_t b = 0; b < p->batches; ++b) {
        const uint32_t *record = stream;
        for (int32_t n = 0; n < channels; ++n) {
            if (p->depth_multiplier == 1 || n % p->depth_multiplier == 0) {
                ep_depthwise_mve_plane(p, in + n / p->depth_multiplier, plane);
            }
            const int8_t *const taps = (const int8_t *)(const void *)(record + 2);
            const ep_v16 zero = ep_v16_set(0);
            ep_mve_channel c = {
                weights,          zero, zero, zero, zero, (int32_t)record[0], (int32_t)record[1],
                taps[p->taps + 1]};
            if (ep_depthwise_mve_resident(p)) {
                c.w0 = ep_v16_pick(taps, picks);
                c.w1 = vectors > 1 ? ep_v16_pick(taps, picks + EP_CHUNK) : zero;
                c.w2 = vectors > 2 ? ep_v16_pick(taps, picks + 2 * EP_CHUNK) : zero;
                c.w3 = vectors > 3 ? ep_v16_pick(taps, picks + 3 * EP_CHUNK) : zero;
            } else {
                for (int32_t i = 0; i < vectors; ++i) {
                    ep_v16_store(weights + i * EP_CHUNK, ep_v16_pick(taps, picks + i * EP_CHUNK));
                }
            }
            ep_depthwise_mve_rows(p, &c, plane, pairs, out + n);
            record += 2 + (p->taps + 5) / 4;
        }
        in += p->in_h * p->in_w * p->in_c;
        out += p->out_h * p->out_w * channels;
    }
}

#endif
