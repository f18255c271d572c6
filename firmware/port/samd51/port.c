/*
 * Microchip SAM D51 at 120 MHz (119.999488 MHz): DPLL from the 32.768 kHz crystal, a SERCOM as UART,
 * cache, DWT cycle counter, TC0 with TC1.
 *
 * Registers: SAM D5x/E5x family data sheet DS60001507, chapters 11 CMCC, 14 GCLK, 15 MCLK, 25
 * NVMCTRL, 28 OSCCTRL, 29 OSC32KCTRL, 32 PORT, 33 and 34 SERCOM USART, 48 TC; offsets and bits also
 * in the CMSIS headers of Microchip's device family pack. Flash wait states follow the clock by themselves (NVMCTRL
 * CTRLA.AUTOWS, set out of reset).
 *
 * Without the crystal the DPLL runs from the 48 MHz DFLL instead: about the same speed, but only as
 * exact as the DFLL, some percent.
 *
 * The board says which SERCOM: EP_UART_BASE, EP_UART_IRQ, EP_SERCOM_GCLK (peripheral channel),
 * EP_SERCOM_MASK_REG and _BIT (bus clock in MCLK), EP_UART_PORT, _TX_PIN, _RX_PIN and _MUX. TX is
 * pad 0, RX pad 1.
 */
#include "ep_cortexm.h"
#include "ep_port.h"

#define REG8(address) (*(volatile uint8_t *)(uintptr_t)(address))
#define REG16(address) (*(volatile uint16_t *)(uintptr_t)(address))
#define MCLK_CPUDIV REG8(0x40000805u)
#define MCLK_MASK(offset) EP_REG(0x40000800u + (offset))
#define OSCCTRL_DPLLCTRLA REG8(0x40001030u)
#define OSCCTRL_DPLLRATIO EP_REG(0x40001034u)
#define OSCCTRL_DPLLCTRLB EP_REG(0x40001038u)
#define OSCCTRL_DPLLSYNCBUSY EP_REG(0x4000103Cu)
#define OSCCTRL_DPLLSTATUS EP_REG(0x40001040u)
#define OSC32KCTRL_STATUS EP_REG(0x4000140Cu)
#define OSC32KCTRL_XOSC32K REG16(0x40001414u)
#define GCLK_CTRLA REG8(0x40001C00u)
#define GCLK_SYNCBUSY EP_REG(0x40001C04u)
#define GCLK_GENCTRL(n) EP_REG(0x40001C20u + 4u * (n))
#define GCLK_PCHCTRL(n) EP_REG(0x40001C80u + 4u * (n))
#define CMCC_CTRL EP_REG(0x41006008u)
#define PORT_OUTSET(group) EP_REG(0x41008018u + 0x80u * (group))
#define PORT_PMUX(group, pin) REG8(0x41008030u + 0x80u * (group) + (pin) / 2u)
#define PORT_PINCFG(group, pin) REG8(0x41008040u + 0x80u * (group) + (pin))
#define TC0_CTRLA EP_REG(0x40003800u)
#define TC0_CTRLBSET REG8(0x40003805u)
#define TC0_SYNCBUSY EP_REG(0x40003810u)
#define TC0_COUNT EP_REG(0x40003814u)
#define USART_CTRLA EP_REG(EP_UART_BASE + 0x00u)
#define USART_CTRLB EP_REG(EP_UART_BASE + 0x04u)
#define USART_BAUD REG16(EP_UART_BASE + 0x0Cu)
#define USART_INTENCLR REG8(EP_UART_BASE + 0x14u)
#define USART_INTENSET REG8(EP_UART_BASE + 0x16u)
#define USART_INTFLAG REG8(EP_UART_BASE + 0x18u)
#define USART_STATUS REG16(EP_UART_BASE + 0x1Au)
#define USART_SYNCBUSY EP_REG(EP_UART_BASE + 0x1Cu)
#define USART_DATA EP_REG(EP_UART_BASE + 0x28u)

#define XTAL_HZ 32768u
/* On, crystal, 32 kHz output, ready after 1 s, normal gain: it takes up to 28,000 cycles to start
 * (DS60001507E, table 54-47). */
