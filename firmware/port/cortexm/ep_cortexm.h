/*
 * What every Cortex-M port shares: core registers, interrupts and counter arithmetic.
 *
 * Register addresses: ARMv6-M, ARMv7-M and ARMv8-M Architecture Reference Manuals (ARM DDI 0419,
 * 0403, 0553), chapter "System address map" (SCS at 0xE000E000, DWT at 0xE0001000).
 */
#ifndef EP_CORTEXM_H
#define EP_CORTEXM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ep_extend.h"
#include "ep_rx_ring.h"

#define EP_REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
#define EP_CORTEXM_BASELINE 1
#else
#define EP_CORTEXM_BASELINE 0
#endif

#define EP_SCB_VTOR EP_REG(0xE000ED08u)
#define EP_SCB_AIRCR EP_REG(0xE000ED0Cu)
#define EP_SCB_CFSR EP_REG(0xE000ED28u)
#define EP_SCB_CPACR EP_REG(0xE000ED88u)
#define EP_SCB_DEMCR EP_REG(0xE000EDFCu)
#define EP_DWT_CTRL EP_REG(0xE0001000u)
#define EP_DWT_CYCCNT EP_REG(0xE0001004u)
#define EP_DWT_LAR EP_REG(0xE0001FB0u)

/* The board's UART handler, in the vector table at EP_UART_IRQ. */
void ep_port_uart_irq(void);
/* SysTick went round; a port that lets it interrupt defines this. */
void ep_port_systick_irq(void);
/* Sends one byte polled, from a fault handler as well; must not wait for ever. */
void ep_port_fault_putc(char c);

static inline void ep_irq_disable(void) {
    __asm__ volatile("cpsid i" ::: "memory");
}

static inline void ep_irq_enable(void) {
    __asm__ volatile("cpsie i" ::: "memory");
}

static inline uint32_t ep_irq_save(void) {
    uint32_t mask;

    __asm__ volatile("mrs %0, primask\n\tcpsid i" : "=r"(mask)::"memory");
    return mask;
}

static inline void ep_irq_restore(uint32_t mask) {
    __asm__ volatile("msr primask, %0" ::"r"(mask) : "memory");
}

static inline void ep_nvic_enable(uint32_t irq) {
    EP_REG(0xE000E100u + 4u * (irq / 32u)) = (uint32_t)1u << (irq % 32u);
}

/* The interrupt stays pending and comes when it is enabled again. */
static inline void ep_nvic_disable(uint32_t irq) {
    EP_REG(0xE000E180u + 4u * (irq / 32u)) = 1u << (irq % 32u); /* NVIC_ICER */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

/* ---- waiting for a byte ---- */

/* Sleeps while the ring is empty. With interrupts masked, WFI still wakes for a pending one, so a
 * byte that arrives between the test and the WFI is not missed (ARMv7-M ARM, B1.5 "Power
 * management"). */
static inline void ep_rx_wait(const ep_rx_ring *ring) {
    ep_irq_disable();
    if (ep_rx_empty(ring)) {
        __asm__ volatile("dsb\n\twfi" ::: "memory");
    }
    ep_irq_enable();
}

/* ---- counters ---- */

/* Starts the cycle counter; false where it does not exist or, as in QEMU, does not move. A
 * Cortex-M7 keeps it locked until the key is written (ARM DDI 0403E C1.11.1, "CoreSight lock"); the
 * others ignore the write. */
static inline bool ep_dwt_start(void) {
#if EP_CORTEXM_BASELINE
    return false;
#else
    uint32_t before;

    EP_SCB_DEMCR |= 1u << 24; /* TRCENA */
#if defined(__ARM_ARCH_7EM__)
    EP_DWT_LAR = 0xC5ACCE55u;
#endif
    EP_DWT_CYCCNT = 0u;
    EP_DWT_CTRL |= 1u; /* CYCCNTENA */
    before = EP_DWT_CYCCNT;
    __asm__ volatile("nop\n\tnop\n\tnop\n\tnop" ::: "memory");
    return EP_DWT_CYCCNT != before;
#endif
}

#endif
