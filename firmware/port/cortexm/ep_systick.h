/*
 * SysTick, the 24-bit down counter of every Cortex-M: starting it, and what it says about who runs
 * us. ARM DDI 0403E B3.3 "The system timer".
 */
#ifndef EP_SYSTICK_H
#define EP_SYSTICK_H

#include "ep_cortexm.h"

#define EP_SYSTICK_CTRL EP_REG(0xE000E010u)
#define EP_SYSTICK_LOAD EP_REG(0xE000E014u)
#define EP_SYSTICK_VAL EP_REG(0xE000E018u)

#define EP_SYSTICK_ENABLE 5u /* processor clock, no interrupt, enabled */
#define EP_SYSTICK_INTERRUPT 2u

static inline void ep_systick_start(void) {
    EP_SYSTICK_LOAD = 0x00FFFFFFu;
    EP_SYSTICK_VAL = 0u;
    EP_SYSTICK_CTRL = EP_SYSTICK_ENABLE;
}

/* Whether an emulator runs us: 4,000 instructions that took under 1,500 cycles of the processor
 * clock are more than any Cortex-M can issue (two a cycle), and what `-icount shift=0` shows at
 * clocks up to 375 MHz. Needs the counter running. */
static inline bool ep_systick_is_emulated(void) {
    const uint32_t before = EP_SYSTICK_VAL;
    uint32_t turns = 1000u;

    __asm__ volatile(".syntax unified\n"
                     "1:\n\tnop\n\tnop\n\tsubs %0, %0, #1\n\tbne 1b"
                     : "+l"(turns)
                     :
                     : "cc", "memory");
    return ((before - EP_SYSTICK_VAL) & 0x00FFFFFFu) < 1500u;
}

#endif
