/*
 * Luminary (TI) Stellaris LM3S6965: 50 MHz from the PLL, UART0 (a PL011), SysTick.
 *
 * LM3S6965 Microcontroller data sheet DS-LM3S6965: 5 System Control (5.3 "Initialization and
 * Configuration" has the order of the clock's steps), 8 GPIO, 12 UART. QEMU models the PLL, UART
 * and pins of this chip, so both run the same set-up.
 */
#include "ep_port.h"
#include "ep_rx_nvic.h"
#include "ep_systick.h"
#include "ep_ticks.h"
#include "ep_wait.h"

#define SYSCTL_RIS EP_REG(0x400FE050u)
#define SYSCTL_MISC EP_REG(0x400FE058u)
#define SYSCTL_RCC EP_REG(0x400FE060u)
#define SYSCTL_RCGC1 EP_REG(0x400FE104u)
#define SYSCTL_RCGC2 EP_REG(0x400FE108u)
#define GPIO_AFSEL EP_REG(EP_UART_GPIO_BASE + 0x420u)
#define GPIO_DEN EP_REG(EP_UART_GPIO_BASE + 0x51Cu)
#define UART_DR EP_REG(EP_UART_BASE + 0x000u)
#define UART_FR EP_REG(EP_UART_BASE + 0x018u)
#define UART_IBRD EP_REG(EP_UART_BASE + 0x024u)
#define UART_FBRD EP_REG(EP_UART_BASE + 0x028u)
#define UART_LCRH EP_REG(EP_UART_BASE + 0x02Cu)
#define UART_CTL EP_REG(EP_UART_BASE + 0x030u)
#define UART_IM EP_REG(EP_UART_BASE + 0x038u)
#define UART_ICR EP_REG(EP_UART_BASE + 0x044u)

#define RIS_PLL_LOCKED (1u << 6)
#define RCC_SYSDIV_MASK (15u << 23)
#define RCC_SYSDIV_POS 23u /* the field is the divider of 200 MHz, less one */
#define RCC_USESYSDIV (1u << 22)
#define RCC_PWRDN (1u << 13)
#define RCC_OEN (1u << 12) /* of the first silicon; later reserved */
#define RCC_BYPASS (1u << 11)
#define RCC_XTAL_MASK (15u << 6)
#define RCC_XTAL_8_MHZ (14u << 6)
#define RCC_OSCSRC_MASK (3u << 4)
#define RCC_MOSCDIS 1u
#define PLL_HZ 200000000u
#define UART_PINS 3u /* PA0 receives, PA1 sends */
#define FR_BUSY (1u << 3)
#define FR_RXFE (1u << 4)
#define FR_TXFF (1u << 5)
#define LCRH_8_FIFO 0x70u
#define CTL_ON 0x301u /* UART, transmitter and receiver */
#define INT_RX (1u << 4)
#define INT_RX_TIMEOUT (1u << 6)
#define DR_OVERRUN (1u << 11)
#define RESET_HZ 12000000u /* the internal oscillator, within 30 % */

static bool emulated;
static uint32_t core_hz = RESET_HZ;

static void start_clock(void) {
    uint32_t rcc = (SYSCTL_RCC | RCC_BYPASS) & ~RCC_USESYSDIV;

    SYSCTL_RCC = rcc;
    rcc &= ~(RCC_XTAL_MASK | RCC_OSCSRC_MASK | RCC_PWRDN | RCC_OEN | RCC_MOSCDIS | RCC_SYSDIV_MASK);
    rcc |= RCC_XTAL_8_MHZ;
    SYSCTL_MISC = RIS_PLL_LOCKED;
    SYSCTL_RCC = rcc;
    rcc |= ((PLL_HZ / EP_CLOCK_HZ - 1u) << RCC_SYSDIV_POS) | RCC_USESYSDIV;
    SYSCTL_RCC = rcc;
    if (ep_wait(&SYSCTL_RIS, RIS_PLL_LOCKED, RIS_PLL_LOCKED)) {
        SYSCTL_RCC = rcc & ~RCC_BYPASS;
        core_hz = EP_CLOCK_HZ;
    }
}

static void start_uart(void) {
    SYSCTL_RCGC1 |= 1u; /* UART0 */
    SYSCTL_RCGC2 |= 1u; /* port A */
    (void)SYSCTL_RCGC2; /* the clocks are on three cycles later (5.2.4) */
    (void)SYSCTL_RCGC2;
    GPIO_AFSEL |= UART_PINS;
    GPIO_DEN |= UART_PINS;
    ep_port_set_baud(EP_UART_BAUD);
    UART_IM = INT_RX | INT_RX_TIMEOUT;
}

void ep_port_init(void) {
    ep_systick_start();
    emulated = ep_systick_is_emulated();
    start_clock();
    start_uart();
    ep_ticks_start(core_hz, core_hz, emulated);
    ep_rx_start(EP_UART_IRQ);
}

void ep_port_uart_irq(void) {
    UART_ICR = INT_RX_TIMEOUT;
    /* up to 16 bytes wait in the FIFO meanwhile */
    while ((UART_FR & FR_RXFE) == 0u && !ep_rx_hold()) {
        const uint32_t data = UART_DR;

        if ((data & DR_OVERRUN) != 0u) {
            ep_rx_count_lost();
        }
        ep_rx_take((uint8_t)data);
    }
}

void ep_port_fault_putc(char c) {
    (void)ep_wait(&UART_FR, FR_TXFF, 0u);
    UART_DR = (uint8_t)c;
}

void ep_port_write(const void *data, size_t bytes) {
    const uint8_t *from = (const uint8_t *)data;
    size_t i;

    for (i = 0u; i < bytes; i++) {
        while ((UART_FR & FR_TXFF) != 0u) {
        }
        UART_DR = from[i];
    }
}

void ep_port_flush(void) {
    (void)ep_wait(&UART_FR, FR_BUSY, 0u);
}

uint32_t ep_port_max_baud(void) {
    return emulated ? 0u : EP_UART_MAX_BAUD;
}

/* 64ths of clock / (16 * baud); the divisors count from the next write to LCRH (12.3.2). */
void ep_port_set_baud(uint32_t baud) {
    uint32_t divisor;

    if (baud == 0u || baud > EP_UART_MAX_BAUD) {
        return;
    }
    divisor = (8u * core_hz / baud + 1u) / 2u;
    UART_CTL = 0u;
    UART_IBRD = divisor / 64u;
    UART_FBRD = divisor % 64u;
    UART_LCRH = LCRH_8_FIFO;
    UART_CTL = CTL_ON;
}
