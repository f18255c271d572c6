/* DYNAMIC_UPDATE_SLICE: a copy of the operand with one box replaced; its begin is known at run time
 * only and clamped so that the box lies inside. */
#ifndef EP_UPDATE_SLICE_H
#define EP_UPDATE_SLICE_H

#include "ep_move.h"

#define EP_UPDATE_DIMS 6

typedef struct {
    int32_t rank, count;           /* elements of the operand */
    int32_t dims[EP_UPDATE_DIMS];  /* extents of the update, outermost first, 1 where unused */
    int32_t pitch[EP_UPDATE_DIMS]; /* elements of the operand between neighbours, 0 where unused */
    int32_t limit[EP_UPDATE_DIMS]; /* largest begin */
} ep_update_slice_params;

#define EP_DEFINE_UPDATE(S, T, IS, IT)                                                             \
    EP_INLINE void ep_update_slice_##S##_##IS(const ep_update_slice_params *p, const T *operand,   \
                                              const T *update, const IT *begin, T *out) {          \
        const int32_t *const d = p->dims, *const s = p->pitch;                                     \
        int32_t at = 0;                                                                            \
        for (int32_t i = 0; i < p->rank; ++i) {                                                    \
            const int32_t dim = EP_UPDATE_DIMS - p->rank + i;                                      \
            const IT low = begin[i] < 0 ? 0 : begin[i];                                            \
            at += (low > p->limit[dim] ? p->limit[dim] : (int32_t)low) * s[dim];                   \
        }                                                                                          \
        if (out != operand) {                                                                      \
            memmove(out, operand, (size_t)p->count * sizeof(T));                                   \
        }                                                                                          \
        for (int32_t i0 = 0; i0 < d[0]; ++i0)                                                      \
            for (int32_t i1 = 0; i1 < d[1]; ++i1)                                                  \
                for (int32_t i2 = 0; i2 < d[2]; ++i2)                                              \
                    for (int32_t i3 = 0; i3 < d[3]; ++i3)                                          \
                        for (int32_t i4 = 0; i4 < d[4]; ++i4) {                                    \
                            T *const row = out + (at + i0 * s[0] + i1 * s[1] + i2 * s[2] +         \
                                                  i3 * s[3] + i4 * s[4]);                          \
                            ep_copy_run_##S(row, update, d[5], false);                             \
                            update += d[5];                                                        \
                        }                                                                          \
    }
#define EP_DEFINE_UPDATES(S, T)                                                                    \
    EP_DEFINE_UPDATE(S, T, s32, int32_t)                                                           \
    EP_DEFINE_UPDATE(S, T, s64, int64_t)
EP_FOR_MOVED_TYPES(EP_DEFINE_UPDATES)

#endif
