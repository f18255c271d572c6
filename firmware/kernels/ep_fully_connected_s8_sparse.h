/* FULLY_CONNECTED int8 of which only the weights that are not zero are stored (ep_sparse.h).
 *
 * `start`: biases, the input's zero point folded in. `counts`: entries of each filter. */
#ifndef EP_FULLY_CONNECTED_S8_SPARSE_H
#define EP_FULLY_CONNECTED_S8_SPARSE_H

#include "ep_sparse.h"

typedef struct {
    int32_t batches, in_n, out_n;
    int32_t scale_step; /* 1: multiplier and shift per output; 0: one for all */
    int32_t output_offset;
    int32_t act_min, act_max;
    int32_t block; /* weights of an entry: 1 or 4 */
    bool fast;     /* ep_sparse_output */
} ep_fully_connected_s8_sparse_params;

EP_INLINE void ep_fully_connected_s8_sparse(const ep_fully_connected_s8_sparse_params *p,
                                            const int8_t *in, const int32_t *start,
                                            const uint16_t *counts, const uint8_t *gaps,
                                            const int8_t *weights, const int32_t *multiplier,
                                            const int8_t *shift, int8_t *out) {
    for (int32_t b = 0; b < p->batches; ++b, in += p->in_n, out += p->out_n) {
        ep_sparse_at at = {gaps, weights};
        for (int32_t oc = 0; oc < p->out_n; ++oc) {
            const int32_t acc = ep_sparse_dot(&at, counts[oc], in, start[oc], p->block);
            const int32_t scale = oc * p->scale_step;
            out[oc] = ep_sparse_output(acc, multiplier[scale], shift[scale], p->output_offset,
                                       p->act_min, p->act_max, p->fast);
        }
    }
}

#endif
