/* AVERAGE_POOL_2D and MAX_POOL_2D int8 for cores with Helium, several channels at a time. */
#ifndef EP_POOL_MVE_H
#define EP_POOL_MVE_H

#include "ep_mve.h"
#include "ep_pool.h"

/* The part of a window that lies inside the input. */
typedef struct {
    const int8_t *from; /* channel 0 of its first position */
    int32_t rows, columns;
} ep_pool_window;

EP_INLINE ep_pool_window ep_pool_mve_window(const ep_pool_params *p, const int8_t *in, int32_t oy,
                                            int32_t ox) {
    const int32_t y = oy * p->stride_h - p->pad_top, x = ox * p->stride_w - p->pad_left;
    const int32_t top = ep_max32(y, 0), left = ep_max32(x, 0);
    return (ep_pool_window){in + (top * p->in_w + left) * p->channels,
                            ep_min32(y + p->filter_h, p->in_h) - top,
                            ep_min32(x + p->filter_w, p->in_w) - left};
}

/* Means of `live` channels (1 to 4) from `from` on. */
EP_INLINE void ep_average_mve_four(const ep_pool_params *p, const ep_pool_window *w,
                                   const int8_t *from, int32_t live, int8_t *out) {
    const int32_t count = w->rows * w->columns;
    ep_v4 acc = ep_v4_set(0);
    for (int32_t y = 0; y < w->rows; ++y, from += p->in_w * p->channels) {
        const int8_t *at = from;
        EP_UNROLL(4)
        for (int32_t x = 0; x < w->columns; ++x, at += p->channels) {
            acc = ep_v4_add(acc, live == 4 ? ep_v4_load_s8(at) : ep_v4_load_s8_some(at, live));
        }
    }
    int32_t sums[4];
    ep_v4_store(sums, acc);
    for (int32_t i = 0; i < live; ++i) {
        out[i] = (int8_t)ep_clamp32(ep_pool_mean(sums[i], count), p->act_min, p->act_max);
    }
}

EP_INLINE void ep_average_pool_s8_mve(const ep_pool_params *p, const int8_t *in, int8_t *out) {
    const int32_t rest = p->channels % 4;
    for (int32_t b = 0; b < p->batches; ++b, in += p->in_h * p->in_w * p->channels) {
        for (int32_t oy = 0; oy < p->out_h; ++oy) {
            for (int32_t ox = 0; ox < p->out_w; ++ox, out += p->channels) {
                const ep_pool_window w = ep_pool_mve_window(p, in, oy, ox);
                int32_t c = 0;
                for (; c < p->channels - rest; c += 4) {
                    ep_average_mve_four(p, &w, w.from + c, 4, out + c);
                }
                if (rest > 0) {
                    ep_average_mve_four(p, &w, w.from + c, rest, out + c);
                }
            }
        }
    }
}

/* Largest of `live` channels (1 to 16) from `from` on. */
EP_INLINE void ep_max_mve_sixteen(const ep_pool_params *p, const ep_pool_window *w,
                                  const int8_t *from, int32_t live, int8_t *out) {
    ep_v16 best = ep_v16_set(p->act_min);
    for (int32_t y = 0; y < w->rows; ++y, from += p->in_w * p->channels) {
        const int8_t *at = from;
        for (int32_t x = 0; x < w->columns; ++x, at += p->channels) {
            best = ep_v16_max(best, live == 16 ? ep_v16_load(at) : ep_v16_load_some(at, live));
        }
    }
    best = ep_v16_min(best, ep_v16_set(p->act_max));
    if (live == 16) {
        ep_v16_store(out, best);
    } else {
        ep_v16_store_some(out, best, live);
    }
}

EP_INLINE void ep_max_pool_s8_mve(const ep_pool_params *p, const int8_t *in, int8_t *out) {
    const int32_t rest = p->channels % 16;
    for (int32_t b = 0; b < p->batches; ++b, in += p->in_h * p->in_w * p->channels) {
        for (int32_t oy = 0; oy < p->out_h; ++oy) {
            for (int32_t ox = 0; ox < p->out_w; ++ox, out += p->channels) {
                const ep_pool_window w = ep_pool_mve_window(p, in, oy, ox);
                int32_t c = 0;
                for (; c < p->channels - rest; c += 16) {
                    ep_max_mve_sixteen(p, &w, w.from + c, 16, out + c);
                }
                if (rest > 0) {
                    ep_max_mve_sixteen(p, &w, w.from + c, rest, out + c);
                }
            }
        }
    }
}

#endif
