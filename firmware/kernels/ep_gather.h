/* GATHER, GATHER_ND and EMBEDDING_LOOKUP. Indices from the model file were checked when the code was
 * generated; others give EP_ERR_INDEX when they are out of range. */
#ifndef EP_GATHER_H
#define EP_GATHER_H

#include "ep_move.h"

#define EP_GATHER_DIMS 6

typedef struct {
    int32_t batch, outer; /* loops before the gathered dimension; indices differ per batch */
    int32_t axis;         /* extent of the gathered dimension */
    int32_t count;        /* indices per batch */
    int32_t run;          /* elements after the gathered dimension */
} ep_gather_params;

typedef struct {
    int32_t count;                                       /* index tuples */
    int32_t depth;                                       /* indices per tuple */
    int32_t dims[EP_GATHER_DIMS], pitch[EP_GATHER_DIMS]; /* what each of them indexes; elements */
    int32_t run;
} ep_gather_nd_params;

typedef struct {
    int32_t count, rows, columns;
    float scale;
} ep_embedding_params;

#define EP_DEFINE_GATHER(S, T, IS, IT)                                                             \
    EP_INLINE ep_status ep_gather_##S##_##IS(const ep_gather_params *p, const T *in,               \
                                             const IT *indices, T *out) {                          \
        for (int32_t batch = 0; batch < p->batch; ++batch) {                                       \
            for (int32_t outer = 0; outer < p->outer; ++outer) {                                   \
                for (int32_t i = 0; i < p->count; ++i) {                                           \
                    const IT index = indices[i];                                                   \
                    if (index < 0 || index >= p->axis) {                                           \
                        return EP_ERR_INDEX;                                                       \
                    }                                                                              \
                    ep_copy_run_##S(out, in + (int32_t)index * p->run, p->run, false);             \
                    out += p->run;                                                                 \
                }                                                                                  \
                in += p->axis * p->run;                                                            \
            }                                                                                      \
            indices += p->count;                                                                   \
        }                                                                                          \
        return EP_OK;                                                                              \
    }                                                                                              \
    EP_INLINE ep_status ep_gather_nd_##S##_##IS(const ep_gather_nd_params *p, const T *in,         \
                                                const IT *indices, T *out) {                       \
        for (int32_t i = 0; i < p->count; ++i) {                                                   \
            int32_t at = 0;                                                                        \
            for (int32_t k = 0; k < p->depth; ++k) {                                               \
                const IT index = indices[k];                                                       \
                if (index < 0 || index >= p->dims[k]) {                                            \
                    return EP_ERR_INDEX;                                                           \
                }                                                                                  \
                at += (int32_t)index * p->pitch[k];                                                \
            }                                                                                      \
            ep_copy_run_##S(out, in + at, p->run, false);                                          \
            indices += p->depth;                                                                   \
            out += p->run;                                                                         \
        }                                                                                          \
        return EP_OK;                                                                              \
    }
#define EP_DEFINE_GATHERS(S, T)                                                                    \
    EP_DEFINE_GATHER(S, T, s32, int32_t)                                                           \
    EP_DEFINE_GATHER(S, T, s64, int64_t)
EP_FOR_MOVED_TYPES(EP_DEFINE_GATHERS)

/* Rows of an int8 table, dequantized. */
EP_INLINE ep_status ep_embedding_s8_f32(const ep_embedding_params *p, const int8_t *table,
                                        const int32_t *rows, float *out) {
    for (int32_t i = 0; i < p->count; ++i) {
        if (rows[i] < 0 || rows[i] >= p->rows) {
            return EP_ERR_INDEX;
        }
        const int8_t *const row = table + rows[i] * p->columns;
        for (int32_t c = 0; c < p->columns; ++c) {
            *out++ = p->scale * (float)row[c];
        }
    }
    return EP_OK;
}

#endif
