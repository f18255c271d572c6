/* Counter arithmetic that ports share. */
#ifndef EP_EXTEND_H
#define EP_EXTEND_H

#include <stdint.h>

/* The value congruent to `fine` modulo 2^bits that is nearest to `approx`: a short exact counter
 * extended by a long coarse one. Needs |approx - true value| < 2^(bits - 1). Free of branches, so
 * its cost is constant. */
static inline uint64_t ep_extend(uint64_t approx, uint32_t fine, unsigned bits) {
    const uint32_t delta = (fine - (uint32_t)approx) << (32u - bits);
    const int32_t nearest = (int32_t)delta >> (32u - bits);

    return approx + (uint64_t)(int64_t)nearest;
}

#endif
