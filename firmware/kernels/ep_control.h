/* Subgraphs: IF, WHILE and CALL_ONCE. A subgraph reads its inputs where the caller has them and says
 * where its outputs lie; what it computes lies in an arena of its own, the caller's scratch memory. */
#ifndef EP_CONTROL_H
#define EP_CONTROL_H

#include <string.h>

#include "ep_runtime.h"

/* Iterations of one WHILE after which it fails with EP_ERR_INDEX instead of hanging. */
#ifndef EP_LOOP_LIMIT
#define EP_LOOP_LIMIT (1l << 24)
#endif

/* self: the model's struct; out: filled with the address of every output, valid until the arena or
 * an input is written. */
typedef ep_status (*ep_subgraph)(void *self, uint8_t *arena, const void *const *in,
                                 const void **out);

typedef struct {
    int32_t count; /* outputs */
} ep_call_params;

/* Copies every tensor that is not already in its place. */
EP_INLINE void ep_copy_tensors(int32_t count, const uint32_t *bytes, const void *const *from,
                               void *const *to) {
    for (int32_t i = 0; i < count; ++i) {
        if (from[i] != to[i] && bytes[i] != 0u) {
            memcpy(to[i], from[i], bytes[i]);
        }
    }
}

EP_INLINE ep_status ep_if(const ep_call_params *p, void *self, ep_subgraph then_graph,
                          ep_subgraph else_graph, const bool *condition, const void *const *in,
                          const uint32_t *bytes, uint8_t *arena, const void **result,
                          void *const *out) {
    const ep_status status = (*condition ? then_graph : else_graph)(self, arena, in, result);
    if (status == EP_OK) {
        ep_copy_tensors(p->count, bytes, result, out);
    }
    return status;
}

/* The loop's variables live in the outputs. An output may lie exactly at its own input. */
EP_INLINE ep_status ep_while(const ep_call_params *p, void *self, ep_subgraph condition,
                             ep_subgraph body, const void *const *in, const uint32_t *bytes,
                             uint8_t *arena, const void **result, void *const *out) {
    const void *const *const variables = (const void *const *)out;
    ep_copy_tensors(p->count, bytes, in, out);
    for (int32_t i = 0;; ++i) {
        ep_status status = condition(self, arena, variables, result);
        if (status != EP_OK || !*(const bool *)result[0]) {
            return status;
        }
        if (i >= EP_LOOP_LIMIT) {
            return EP_ERR_INDEX;
        }
        status = body(self, arena, variables, result);
        if (status != EP_OK) {
            return status;
        }
        ep_copy_tensors(p->count, bytes, result, out);
    }
}

/* done: one byte of state, zero after init. */
EP_INLINE ep_status ep_call_once(void *self, ep_subgraph graph, uint8_t *done, uint8_t *arena) {
    if (*done != 0u) {
        return EP_OK;
    }
    const ep_status status = graph(self, arena, NULL, NULL);
    *done = status == EP_OK ? 1u : 0u;
    return status;
}

#endif
