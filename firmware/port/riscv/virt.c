/*
 * QEMU's RISC-V `virt` machine: NS16550A UART behind a PLIC, instret as instruction counter.
 *
 * Registers: National Semiconductor PC16550D data sheet, 8.0; the SiFive test finisher restarts the
 * machine.
 *
 * Reception is polled: the UART has 16 bytes of FIFO and the emulator holds the sender back, so no
 * interrupt disturbs the instruction counts. The interrupt is routed only so that WFI wakes; it is
 * never taken (mstatus.MIE is 0).
 */
#include "ep_fault_text.h"
#include "ep_plic.h"
#include "ep_port.h"
#include "ep_ticks.h"

#define REG8(address) (*(volatile uint8_t *)(uintptr_t)(address))
#define UART_DATA REG8(EP_UART_BASE + 0u)
#define UART_IER REG8(EP_UART_BASE + 1u)
#define UART_FCR REG8(EP_UART_BASE + 2u)
#define UART_LCR REG8(EP_UART_BASE + 3u)
#define UART_LSR REG8(EP_UART_BASE + 5u)
#define FINISHER EP_REG(EP_FINISHER_BASE)
#define FINISHER_RESET 0x7777u

#define LSR_READY 0x01u
#define LSR_OVERRUN 0x02u
#define LSR_THR_EMPTY 0x20u
#define LSR_IDLE 0x40u
#define WAIT_TURNS 1000000u

static uint32_t lost;

void ep_port_init(void) {
    UART_LCR = 0x03u; /* 8N1; the emulated line has no baud rate */
    UART_FCR = 0x07u; /* FIFOs on and cleared */
    UART_IER = 0x01u; /* received data available */
    ep_plic_enable(EP_UART_IRQ);
    ep_ticks_start(EP_CLOCK_HZ, EP_CLOCK_HZ, true);
}

int ep_port_getc(void) {
    const uint8_t status = UART_LSR;

    if ((status & LSR_OVERRUN) != 0u) {
        lost++;
    }
    return (status & LSR_READY) != 0u ? (int)UART_DATA : -1;
}

uint32_t ep_port_rx_lost(void) {
    return lost;
}

static void wait_for(uint8_t mask) {
    uint32_t turns;

    for (turns = 0u; turns < WAIT_TURNS && (UART_LSR & mask) == 0u; turns++) {
    }
}

void ep_port_write(const void *data, size_t bytes) {
    const uint8_t *from = (const uint8_t *)data;
    size_t i;

    for (i = 0u; i < bytes; i++) {
        wait_for(LSR_THR_EMPTY);
        UART_DATA = from[i];
    }
}

void ep_port_flush(void) {
    wait_for(LSR_IDLE);
}

uint32_t ep_port_max_baud(void) {
    return 0u;
}

void ep_port_set_baud(uint32_t baud) {
    (void)baud;
}

void ep_port_fault_putc(char c) {
    ep_port_write(&c, 1u);
}

void ep_port_reset(void) {
    FINISHER = FINISHER_RESET;
    for (;;) {
        __asm__ volatile("wfi");
    }
}

void ep_port_idle(void) {
    if ((UART_LSR & LSR_READY) == 0u) {
        __asm__ volatile("wfi" ::: "memory"); /* wakes for a pending interrupt although MIE is 0 */
    }
    /* The PLIC latches the request; claiming and completing it lets the next WFI sleep again. */
    ep_plic_complete(ep_plic_claim());
}
