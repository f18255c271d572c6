/* Takes the cost of reading a counter off its readings; see ep_port_ticks() in ep_port.h. */
#ifndef EP_TICKS_EXACT_H
#define EP_TICKS_EXACT_H

#include "ep_cortexm.h"

typedef struct {
    uint64_t stolen; /* instructions that earlier readings took */
    uint32_t cost;   /* of one reading, measured at start */
} ep_ticks_account;

static inline uint64_t ep_ticks_without_cost(ep_ticks_account *account, uint64_t raw) {
    const uint64_t stolen = account->stolen;

    account->stolen = stolen + account->cost;
    return raw - stolen;
}

/* Measures that cost. `read` calls ep_ticks_without_cost(); the call goes through a pointer that
 * the compiler cannot see through, so that it costs what a call from another file costs. */
static inline void ep_ticks_calibrate(ep_ticks_account *account, uint64_t (*read)(void)) {
    const uint32_t mask = ep_irq_save(); /* bytes may arrive already */
    uint32_t first;

    __asm__ volatile("" : "+r"(read));
    account->stolen = 0u;
    account->cost = 0u;
    first = (uint32_t)read();
    account->cost = (uint32_t)read() - first;
    ep_irq_restore(mask);
}

#endif
