/* READ_VARIABLE and ASSIGN_VARIABLE: values go to and from the state part of the arena. */
#ifndef EP_STATE_H
#define EP_STATE_H

#include <string.h>

#include "ep_runtime.h"

typedef struct {
    int32_t bytes;
} ep_copy_params;

EP_INLINE void ep_copy(const ep_copy_params *p, const void *from, void *to) {
    memcpy(to, from, (size_t)p->bytes);
}

#endif
