/*
 * Nordic nRF52840 at 64 MHz: UART0, DWT cycle counter, TIMER0.
 *
 * Registers: nRF52840 Product Specification v1.7: 4.3.6 NVMC (instruction cache), 5.4 CLOCK, 6.9
 * GPIO, 6.30 TIMER, 6.33 UART; addresses and bits also in Nordic's nrf52840.svd (nrfx, bsp/stable).
 *
 * UART0 instead of the UARTE at the same address: it keeps six bytes in a FIFO that can be read one
 * by one, so bytes survive a late interrupt, and there is no DMA buffer whose last bytes come late.
 *
 * EP_UART_TX_PIN and EP_UART_RX_PIN are port * 32 + pin, as in PSEL. A boot loader may have run
 * before.
 */
#include "ep_cortexm.h"
#include "ep_port.h"

#define CLOCK_HFCLKSTART EP_REG(0x40000000u)
#define CLOCK_HFCLKSTARTED EP_REG(0x40000100u)
#define NVMC_ICACHECNF EP_REG(0x4001E540u)
#define UART_STARTRX EP_REG(EP_UART_BASE + 0x000u)
#define UART_STARTTX EP_REG(EP_UART_BASE + 0x008u)
#define UART_RXDRDY EP_REG(EP_UART_BASE + 0x108u)
#define UART_TXDRDY EP_REG(EP_UART_BASE + 0x11Cu)
#define UART_SHORTS EP_REG(EP_UART_BASE + 0x200u)
#define UART_INTENSET EP_REG(EP_UART_BASE + 0x304u)
#define UART_INTENCLR EP_REG(EP_UART_BASE + 0x308u)
#define UART_ERRORSRC EP_REG(EP_UART_BASE + 0x480u)
#define UART_ENABLE EP_REG(EP_UART_BASE + 0x500u)
#define UART_PSELRTS EP_REG(EP_UART_BASE + 0x508u)
#define UART_PSELTXD EP_REG(EP_UART_BASE + 0x50Cu)
#define UART_PSELCTS EP_REG(EP_UART_BASE + 0x510u)
#define UART_PSELRXD EP_REG(EP_UART_BASE + 0x514u)
#define UART_RXD EP_REG(EP_UART_BASE + 0x518u)
#define UART_TXD EP_REG(EP_UART_BASE + 0x51Cu)
#define UART_BAUDRATE EP_REG(EP_UART_BASE + 0x524u)
#define UART_CONFIG EP_REG(EP_UART_BASE + 0x56Cu)
#define GPIO_BASE(pin) (0x50000000u + 0x300u * ((pin) / 32u))
#define GPIO_OUTSET(pin) EP_REG(GPIO_BASE(pin) + 0x508u)
#define GPIO_PIN_CNF(pin) EP_REG(GPIO_BASE(pin) + 0x700u + 4u * ((pin) % 32u))
#define TIMER_START EP_REG(0x40008000u)
#define TIMER_STOP EP_REG(0x40008004u)
#define TIMER_CLEAR EP_REG(0x4000800Cu)
#define TIMER_CAPTURE0 EP_REG(0x40008040u)
#define TIMER_MODE EP_REG(0x40008504u)
#define TIMER_BITMODE EP_REG(0x40008508u)
#define TIMER_PRESCALER EP_REG(0x40008510u)
#define TIMER_CC0 EP_REG(0x40008540u)

#define DISCONNECTED 0xFFFFFFFFu
#define INT_RXDRDY (1u << 2)
#define ERROR_OVERRUN 1u
#define PIN_OUTPUT 0x3u       /* DIR output, INPUT disconnected */
#define PIN_INPUT_PULLUP 0xCu /* INPUT connected, PULL up */
#define ENABLE_UART 4u
#define PRESCALER 9u     /* of 16 MHz: 31250 Hz */
#define COARSE_SHIFT 11u /* core cycles in one count of the timer: 64 MHz / 31250 Hz = 2^11 */
#define WAIT_TURNS 1000000u

#if EP_CLOCK_HZ != 64000000u
#error "the core of the nRF52840 runs at 64 MHz"
#endif

static ep_rx_ring rx;
static volatile bool rx_paused;

static uint32_t timer_now(void) {
    TIMER_CAPTURE0 = 1u;
    return TIMER_CC0;
}

static void start_clock(void) {
    uint32_t turns;

    /* The crystal instead of the RC oscillator: exact baud rate and time base. */
    CLOCK_HFCLKSTARTED = 0u;
    CLOCK_HFCLKSTART = 1u;
    for (turns = 0u; turns < WAIT_TURNS && CLOCK_HFCLKSTARTED == 0u; turns++) {
    }
    NVMC_ICACHECNF = 1u;
}

static void start_uart(void) {
    UART_ENABLE = 0u; /* whatever a boot loader left here */
    UART_INTENCLR = 0xFFFFFFFFu;
    UART_SHORTS = 0u;
    GPIO_OUTSET(EP_UART_TX_PIN) = 1u << (EP_UART_TX_PIN % 32u);
    GPIO_PIN_CNF(EP_UART_TX_PIN) = PIN_OUTPUT;
    GPIO_PIN_CNF(EP_UART_RX_PIN) = PIN_INPUT_PULLUP;
    UART_PSELRTS = DISCONNECTED;
    UART_PSELCTS = DISCONNECTED;
    UART_PSELTXD = EP_UART_TX_PIN;
    UART_PSELRXD = EP_UART_RX_PIN;
    UART_CONFIG = 0u; /* 8N1, no flow control */
    ep_port_set_baud(EP_UART_BAUD);
    UART_ENABLE = ENABLE_UART;
    UART_RXDRDY = 0u;
    UART_INTENSET = INT_RXDRDY;
    ep_nvic_enable(EP_UART_IRQ);
    UART_STARTTX = 1u;
    UART_STARTRX = 1u;
}

static void start_counter(void) {
    TIMER_STOP = 1u;
    TIMER_MODE = 0u;    /* timer */
    TIMER_BITMODE = 3u; /* 32 bits */
    TIMER_PRESCALER = PRESCALER;
    TIMER_CLEAR = 1u;
    (void)ep_dwt_start(); /* first, so that it is never behind the timer */
    TIMER_START = 1u;
}

void ep_port_init(void) {
    start_clock();
    start_uart();
    start_counter();
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
    return EP_UART_MAX_BAUD;
}

void ep_port_set_baud(uint32_t baud) {
    if (baud == 0u || baud > EP_UART_MAX_BAUD) {
        return;
    }
    /* baud * 2^32 / 16 MHz, rounded to a multiple of 2^12: what the svd lists for 16 of its 18
     * rates; its 921600 is one step lower, its 56000 six (0.16 %). */
    UART_BAUDRATE = ((uint32_t)(((uint64_t)baud * 17592186u) >> 16) + 0x800u) & ~0xFFFu;
}

uint64_t ep_port_ticks(void) {
    return ep_extend((uint64_t)timer_now() << COARSE_SHIFT, EP_DWT_CYCCNT, 32u);
}

uint32_t ep_port_millis(void) {
    return (uint32_t)(((uint64_t)timer_now() * 4u) / 125u); /* 32 us a count */
}

uint32_t ep_port_ticks_hz(void) {
    return EP_CLOCK_HZ;
}

ep_ticks_kind ep_port_ticks_kind(void) {
    return EP_TICKS_CYCLES;
}

void ep_port_idle(void) {
    /* No WFI: the cycle counter may stand still while the core sleeps, and the timer does not. */
}
