/* Waiting for a register, with an end. */
#ifndef EP_WAIT_H
#define EP_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* More turns than a slow crystal's 2 ms at any clock that a chip here has out of reset. */
#define EP_WAIT_TURNS 60000u

/* Whether the bits of `mask` got that value in time. */
static inline bool ep_wait(volatile uint32_t *reg, uint32_t mask, uint32_t value) {
    uint32_t turns;

    for (turns = 0u; turns < EP_WAIT_TURNS; turns++) {
        if ((*reg & mask) == value) {
            return true;
        }
    }
    return false;
}

#endif
