/*
 * What the parts of the STM32 port ask of each other. A record names port.c, one clock_*.c, one
 * pins*.c and one source of ticks:
 *
 *     clock_f1.c  STM32F100             clock_f2.c  F2, F4 and F7, which share RCC, PWR and FLASH
 *     clock_l4.c  STM32L4+              clock_h7.c  STM32H74x and H75x
 *     pins.c      GPIO of all but F1    pins_f1.c   GPIO of the F1
 *     ticks_tim.c DWT extended by TIM5; TIM2 in QEMU
 *     ../cortexm/ticks_systick.c where TIM2 and TIM5 have no 32 bits
 *
 * Every register address that differs between chips is a define of the chip's record.
 */
#ifndef EP_STM32_H
#define EP_STM32_H

#include "ep_cortexm.h"
#include "ep_wait.h"

/* A board may have another UART on its connector than QEMU's model of it. */
#ifndef EP_HW_UART_BASE
#define EP_HW_UART_BASE EP_UART_BASE
#define EP_HW_UART_IRQ EP_UART_IRQ
#endif

/* In Hz; `timer_hz` of TIM2 and TIM5. */
typedef struct {
    uint32_t core_hz;
    uint32_t uart_hz;
    uint32_t timer_hz;
} ep_stm32_clocks;

/* Of all three out of reset. */
extern const uint32_t ep_stm32_reset_hz;

/* Whether the oscillator that every real chip starts from is missing. */
bool ep_stm32_is_emulated(void);
/* Voltage, flash and caches, PLL; then says what it reached. Bounded: with a dead crystal it takes
 * the internal oscillator. False, and nothing said, where the PLL does not lock and the reset clock
 * stays. */
bool ep_stm32_start_clock(ep_stm32_clocks *clocks);
/* Connects the UART's two pins to it. */
void ep_stm32_connect_pins(void);

/* Replaces the bits of `mask`. */
static inline void ep_stm32_set(volatile uint32_t *reg, uint32_t mask, uint32_t value) {
    *reg = (*reg & ~mask) | value;
}

/* Bits of RCC_CR, at the same places in every family. */
#define EP_RCC_CR_HSEON (1u << 16)
#define EP_RCC_CR_HSERDY (1u << 17)
#define EP_RCC_CR_HSEBYP (1u << 18)
#define EP_RCC_CR_PLLON (1u << 24)
#define EP_RCC_CR_PLLRDY (1u << 25)

/* Whether the board's crystal, or the clock that another chip feeds in, is there. */
static inline bool ep_stm32_start_hse(volatile uint32_t *rcc_cr) {
#ifdef EP_HSE_HZ
#ifdef EP_HSE_BYPASS
    *rcc_cr |= EP_RCC_CR_HSEBYP;
#endif
    *rcc_cr |= EP_RCC_CR_HSEON;
    if (ep_wait(rcc_cr, EP_RCC_CR_HSERDY, EP_RCC_CR_HSERDY)) {
        return true;
    }
    *rcc_cr &= ~(EP_RCC_CR_HSEON | EP_RCC_CR_HSEBYP);
#else
    (void)rcc_cr;
#endif
    return false;
}

/* For arithmetic behind ep_stm32_start_hse(), which is false then. */
#ifndef EP_HSE_HZ
#define EP_HSE_HZ 1000000u
#endif

#endif
