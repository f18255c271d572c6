/* Tensors cut into pieces along one dimension and put together again (SPLIT, SPLIT_V, UNPACK,
 * CONCATENATION, PACK). `runs` holds the elements that each piece has per step of the outer loop. */
#ifndef EP_PIECES_H
#define EP_PIECES_H

#include "ep_move.h"

typedef struct {
    int32_t outer; /* product of the dimensions before the one that is cut */
    int32_t count; /* pieces */
} ep_pieces_params;

#define EP_DEFINE_PIECES(S, T)                                                                     \
    EP_INLINE void ep_join_##S(const ep_pieces_params *p, const int32_t *runs, const T *const *in, \
                               T *out) {                                                           \
        for (int32_t outer = 0; outer < p->outer; ++outer) {                                       \
            for (int32_t i = 0; i < p->count; ++i) {                                               \
                ep_copy_run_##S(out, in[i] + outer * runs[i], runs[i], false);                     \
                out += runs[i];                                                                    \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    EP_INLINE void ep_split_##S(const ep_pieces_params *p, const int32_t *runs, const T *in,       \
                                T *const *out) {                                                   \
        for (int32_t outer = 0; outer < p->outer; ++outer) {                                       \
            for (int32_t i = 0; i < p->count; ++i) {                                               \
                ep_copy_run_##S(out[i] + outer * runs[i], in, runs[i], false);                     \
                in += runs[i];                                                                     \
            }                                                                                      \
        }                                                                                          \
    }
EP_FOR_MOVED_TYPES(EP_DEFINE_PIECES)

#endif
