/*
 * Nordic nRF51822 at 16 MHz: UART0, TIMER0.
 *
 * Registers: nRF51 Series Reference Manual v3.0.1: 13 CLOCK, 18 TIMER, 29 UART. The Cortex-M0 has
 * no cycle counter; TIMER0 runs from the same 16 MHz as the core, so on the chip its ticks are core
 * cycles.
 */
#include "ep_cortexm.h"
#include "ep_port.h"
#include "ep_systick_exact.h"
#include "ep_ticks_exact.h"

#define CLOCK_HFCLKSTART EP_REG(0x40000000u)
#define CLOCK_HFCLKSTARTED EP_REG(0x40000100u)
#define UART_STARTRX EP_REG(EP_UART_BASE + 0x000u)
#define UART_STARTTX EP_REG(EP_UART_BASE + 0x008u)
#define UART_RXDRDY EP_REG(EP_UART_BASE + 0x108u)
#define UART_TXDRDY EP_REG(EP_UART_BASE + 0x11Cu)
#define UART_INTENSET EP_REG(EP_UART_BASE + 0x304u)
#define UART_INTENCLR EP_REG(EP_UART_BASE + 0x308u)
#define UART_ERRORSRC EP_REG(EP_UART_BASE + 0x480u)
#define UART_ENABLE EP_REG(EP_UART_BASE + 0x500u)
#define UART_PSELTXD EP_REG(EP_UART_BASE + 0x50Cu)
#define UART_PSELRXD EP_REG(EP_UART_BASE + 0x514u)
#define UART_RXD EP_REG(EP_UART_BASE + 0x518u)
#define UART_TXD EP_REG(EP_UART_BASE + 0x51Cu)
#define UART_BAUDRATE EP_REG(EP_UART_BASE + 0x524u)
#define GPIO_OUTSET EP_REG(0x50000508u)
#define GPIO_DIRSET EP_REG(0x50000518u)
#define TIMER_START EP_REG(0x40008000u)
#define TIMER_STOP EP_REG(0x40008004u)
#define TIMER_CLEAR EP_REG(0x4000800Cu)
#define TIMER_CAPTURE0 EP_REG(0x40008040u)
#define TIMER_MODE EP_REG(0x40008504u)
#define TIMER_BITMODE EP_REG(0x40008508u)
#define TIMER_PRESCALER EP_REG(0x40008510u)
#define TIMER_CC0 EP_REG(0x40008540u)

#define INT_RXDRDY (1u << 2)
#define ERROR_OVERRUN 1u
#define COARSE_SHIFT 9u /* the largest prescaler: 32 us, whole nanoseconds in QEMU */
#define WAIT_TURNS 1000000u

static ep_rx_ring rx;
static ep_ticks_account account;
static bool emulated;
static volatile bool rx_paused;
static uint64_t cycles;

static void start_timer(uint32_t prescaler) {
    TIMER_STOP = 1u;
    TIMER_MODE = 0u;    /* timer */
    TIMER_BITMODE = 3u; /* 32 bits */
    TIMER_PRESCALER = prescaler;
    TIMER_CLEAR = 1u;
    TIMER_START = 1u;
}

static uint32_t timer_now(void) {
    TIMER_CAPTURE0 = 1u;
    return TIMER_CC0;
}

static void start_uart(void) {
    GPIO_OUTSET = 1u << EP_UART_TX_PIN;
    GPIO_DIRSET = 1u << EP_UART_TX_PIN;
    UART_PSELTXD = EP_UART_TX_PIN;
    UART_PSELRXD = EP_UART_RX_PIN;
    ep_port_set_baud(EP_UART_BAUD);
    UART_ENABLE = 4u;
    UART_INTENSET = INT_RXDRDY;
    ep_nvic_enable(EP_UART_IRQ);
    UART_STARTTX = 1u;
    UART_STARTRX = 1u;
}

void ep_port_init(void) {
    uint32_t turns;

    /* The crystal instead of the RC oscillator: exact baud rate and time base. */
    CLOCK_HFCLKSTARTED = 0u;
    CLOCK_HFCLKSTART = 1u;
    for (turns = 0u; turns < WAIT_TURNS && CLOCK_HFCLKSTARTED == 0u; turns++) {
    }
    start_uart();
    ep_systick_start();
    emulated = ep_systick_is_emulated();
    if (emulated) {
        start_timer(COARSE_SHIFT);
        ep_systick_start(); /* from 0, like the timer */
        ep_ticks_calibrate(&account, ep_port_ticks);
    } else {
        start_timer(0u);
    }
}

void ep_port_uart_irq(void) {
    if (ep_rx_full(&rx)) {
        UART_INTENCLR = INT_RXDRDY; /* the byte stays in the FIFO of six */
        rx_paused = true;
        return;
    }
    if (UART_RXDRDY != 0u) {
        UART_RXDRDY = 0u; /* before RXD is read: reading it may raise the event again */
        ep_rx_put(&rx, (uint8_t)UART_RXD);
    }
    if ((UART_ERRORSRC & ERROR_OVERRUN) != 0u) {
        UART_ERRORSRC = ERROR_OVERRUN;
        rx.lost = rx.lost + 1u;
    }
}

int ep_port_getc(void) {
    const int byte = ep_rx_get(&rx);

    if (rx_paused) {
        rx_paused = false;
        UART_INTENSET = INT_RXDRDY;
    }
    return byte;
}

uint32_t ep_port_rx_lost(void) {
    return rx.lost;
}

static void send(uint8_t byte) {
    uint32_t turns;

    UART_TXDRDY = 0u;
    UART_TXD = byte;
    for (turns = 0u; turns < WAIT_TURNS && UART_TXDRDY == 0u; turns++) {
    }
}

void ep_port_write(const void *data, size_t bytes) {
    const uint8_t *from = (const uint8_t *)data;
    size_t i;

    for (i = 0u; i < bytes; i++) {
        send(from[i]);
    }
}

void ep_port_fault_putc(char c) {
    send((uint8_t)c);
}

void ep_port_flush(void) {
    /* send() waits until each byte has left. */
}

uint32_t ep_port_max_baud(void) {
    return emulated ? 0u : EP_UART_MAX_BAUD;
}

void ep_port_set_baud(uint32_t baud) {
    if (baud == 0u || baud > EP_UART_MAX_BAUD) {
        return;
    }
    /* baud * 2^32 / 16 MHz, rounded to a multiple of 2^12, as in the manual's table of BAUDRATE.
     */
    UART_BAUDRATE = ((uint32_t)(((uint64_t)baud * 17592186u) >> 16) + 0x800u) & ~0xFFFu;
}

uint64_t ep_port_ticks(void) {
    if (emulated) {
        const uint64_t approx = (uint64_t)timer_now() << COARSE_SHIFT;
        return ep_ticks_without_cost(&account, ep_systick_instructions(approx));
    }
    cycles += timer_now() - (uint32_t)cycles;
    return cycles;
}

uint32_t ep_port_millis(void) {
    /* 32 counts of 32 us, or 2^14 cycles: 1.024 ms */
    return emulated ? timer_now() >> 5 : (uint32_t)(ep_port_ticks() >> 14);
}

uint32_t ep_port_ticks_hz(void) {
    return emulated ? 1000000000u : EP_CLOCK_HZ;
}

ep_ticks_kind ep_port_ticks_kind(void) {
    return emulated ? EP_TICKS_INSTRUCTIONS : EP_TICKS_CYCLES;
}

void ep_port_idle(void) {
    ep_rx_wait(&rx);
}
