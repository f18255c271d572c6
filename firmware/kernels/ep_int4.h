/* 4-bit weights, two to a byte, the first of each pair in the low nibble. */
#ifndef EP_INT4_H
#define EP_INT4_H

#include "ep_runtime.h"

/* Element `at`, -8..7. */
EP_INLINE int32_t ep_int4(const uint8_t *packed, int32_t at) {
    const uint32_t nibble = ((uint32_t)packed[at >> 1] >> (((uint32_t)at & 1u) * 4u)) & 0xFu;
    return (int32_t)(nibble ^ 8u) - 8;
}

#endif
