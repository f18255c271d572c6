/* MAX_POOL_2D of bits: a window's largest value is +1 if one of them is. */
#ifndef EP_BITS_POOL_H
#define EP_BITS_POOL_H

#include "ep_fixed.h"

typedef struct {
    int32_t batches, in_h, in_w, bytes; /* of a position's channels */
    int32_t out_h, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w;
    int32_t pad_top, pad_left;
} ep_bits_pool_params;

EP_INLINE void ep_bits_max_pool(const ep_bits_pool_params *p, const uint8_t *in, uint8_t *out) {
    for (int32_t b = 0; b < p->batches; ++b) {
        for (int32_t oy = 0; oy < p->out_h; ++oy) {
            const int32_t top = oy * p->stride_h - p->pad_top;
            const int32_t y0 = ep_max32(top, 0), y1 = ep_min32(top + p->filter_h, p->in_h);
            for (int32_t ox = 0; ox < p->out_w; ++ox) {
                const int32_t left = ox * p->stride_w - p->pad_left;
                const int32_t x0 = ep_max32(left, 0), x1 = ep_min32(left + p->filter_w, p->in_w);
                for (int32_t i = 0; i < p->bytes; ++i) {
                    uint32_t any = 0;
                    for (int32_t y = y0; y < y1; ++y) {
                        for (int32_t x = x0; x < x1; ++x) {
                            any |= in[((b * p->in_h + y) * p->in_w + x) * p->bytes + i];
                        }
                    }
                    *out++ = (uint8_t)any;
                }
            }
        }
    }
}

#endif
