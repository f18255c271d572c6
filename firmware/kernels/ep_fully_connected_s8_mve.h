/* FULLY_CONNECTED int8 for cores with Helium: four filters at a time run over the inputs
 * (ep_dot_mve.h).
 *
 * `stream` holds, per four filters: their weights, four int32 biases with the zero point folded in,
 * and, with per-channel scales, four int32 multipliers and four int8 shifts (right is negative). A
 * last group is filled with zeros. */
#ifndef EP_FULLY_CONNECTED_S8_MVE_H
#define EP_FULLY_CONNECTED_S8_MVE_H

#include "ep_dot_mve.h"

typedef struct {
    int32_t batches, in_n, out_n;
    int32_t multiplier, shift; /* per-tensor scale */
    bool per_channel;
    ep_mve_output to;
} ep_fully_connected_s8_mve_params;

EP_INLINE void ep_fully_connected_s8_mve(const ep_fully_connected_s8_mve_params *p,
                                         const int8_t *in, const int8_t *stream, int8_t *out) {
    for (int32_t b = 0; b < p->batches; ++b, in += p->in_n) {
        const int8_t *w = stream;
        for (int32_t f = p->out_n; f > 0; f -= 4) {
            ep_v4 y;
            w = ep_dot_4x1(&y, w, in, p->in_n);
            y = ep_v4_add(y, ep_v4_load(w));
            w += 16;
            if (p->per_channel) {
                y = ep_mve_requantize(&p->to, y, ep_v4_load(w), ep_v4_load_s8(w + 16));
                w += 20;
            } else {
                y = ep_mve_requantize_n(&p->to, y, p->multiplier, p->shift);
            }
            if (p->out_n % 4 == 0 || f >= 4) {
                ep_v4_store_s8(out, y);
                out += 4;
            } else {
                ep_v4_store_s8_some(out, y, p->out_n % 4);
                out += p->out_n % 4;
            }
        }
    }
}

#endif
