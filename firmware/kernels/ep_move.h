/* Moving elements without changing them: any output that reads its input at a fixed offset and one
 * stride per loop (SLICE, STRIDED_SLICE, TRANSPOSE, REVERSE_V2, BROADCAST_TO, TILE, SPACE_TO_DEPTH,
 * ...), and slices whose begin is known at run time only. */
#ifndef EP_MOVE_H
#define EP_MOVE_H

#include <string.h>

#include "ep_runtime.h"

#define EP_MOVE_DIMS 8
#define EP_MOVE_CALL_BYTES 16u /* runs at least this long are worth a call of memcpy */

typedef struct {
    int32_t dims[EP_MOVE_DIMS];   /* loop extents, outermost first, 1 where unused */
    int32_t stride[EP_MOVE_DIMS]; /* of the input, in elements; may be 0 or negative */
    int32_t at;                   /* element of the input that comes first */
    int32_t run;                  /* elements that lie together in input and output */
    bool overlap;                 /* the output may lie at or before what is still to be read */
} ep_move_params;

typedef struct {
    ep_move_params move;
    int32_t rank;
    int32_t limit[EP_MOVE_DIMS]; /* largest begin of each dimension */
    int32_t pitch[EP_MOVE_DIMS]; /* elements of the input between neighbours in a dimension */
} ep_slice_params;

/* X(suffix, element type) for every type that can be moved. */
#define EP_FOR_MOVED_TYPES(X)                                                                      \
    X(s8, int8_t)                                                                                  \
    X(u8, uint8_t)                                                                                 \
    X(b8, bool)                                                                                    \
    X(s16, int16_t)                                                                                \
    X(u16, uint16_t)                                                                               \
    X(s32, int32_t)                                                                                \
    X(u32, uint32_t)                                                                               \
    X(s64, int64_t)                                                                                \
    X(f32, float)

/* `run` elements; short runs as single loads and stores, which need not be a call. */
#define EP_DEFINE_COPY_RUN(S, T)                                                                   \
    EP_INLINE void ep_copy_run_##S(T *out, const T *in, int32_t run, bool overlap) {               \
        if ((size_t)run * sizeof(T) < EP_MOVE_CALL_BYTES) {                                        \
            for (int32_t k = 0; k < run; ++k) {                                                    \
                out[k] = in[k];                                                                    \
            }                                                                                      \
        } else if (overlap) {                                                                      \
            memmove(out, in, (size_t)run * sizeof(T));                                             \
        } else {                                                                                   \
            memcpy(out, in, (size_t)run * sizeof(T));                                              \
        }                                                                                          \
    }
EP_FOR_MOVED_TYPES(EP_DEFINE_COPY_RUN)

#define EP_DEFINE_MOVE(S, T)                                                                       \
    EP_INLINE void ep_move_from_##S(const ep_move_params *p, int32_t at, const T *in, T *out) {    \
        const int32_t *const d = p->dims, *const s = p->stride;                                    \
        for (int32_t i0 = 0; i0 < d[0]; ++i0)                                                      \
            for (int32_t i1 = 0; i1 < d[1]; ++i1)                                                  \
                for (int32_t i2 = 0; i2 < d[2]; ++i2)                                              \
                    for (int32_t i3 = 0; i3 < d[3]; ++i3)                                          \
                        for (int32_t i4 = 0; i4 < d[4]; ++i4)                                      \
                            for (int32_t i5 = 0; i5 < d[5]; ++i5)                                  \
                                for (int32_t i6 = 0; i6 < d[6]; ++i6) {                            \
                                    const int32_t base = at + i0 * s[0] + i1 * s[1] + i2 * s[2] +  \
                                                         i3 * s[3] + i4 * s[4] + i5 * s[5] +       \
                                                         i6 * s[6];                                \
                                    for (int32_t i7 = 0; i7 < d[7]; ++i7) {                        \
                                        ep_copy_run_##S(out, in + (base + i7 * s[7]), p->run,      \
                                                        p->overlap);                               \
                                        out += p->run;                                             \
                                    }                                                              \
                                }                                                                  \
    }                                                                                              \
    EP_INLINE void ep_move_##S(const ep_move_params *p, const T *in, T *out) {                     \
        ep_move_from_##S(p, p->at, in, out);                                                       \
    }
EP_FOR_MOVED_TYPES(EP_DEFINE_MOVE)

/* Checks a begin and adds up the element that it names. */
#define EP_DEFINE_SLICE_AT(S, T)                                                                   \
    EP_INLINE ep_status ep_slice_at_##S(const ep_slice_params *p, const T *begin, int32_t *at) {   \
        *at = 0;                                                                                   \
        for (int32_t i = 0; i < p->rank; ++i) {                                                    \
            if (begin[i] < 0 || begin[i] > p->limit[i]) {                                          \
                return EP_ERR_INDEX;                                                               \
            }                                                                                      \
            *at += (int32_t)begin[i] * p->pitch[i];                                                \
        }                                                                                          \
        return EP_OK;                                                                              \
    }
EP_DEFINE_SLICE_AT(s32, int32_t)
EP_DEFINE_SLICE_AT(s64, int64_t)

#define EP_DEFINE_SLICE(S, T, IS, IT)                                                              \
    EP_INLINE ep_status ep_slice_##S##_##IS(const ep_slice_params *p, const T *in,                 \
                                            const IT *begin, T *out) {                             \
        int32_t at;                                                                                \
        const ep_status status = ep_slice_at_##IS(p, begin, &at);                                  \
        if (status == EP_OK) {                                                                     \
            ep_move_from_##S(&p->move, at, in, out);                                               \
        }                                                                                          \
        return status;                                                                             \
    }
#define EP_DEFINE_SLICES(S, T)                                                                     \
    EP_DEFINE_SLICE(S, T, s32, int32_t)                                                            \
    EP_DEFINE_SLICE(S, T, s64, int64_t)
EP_FOR_MOVED_TYPES(EP_DEFINE_SLICES)

#endif
