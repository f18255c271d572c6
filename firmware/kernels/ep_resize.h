/* RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR, NHWC. Which rows and columns an output pixel reads,
 * and with which weights, are tables made when the code was generated. */
#ifndef EP_RESIZE_H
#define EP_RESIZE_H

#include "ep_move.h"

typedef struct {
    int32_t batches, in_h, in_w, out_h, out_w, channels;
} ep_resize_params;

/* rows[out_h] and columns[out_w]: what each output row and column shows. */
#define EP_DEFINE_RESIZE_NEAREST(S, T)                                                             \
    EP_INLINE void ep_resize_nearest_##S(const ep_resize_params *p, const int16_t *rows,           \
                                         const int16_t *columns, const T *in, T *out) {            \
        for (int32_t b = 0; b < p->batches; ++b) {                                                 \
            for (int32_t y = 0; y < p->out_h; ++y) {                                               \
                const int32_t row = (b * p->in_h + rows[y]) * p->in_w;                             \
                for (int32_t x = 0; x < p->out_w; ++x) {                                           \
                    ep_copy_run_##S(out, in + (row + columns[x]) * p->channels, p->channels,       \
                                    false);                                                        \
                    out += p->channels;                                                            \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }
EP_FOR_MOVED_TYPES(EP_DEFINE_RESIZE_NEAREST)

/* rows[out_h][3] and columns[out_w][3]: lower index, upper index, and the upper one's weight in
 * 1/1024 (with half pixel centres -512..1023). The four weights of a pixel add up to 2^20. */
EP_INLINE void ep_resize_bilinear_s8(const ep_resize_params *p, const int16_t *rows,
                                     const int16_t *columns, const int8_t *in, int8_t *out) {
    for (int32_t b = 0; b < p->batches; ++b) {
        for (int32_t y = 0; y < p->out_h; ++y) {
            const int32_t row0 = (b * p->in_h + rows[3 * y]) * p->in_w;
            const int32_t row1 = (b * p->in_h + rows[3 * y + 1]) * p->in_w;
            const int32_t wy = rows[3 * y + 2];
            for (int32_t x = 0; x < p->out_w; ++x) {
                const int32_t x0 = columns[3 * x], x1 = columns[3 * x + 1];
                const int32_t wx = columns[3 * x + 2];
                const int8_t *const a = in + (row0 + x0) * p->channels;
                const int8_t *const c = in + (row1 + x0) * p->channels;
                const int8_t *const d = in + (row0 + x1) * p->channels;
                const int8_t *const e = in + (row1 + x1) * p->channels;
                const int32_t wa = (1024 - wy) * (1024 - wx), wc = wy * (1024 - wx);
                const int32_t wd = (1024 - wy) * wx, we = wy * wx;
                for (int32_t i = 0; i < p->channels; ++i) {
                    const int32_t sum = a[i] * wa + c[i] * wc + d[i] * wd + e[i] * we;
                    const int32_t half = sum > 0 ? 1 << 19 : -(1 << 19);
                    *out++ = (int8_t)((sum + half) / (1 << 20));
                }
            }
        }
    }
}

/* The same with float weights in tables of their own. */
EP_INLINE void ep_resize_bilinear_f32(const ep_resize_params *p, const int16_t *rows,
                                      const int16_t *columns, const float *row_weights,
                                      const float *column_weights, const float *in, float *out) {
    for (int32_t b = 0; b < p->batches; ++b) {
        for (int32_t y = 0; y < p->out_h; ++y) {
            const int32_t row0 = (b * p->in_h + rows[2 * y]) * p->in_w;
            const int32_t row1 = (b * p->in_h + rows[2 * y + 1]) * p->in_w;
            const float wy = row_weights[y];
            for (int32_t x = 0; x < p->out_w; ++x) {
                const int32_t x0 = columns[2 * x], x1 = columns[2 * x + 1];
                const float wx = column_weights[x];
                const float *const a = in + (row0 + x0) * p->channels;
                const float *const c = in + (row1 + x0) * p->channels;
                const float *const d = in + (row0 + x1) * p->channels;
                const float *const e = in + (row1 + x1) * p->channels;
                for (int32_t i = 0; i < p->channels; ++i) {
                    *out++ = a[i] * (1.0f - wy) * (1.0f - wx) + c[i] * wy * (1.0f - wx) +
                             d[i] * (1.0f - wy) * wx + e[i] * wy * wx;
                }
            }
        }
    }
}

#endif
