/* FILL and ZEROS_LIKE: one value everywhere. */
#ifndef EP_FILL_H
#define EP_FILL_H

#include "ep_pad.h"

typedef struct {
    int32_t count; /* elements */
} ep_fill_params;

#define EP_DEFINE_FILL(S, T)                                                                       \
    EP_INLINE void ep_fill_##S(const ep_fill_params *p, const T *value, T *out) {                  \
        ep_fill_run_##S(out, p->count, *value);                                                    \
    }                                                                                              \
    EP_INLINE void ep_zero_##S(const ep_fill_params *p, T *out) {                                  \
        memset(out, 0, (size_t)p->count * sizeof(T));                                              \
    }
EP_FOR_MOVED_TYPES(EP_DEFINE_FILL)

#endif
