/* SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, NHWC (tensors of rank 3 have width 1). */
#ifndef EP_SPACE_BATCH_H
#define EP_SPACE_BATCH_H

#include "ep_pad.h"

typedef struct {
    int32_t batches, space_h, space_w, channels; /* of the side with few batches */
    int32_t block_h, block_w;
    int32_t blocks_h, blocks_w; /* extents of the side with many batches */
    int32_t top, left;          /* padding or crops */
} ep_space_batch_params;

/* Walks the tensor with many batches; `y` and `x` are where each of its pixels lies in space. */
#define EP_SPACE_BATCH_LOOPS(P)                                                                    \
    for (int32_t y0 = 0; y0 < (P)->block_h; ++y0)                                                  \
        for (int32_t x0 = 0; x0 < (P)->block_w; ++x0)                                              \
            for (int32_t b = 0; b < (P)->batches; ++b)                                             \
                for (int32_t y = y0 - (P)->top, i = 0; i < (P)->blocks_h; ++i, y += (P)->block_h)  \
                    for (int32_t x = x0 - (P)->left, j = 0; j < (P)->blocks_w;                     \
                         ++j, x += (P)->block_w)

#define EP_DEFINE_SPACE_BATCH(S, T)                                                                \
    EP_INLINE void ep_space_to_batch_##S(const ep_space_batch_params *p, const T *in,              \
                                         const T *value, T *out) {                                 \
        const T fill = *value;                                                                     \
        EP_SPACE_BATCH_LOOPS(p) {                                                                  \
            if (y >= 0 && y < p->space_h && x >= 0 && x < p->space_w) {                            \
                const int32_t at = (b * p->space_h + y) * p->space_w + x;                          \
                ep_copy_run_##S(out, in + at * p->channels, p->channels, false);                   \
            } else {                                                                               \
                ep_fill_run_##S(out, p->channels, fill);                                           \
            }                                                                                      \
            out += p->channels;                                                                    \
        }                                                                                          \
    }                                                                                              \
    EP_INLINE void ep_batch_to_space_##S(const ep_space_batch_params *p, const T *in, T *out) {    \
        EP_SPACE_BATCH_LOOPS(p) {                                                                  \
            if (y >= 0 && y < p->space_h && x >= 0 && x < p->space_w) {                            \
                const int32_t at = (b * p->space_h + y) * p->space_w + x;                          \
                ep_copy_run_##S(out + at * p->channels, in, p->channels, false);                   \
            }                                                                                      \
            in += p->channels;                                                                     \
        }                                                                                          \
    }
EP_FOR_MOVED_TYPES(EP_DEFINE_SPACE_BATCH)

#endif
