/*
 * The caches of a Cortex-M7: invalidated, then on. ARM DDI 0403E B2.2.7 "Cache maintenance" and
 * B4.8, DDI 0489 (Cortex-M7 TRM) chapter 5. Nothing here uses DMA, so no line has ever to be
 * cleaned. Other cores: nothing.
 */
#ifndef EP_M7_CACHE_H
#define EP_M7_CACHE_H

#include "ep_cortexm.h"

#define EP_SCB_CCR EP_REG(0xE000ED14u)
#define EP_SCB_CCSIDR EP_REG(0xE000ED80u)
#define EP_SCB_CSSELR EP_REG(0xE000ED84u)
#define EP_SCB_ICIALLU EP_REG(0xE000EF50u)
#define EP_SCB_DCISW EP_REG(0xE000EF60u)
#define EP_CCR_DC (1u << 16)
#define EP_CCR_IC (1u << 17)

static inline void ep_barrier(void) {
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

static inline void ep_m7_caches_on(void) {
#if EP_HAS_M7_CACHES
    uint32_t size;
    uint32_t set;
    uint32_t way;

    ep_barrier();
    EP_SCB_ICIALLU = 0u;
    ep_barrier();
    EP_SCB_CCR |= EP_CCR_IC;
    EP_SCB_CSSELR = 0u; /* level 1, data */
    ep_barrier();
    size = EP_SCB_CCSIDR;
    /* 4 ways of 32-byte lines: the set from bit 5, the way from bit 30 */
    for (set = 0u; set <= ((size >> 13) & 0x7FFFu); set++) {
        for (way = 0u; way < 4u; way++) {
            EP_SCB_DCISW = (way << 30) | (set << 5);
        }
    }
    ep_barrier();
    EP_SCB_CCR |= EP_CCR_DC;
    ep_barrier();
#endif
}

#endif