#define XOSC32K_ON ((1u << 1) | (1u << 2) | (1u << 3) | (3u << 8) | (1u << 13))
#define DPLL_FROM_XOSC32K (1u << 5)
#define DPLL_LOCK_BYPASS (1u << 11) /* the clock comes before the lock: it is waited for here */
#define DPLL_ENABLE (1u << 1)
#define DPLL_READY 3u
#define SOURCE_DFLL 6u
#define SOURCE_DPLL0 7u
#define GENERATOR_ON (1u << 8)
#define CHANNEL_ON (1u << 6)
#define CHANNEL_DPLL0 1u
#define CHANNEL_TC0 9u
#define TC_COUNT32_DIV1024 ((2u << 2) | (7u << 8))
#define TC_READSYNC (4u << 5)
#define USART_MODE ((1u << 2) | (1u << 20) | (1u << 30)) /* internal clock, RX pad 1, LSB first */
#define USART_TX_RX_ON ((1u << 16) | (1u << 17))
#define FLAG_DRE 1u
#define FLAG_TXC 2u
#define FLAG_RXC 4u
#define STATUS_OVERFLOW 4u
#define ENABLE 2u
#define RESET 1u
/* The CPU's clock is twice that of SERCOM and TC0, whose prescaler is 1024. */
#define COARSE_SHIFT 11u
/* Turns of a polling loop, each at least eight cycles: longer than the crystal takes, at 48 MHz. */
#define WAIT_TURNS 10000000u

#if EP_CLOCK_HZ != (EP_DPLL_LDR + 1u) * XTAL_HZ + EP_DPLL_LDRFRAC * XTAL_HZ / 32u
#error "EP_DPLL_LDR and EP_DPLL_LDRFRAC do not make EP_CLOCK_HZ out of the crystal's 32768 Hz"
#endif
#if EP_UART_CLOCK_HZ != EP_CLOCK_HZ / 2u
#error "the SERCOM runs at half the core clock"
#endif

static ep_rx_ring rx;
static volatile bool rx_paused;

static bool wait_for(volatile uint32_t *reg, uint32_t mask, uint32_t value) {
    uint32_t turns;

    for (turns = 0u; turns < WAIT_TURNS; turns++) {
        if ((*reg & mask) == value) {
            return true;
        }
    }
    return false;
}

static void set_generator(uint32_t number, uint32_t value) {
    GCLK_GENCTRL(number) = value;
    (void)wait_for(&GCLK_SYNCBUSY, 4u << number, 0u);
}

static void start_dpll(uint32_t ratio, uint32_t reference) {
    OSCCTRL_DPLLCTRLA = 0u;
    (void)wait_for(&OSCCTRL_DPLLSYNCBUSY, ENABLE, 0u);
    OSCCTRL_DPLLRATIO = ratio;
    (void)wait_for(&OSCCTRL_DPLLSYNCBUSY, 4u, 0u);
    OSCCTRL_DPLLCTRLB = reference | DPLL_LOCK_BYPASS;
    OSCCTRL_DPLLCTRLA = DPLL_ENABLE;
    (void)wait_for(&OSCCTRL_DPLLSTATUS, DPLL_READY, DPLL_READY);
}

static void start_clock(void) {
    GCLK_CTRLA = RESET; /* all from the 48 MHz DFLL, whatever a boot loader chose */
    (void)wait_for(&GCLK_SYNCBUSY, RESET, 0u);
    OSC32KCTRL_XOSC32K = XOSC32K_ON;
    if (wait_for(&OSC32KCTRL_STATUS, 1u, 1u)) {
        start_dpll(EP_DPLL_LDR | (EP_DPLL_LDRFRAC << 16), DPLL_FROM_XOSC32K);
    } else {
        set_generator(5u, SOURCE_DFLL | GENERATOR_ON | (48u << 16)); /* 1 MHz */
        GCLK_PCHCTRL(CHANNEL_DPLL0) = CHANNEL_ON | 5u;
        start_dpll(119u, 0u);
    }
    set_generator(1u, SOURCE_DPLL0 | GENERATOR_ON | (2u << 16));
    MCLK_CPUDIV = 1u;
    set_generator(0u, SOURCE_DPLL0 | GENERATOR_ON);
    CMCC_CTRL = 1u;
}

static void connect_pin(uint32_t pin) {
    const uint32_t shift = (pin % 2u) * 4u;
    const uint32_t others = PORT_PMUX(EP_UART_PORT, pin) & ~(0xFu << shift);

    PORT_PMUX(EP_UART_PORT, pin) = (uint8_t)(others | (EP_UART_MUX << shift));
    PORT_OUTSET(EP_UART_PORT) = 1u << pin;  /* pulled up */
    PORT_PINCFG(EP_UART_PORT, pin) = 0x07u; /* peripheral, input, pull */
}

