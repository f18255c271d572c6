/* PAD, PADV2 and MIRROR_PAD. Trailing dimensions without padding are part of the innermost row. */
#ifndef EP_PAD_H
#define EP_PAD_H

#include "ep_move.h"

#define EP_PAD_DIMS 6

typedef struct {
    int32_t out[EP_PAD_DIMS];    /* extents of the output, outermost first, 1 where unused */
    int32_t in[EP_PAD_DIMS];     /* of the input */
    int32_t before[EP_PAD_DIMS]; /* padding before the input */
} ep_pad_params;

typedef struct {
    ep_pad_params pad;
    int32_t edge;  /* 0: the border element is mirrored too (SYMMETRIC), 1: it is not (REFLECT) */
    int32_t inner; /* elements that move together */
} ep_mirror_pad_params;

EP_INLINE bool ep_pad_inside(const ep_pad_params *p, int32_t dim, int32_t i) {
    return i >= p->before[dim] && i < p->before[dim] + p->in[dim];
}

#define EP_PAD_LOOPS(P)                                                                            \
    for (int32_t i0 = 0; i0 < (P)->out[0]; ++i0)                                                   \
        for (int32_t i1 = 0; i1 < (P)->out[1]; ++i1)                                               \
            for (int32_t i2 = 0; i2 < (P)->out[2]; ++i2)                                           \
                for (int32_t i3 = 0; i3 < (P)->out[3]; ++i3)                                       \
                    for (int32_t i4 = 0; i4 < (P)->out[4]; ++i4)

/* Input and output are walked in order, so that the input may be the output's tail. */
#define EP_DEFINE_PAD(S, T)                                                                        \
    EP_INLINE void ep_fill_run_##S(T *out, int32_t run, T value) {                                 \
        for (int32_t k = 0; k < run; ++k) {                                                        \
            out[k] = value;                                                                        \
        }                                                                                          \
    }                                                                                              \
    EP_INLINE void ep_pad_##S(const ep_pad_params *p, const T *in, const T *value, T *out) {       \
        const T fill = *value;                                                                     \
        const int32_t row = p->out[5], before = p->before[5], run = p->in[5];                      \
        EP_PAD_LOOPS(p) {                                                                          \
            if (ep_pad_inside(p, 0, i0) && ep_pad_inside(p, 1, i1) && ep_pad_inside(p, 2, i2) &&   \
                ep_pad_inside(p, 3, i3) && ep_pad_inside(p, 4, i4)) {                              \
                ep_fill_run_##S(out, before, fill);                                                \
                ep_copy_run_##S(out + before, in, run, true);                                      \
                ep_fill_run_##S(out + (before + run), row - before - run, fill);                   \
                in += run;                                                                         \
            } else {                                                                               \
                ep_fill_run_##S(out, row, fill);                                                   \
            }                                                                                      \
            out += row;                                                                            \
        }                                                                                          \
    }
EP_FOR_MOVED_TYPES(EP_DEFINE_PAD)

/* The element of the input that the output shows at index i of a dimension. */
EP_INLINE int32_t ep_mirrored(const ep_mirror_pad_params *p, int32_t dim, int32_t i) {
    const int32_t at = i - p->pad.before[dim], size = p->pad.in[dim];
    if (at < 0) {
        return -at - 1 + p->edge;
    }
    return at < size ? at : 2 * size - 1 - p->edge - at;
}

#define EP_DEFINE_MIRROR_PAD(S, T)                                                                 \
    EP_INLINE void ep_mirror_pad_##S(const ep_mirror_pad_params *p, const T *in, T *out) {         \
        const int32_t *const n = p->pad.in;                                                        \
        EP_PAD_LOOPS(&p->pad) {                                                                    \
            const int32_t row = (((ep_mirrored(p, 0, i0) * n[1] + ep_mirrored(p, 1, i1)) * n[2] +  \
                                  ep_mirrored(p, 2, i2)) *                                         \
                                     n[3] +                                                        \
                                 ep_mirrored(p, 3, i3)) *                                          \
                                    n[4] +                                                         \
                                ep_mirrored(p, 4, i4);                                             \
            for (int32_t i5 = 0; i5 < p->pad.out[5]; ++i5) {                                       \
                const int32_t at = row * n[5] + ep_mirrored(p, 5, i5);                             \
                ep_copy_run_##S(out, in + at * p->inner, p->inner, false);                         \
                out += p->inner;                                                                   \
            }                                                                                      \
        }                                                                                          \
    }
EP_FOR_MOVED_TYPES(EP_DEFINE_MIRROR_PAD)

#endif
