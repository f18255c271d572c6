/*
 * Arm MPS2 and MPS3 FPGA images AN385, AN386, AN500, AN505 and AN547, as QEMU emulates them.
 *
 * UART: Arm DDI 0479, Cortex-M System Design Kit, 4.5 "APB UART". FPGAIO: Arm DAI 0385 (and 0386,
 * 0500, 0505, 0547), "FPGA system control and I/O": CLK100HZ at offset 0x14. Emulated only: on the
 * FPGA itself the DWT cycle counter would be found and used, but nobody has tried.
 */
#include "ep_cortexm.h"
#include "ep_port.h"
#include "ep_systick_exact.h"
#include "ep_ticks_exact.h"

#define UART_DATA EP_REG(EP_UART_BASE + 0x00u)
#define UART_STATE EP_REG(EP_UART_BASE + 0x04u)
#define UART_CTRL EP_REG(EP_UART_BASE + 0x08u)
#define UART_INTCLEAR EP_REG(EP_UART_BASE + 0x0Cu)
#define UART_BAUDDIV EP_REG(EP_UART_BASE + 0x10u)
#define FPGAIO_CLK100HZ EP_REG(EP_FPGAIO_BASE + 0x14u)

#define STATE_TXFULL 1u
#define STATE_RXFULL 2u
#define STATE_RXOVERRUN 8u
#define CTRL_ENABLE 3u /* transmit and receive */
#define CTRL_RXIRQ (1u << 3)
#define INT_RX 2u
#define WAIT_TURNS 1000000u

static ep_rx_ring rx;
static ep_ticks_account account;
static bool has_dwt;
static volatile bool rx_paused; /* a byte waits in the UART, and no interrupt will tell */

void ep_port_init(void) {
    ep_port_set_baud(EP_UART_BAUD);
    UART_CTRL = CTRL_ENABLE | CTRL_RXIRQ;
    ep_nvic_enable(EP_UART_IRQ);
    has_dwt = ep_dwt_start();
    FPGAIO_CLK100HZ = 0u;
    ep_systick_start();
    if (!has_dwt) {
        ep_ticks_calibrate(&account, ep_port_ticks);
    }
}

void ep_port_uart_irq(void) {
    UART_INTCLEAR = INT_RX;
    if ((UART_STATE & STATE_RXOVERRUN) != 0u) {
        UART_STATE = STATE_RXOVERRUN;
        rx.lost = rx.lost + 1u;
    }
    if (ep_rx_full(&rx)) {
        rx_paused = true; /* the byte stays in the UART, and the emulator holds the sender back */
    } else if ((UART_STATE & STATE_RXFULL) != 0u) {
        ep_rx_put(&rx, (uint8_t)UART_DATA);
    }
}

int ep_port_getc(void) {
    const int byte = ep_rx_get(&rx);

    if (rx_paused) {
        ep_irq_disable();
        rx_paused = false;
        ep_port_uart_irq();
        ep_irq_enable();
    }
    return byte;
}

uint32_t ep_port_rx_lost(void) {
    return rx.lost;
}

void ep_port_write(const void *data, size_t bytes) {
    const uint8_t *from = (const uint8_t *)data;
    size_t i;

    for (i = 0u; i < bytes; i++) {
        while ((UART_STATE & STATE_TXFULL) != 0u) {
        }
        UART_DATA = from[i];
    }
}

void ep_port_fault_putc(char c) {
    ep_port_flush();
    UART_DATA = (uint8_t)c;
}

void ep_port_flush(void) {
    uint32_t turns;

    for (turns = 0u; turns < WAIT_TURNS && (UART_STATE & STATE_TXFULL) != 0u; turns++) {
    }
}

uint32_t ep_port_max_baud(void) {
    return has_dwt ? EP_UART_MAX_BAUD : 0u;
}

void ep_port_set_baud(uint32_t baud) {
    if (baud == 0u || baud > EP_UART_MAX_BAUD) {
        return;
    }
    UART_BAUDDIV = EP_UART_CLOCK_HZ / baud; /* at least 16 (DDI 0479, 4.5.2) */
}

uint64_t ep_port_ticks(void) {
    /* CLK100HZ, 10 ms, says how often the 24-bit SysTick went round. */
    const uint64_t approx = (uint64_t)FPGAIO_CLK100HZ * (EP_CLOCK_HZ / 100u);

    if (has_dwt) {
        return ep_extend(approx, EP_DWT_CYCCNT, 32u);
    }
    return ep_ticks_without_cost(&account, ep_systick_instructions(approx));
}

uint32_t ep_port_millis(void) {
    return FPGAIO_CLK100HZ * 10u;
}

uint32_t ep_port_ticks_hz(void) {
    return has_dwt ? EP_CLOCK_HZ : 1000000000u;
}

ep_ticks_kind ep_port_ticks_kind(void) {
    return has_dwt ? EP_TICKS_CYCLES : EP_TICKS_INSTRUCTIONS;
}

void ep_port_idle(void) {
    if (!has_dwt) { /* which may stand still while the core sleeps, and CLK100HZ does not */
        ep_rx_wait(&rx);
    }
}