static void start_uart(void) {
    connect_pin(EP_UART_TX_PIN);
    connect_pin(EP_UART_RX_PIN);
    MCLK_MASK(EP_SERCOM_MASK_REG) |= 1u << EP_SERCOM_MASK_BIT;
    GCLK_PCHCTRL(EP_SERCOM_GCLK) = CHANNEL_ON | 1u;
    (void)wait_for(&GCLK_PCHCTRL(EP_SERCOM_GCLK), CHANNEL_ON, CHANNEL_ON);
    USART_CTRLA = RESET;
    (void)wait_for(&USART_SYNCBUSY, RESET, 0u);
    USART_CTRLA = USART_MODE;
    USART_CTRLB = USART_TX_RX_ON; /* 8 bits, 1 stop bit */
    (void)wait_for(&USART_SYNCBUSY, 4u, 0u);
    ep_port_set_baud(EP_UART_BAUD);
    USART_INTENSET = FLAG_RXC;
    ep_nvic_enable(EP_UART_IRQ);
}

static void start_counter(void) {
    MCLK_MASK(0x14u) |= (1u << 14) | (1u << 15); /* APBA: TC0 and TC1, which is its upper half */
    GCLK_PCHCTRL(CHANNEL_TC0) = CHANNEL_ON | 1u;
    (void)wait_for(&GCLK_PCHCTRL(CHANNEL_TC0), CHANNEL_ON, CHANNEL_ON);
    TC0_CTRLA = RESET;
    (void)wait_for(&TC0_SYNCBUSY, RESET, 0u);
    TC0_CTRLA = TC_COUNT32_DIV1024;
    (void)ep_dwt_start(); /* first, so that it is never behind the timer */
    TC0_CTRLA = TC_COUNT32_DIV1024 | ENABLE;
    (void)wait_for(&TC0_SYNCBUSY, ENABLE, 0u);
}

static uint32_t timer_now(void) {
    TC0_CTRLBSET = TC_READSYNC;
    (void)wait_for(&TC0_SYNCBUSY, 4u, 0u);  /* the command has arrived, */
    (void)wait_for(&TC0_SYNCBUSY, 16u, 0u); /* and so has the count */
    return TC0_COUNT;
}

void ep_port_init(void) {
    start_clock();
    start_uart();
    start_counter();
}

void ep_port_uart_irq(void) {
    if (ep_rx_full(&rx)) {
        USART_INTENCLR = FLAG_RXC; /* two bytes stay in the SERCOM */
        rx_paused = true;
        return;
    }
    if ((USART_STATUS & STATUS_OVERFLOW) != 0u) {
        USART_STATUS = STATUS_OVERFLOW;
        rx.lost = rx.lost + 1u;
    }
    if ((USART_INTFLAG & FLAG_RXC) != 0u) {
        ep_rx_put(&rx, (uint8_t)USART_DATA);
    }
}

int ep_port_getc(void) {
    const int byte = ep_rx_get(&rx);

    if (rx_paused) {
        rx_paused = false;
        USART_INTENSET = FLAG_RXC;
    }
    return byte;
}

uint32_t ep_port_rx_lost(void) {
    return rx.lost;
}

static void send(uint8_t byte) {
    uint32_t turns;

    for (turns = 0u; turns < WAIT_TURNS && (USART_INTFLAG & FLAG_DRE) == 0u; turns++) {
    }
    USART_DATA = byte;
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
    uint32_t turns;

    /* Long enough for what DATA and the shifter hold at 9600 baud; TXC stays 0 when nothing was
     * sent. */
    for (turns = 0u; turns < WAIT_TURNS / 100u && (USART_INTFLAG & FLAG_TXC) == 0u; turns++) {
    }
}

uint32_t ep_port_max_baud(void) {
    return EP_UART_MAX_BAUD;
}

void ep_port_set_baud(uint32_t baud) {
    uint32_t share; /* of the clock, in 1/65536, by 16 samples a bit (chapter 34, BAUD) */

    if (baud == 0u || baud > EP_UART_MAX_BAUD) {
        return;
    }
    share = (uint32_t)((((uint64_t)baud << 20) + EP_UART_CLOCK_HZ / 2u) / EP_UART_CLOCK_HZ);
    USART_CTRLA = USART_MODE; /* BAUD is protected while the SERCOM is on */
    (void)wait_for(&USART_SYNCBUSY, ENABLE, 0u);
    USART_BAUD = (uint16_t)(65536u - share);
    USART_CTRLA = USART_MODE | ENABLE;
    (void)wait_for(&USART_SYNCBUSY, ENABLE, 0u);
}

uint64_t ep_port_ticks(void) {
    return ep_extend((uint64_t)timer_now() << COARSE_SHIFT, EP_DWT_CYCCNT, 32u);
}

uint32_t ep_port_millis(void) {
    return (uint32_t)((uint64_t)timer_now() * 1024u / (EP_UART_CLOCK_HZ / 1000u));
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
