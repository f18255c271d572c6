/*
 * Raspberry Pi RP2040 (133 MHz) and RP2350 (150 MHz, Arm cores): PLL from the 12 MHz crystal, UART0
 * (Arm PL011), timer, and as cycle counter DWT (Cortex-M33) or SysTick (Cortex-M0+).
 *
 * Registers: RP2040 datasheet 2.15 CLOCKS, 2.16 XOSC, 2.18 PLL, 2.19 GPIO, 4.2 UART, 4.6 timer, 4.7
 * watchdog; RP2350 datasheet 8.1, 8.2, 8.6, 9, 12.1, 12.8, 12.9. The chips differ in addresses and
 * bits, which ep_rp2_chip.h has. Flash is already mapped: by boot2 (RP2040), by the ROM (RP2350).
 */
#include "ep_cortexm.h"
#include "ep_port.h"
#include "ep_rp2_chip.h"

/* Each register has aliases that set or clear bits (RP2040 2.1.2, RP2350 2.1.3). */
#define SET_BITS(address, bits) (EP_REG((address) + 0x2000u) = (bits))
#define CLEAR_BITS(address, bits) (EP_REG((address) + 0x3000u) = (bits))

#define CLK_REF_CTRL (CLOCKS_BASE + 0x30u)
#define CLK_SYS_CTRL (CLOCKS_BASE + 0x3Cu)
#define CLK_PERI_CTRL (CLOCKS_BASE + 0x48u)
#define CLK_DIV(ctrl) EP_REG((ctrl) + 4u)
#define CLK_SELECTED(ctrl) EP_REG((ctrl) + 8u)
#define XOSC_CTRL (XOSC_BASE + 0x00u)
#define XOSC_STATUS EP_REG(XOSC_BASE + 0x04u)
#define XOSC_STARTUP EP_REG(XOSC_BASE + 0x0Cu)
#define PLL_CS EP_REG(PLL_SYS_BASE + 0x00u)
#define PLL_PWR (PLL_SYS_BASE + 0x04u)
#define PLL_FBDIV EP_REG(PLL_SYS_BASE + 0x08u)
#define PLL_PRIM EP_REG(PLL_SYS_BASE + 0x0Cu)
#define RESET_DONE EP_REG(RESETS_BASE + 0x08u)
#define IO_CTRL(pin) EP_REG(IO_BANK0_BASE + 8u * (pin) + 4u)
#define PAD(pin) EP_REG(PADS_BANK0_BASE + 4u * (pin) + 4u)
#define TIMER_HIGH EP_REG(TIMER_BASE + 0x08u) /* latched by the reading of TIMER_LOW */
#define TIMER_LOW EP_REG(TIMER_BASE + 0x0Cu)
#define TIMER_RAW_LOW EP_REG(TIMER_BASE + 0x28u)
#define SYST_CSR EP_REG(0xE000E010u)
#define SYST_RVR EP_REG(0xE000E014u)
#define SYST_CVR EP_REG(0xE000E018u)
#define UART_DR EP_REG(EP_UART_BASE + 0x00u)
#define UART_FR EP_REG(EP_UART_BASE + 0x18u)
#define UART_IBRD EP_REG(EP_UART_BASE + 0x24u)
#define UART_FBRD EP_REG(EP_UART_BASE + 0x28u)
#define UART_LCR_H EP_REG(EP_UART_BASE + 0x2Cu)
#define UART_CR EP_REG(EP_UART_BASE + 0x30u)
#define UART_IFLS EP_REG(EP_UART_BASE + 0x34u)
#define UART_IMSC EP_REG(EP_UART_BASE + 0x38u)
#define UART_ICR EP_REG(EP_UART_BASE + 0x44u)

#define XOSC_RANGE_1_15_MHZ 0xAA0u
#define XOSC_ENABLE (0xFABu << 12)
#define XOSC_STABLE (1u << 31)
#define PLL_LOCK (1u << 31)
#define PLL_PWR_VCOPD (1u << 5)
#define PLL_PWR_POSTDIVPD (1u << 3)
#define PLL_PWR_PD 1u
#define REF_FROM_XOSC 2u
#define SYS_FROM_AUX 1u /* AUXSRC 0: PLL_SYS */
#define PERI_ENABLE (1u << 11)
#define FUNCTION_UART 2u
#define PAD_UART 0x5Au /* input on, 4 mA, pulled up, Schmitt trigger; on the RP2350 not isolated */
#define FR_BUSY (1u << 3)
#define FR_RXFE (1u << 4)
#define FR_TXFF (1u << 5)
#define DR_OVERRUN (1u << 11)
#define LCR_8N1_FIFO ((3u << 5) | (1u << 4))
#define CR_ON ((1u << 9) | (1u << 8) | 1u)
#define INT_RX ((1u << 6) | (1u << 4)) /* time-out and level */
#define INT_ALL 0x7FFu
#define CYCLES_PER_US (EP_CLOCK_HZ / 1000000u)
#define CRYSTAL_PER_US (EP_HSE_HZ / 1000000u)
/* Turns of a polling loop: the slowest wait is the crystal's, 4 ms, at the ring oscillator's up to
 * 12 MHz (48,000 cycles). */
#define WAIT_TURNS 200000u

#if EP_HSE_HZ / 1000u * EP_PLL_FBDIV != EP_CLOCK_HZ / 1000u * EP_PLL_POSTDIV1 * EP_PLL_POSTDIV2
#error "EP_PLL_FBDIV, _POSTDIV1 and _POSTDIV2 do not make EP_CLOCK_HZ out of EP_HSE_HZ"
#endif
/* The limits of the PLL (RP2040 2.18.2, RP2350 8.6.2). */
#if EP_HSE_HZ / 1000000u * EP_PLL_FBDIV < 750u || EP_HSE_HZ / 1000000u * EP_PLL_FBDIV > 1600u
#error "the VCO runs at 750 to 1600 MHz"
#endif

static ep_rx_ring rx;
static volatile bool rx_paused;
static bool has_dwt;

static bool wait_for(volatile uint32_t *reg, uint32_t mask, uint32_t value) {
    uint32_t turns;

    for (turns = 0u; turns < WAIT_TURNS; turns++) {
        if ((*reg & mask) == value) {
            return true;
        }
    }
    return false;
}

static void restart_block(uint32_t bits) {
    SET_BITS(RESETS_BASE, bits);
    CLEAR_BITS(RESETS_BASE, bits);
    (void)wait_for(&RESET_DONE, bits, bits);
}

/* Crystal, PLL, then clk_ref from the one and clk_sys and clk_peri from the other. */
static void start_clock(void) {
    EP_REG(CLOCKS_BASE + CLOCKS_RESUS_OFFSET) = 0u;
    XOSC_STARTUP = EP_HSE_HZ / 1000u * 4u / 256u; /* 4 ms, in 256 cycles of the crystal */
    EP_REG(XOSC_CTRL) = XOSC_RANGE_1_15_MHZ | XOSC_ENABLE;
    (void)wait_for(&XOSC_STATUS, XOSC_STABLE, XOSC_STABLE);
    /* Off the PLL before it stops; SELECTED has one bit for each source. */
    CLEAR_BITS(CLK_SYS_CTRL, SYS_FROM_AUX);
    (void)wait_for(&CLK_SELECTED(CLK_SYS_CTRL), 3u, 1u);
    CLK_DIV(CLK_REF_CTRL) = CLOCKS_DIV_ONE;
    EP_REG(CLK_REF_CTRL) = REF_FROM_XOSC;
    (void)wait_for(&CLK_SELECTED(CLK_REF_CTRL), 0xFu, 1u << REF_FROM_XOSC);
    restart_block(RESET_PLL_SYS);
    PLL_CS = 1u; /* reference divider */
    PLL_FBDIV = EP_PLL_FBDIV;
    CLEAR_BITS(PLL_PWR, PLL_PWR_PD | PLL_PWR_VCOPD);
    (void)wait_for(&PLL_CS, PLL_LOCK, PLL_LOCK);
    PLL_PRIM = (EP_PLL_POSTDIV1 << 16) | (EP_PLL_POSTDIV2 << 12);
    CLEAR_BITS(PLL_PWR, PLL_PWR_POSTDIVPD);
    CLK_DIV(CLK_SYS_CTRL) = CLOCKS_DIV_ONE;
    EP_REG(CLK_SYS_CTRL) = 0u; /* AUXSRC while SRC is not AUX: that multiplexer glitches */
    EP_REG(CLK_SYS_CTRL) = SYS_FROM_AUX;
    (void)wait_for(&CLK_SELECTED(CLK_SYS_CTRL), 3u, 1u << SYS_FROM_AUX);
#if CLOCKS_PERI_HAS_DIV
    CLK_DIV(CLK_PERI_CTRL) = CLOCKS_DIV_ONE;
#endif
    EP_REG(CLK_PERI_CTRL) = PERI_ENABLE; /* AUXSRC 0: clk_sys */
}

static void start_uart(void) {
    restart_block(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0);
    PAD(EP_UART_TX_PIN) = PAD_UART;
    PAD(EP_UART_RX_PIN) = PAD_UART;
    IO_CTRL(EP_UART_TX_PIN) = FUNCTION_UART;
    IO_CTRL(EP_UART_RX_PIN) = FUNCTION_UART;
    UART_IFLS = 0u; /* interrupt at 4 of 32 bytes; a time-out brings in fewer */
    ep_port_set_baud(EP_UART_BAUD);
    UART_ICR = INT_ALL;
    UART_IMSC = INT_RX;
    ep_nvic_enable(EP_UART_IRQ);
}

/* The cycle counter first, so that it is never behind the timer that extends it. */
static void start_counter(void) {
    SYST_RVR = 0x00FFFFFFu;
    SYST_CVR = 0u;
    SYST_CSR = 5u; /* core clock, no interrupt */
    has_dwt = ep_dwt_start();
    TICK_START(CRYSTAL_PER_US);
    restart_block(RESET_TIMER);
}

void ep_port_init(void) {
    start_clock();
    start_uart();
    start_counter();
}

/* Empties the UART's FIFO as far as the ring has room. */
static void receive(void) {
    while ((UART_FR & FR_RXFE) == 0u) {
        uint32_t got;

        if (ep_rx_full(&rx)) {
            UART_IMSC = 0u; /* the rest stays in the FIFO of 32 */
            rx_paused = true;
            return;
        }
        got = UART_DR;
        ep_rx_put(&rx, (uint8_t)got);
        if ((got & DR_OVERRUN) != 0u) {
            rx.lost = rx.lost + 1u;
        }
    }
}

void ep_port_uart_irq(void) {
    receive();
    UART_ICR = INT_RX;
}

int ep_port_getc(void) {
    int byte = ep_rx_get(&rx);

    if (byte < 0) {
        /* Do not wait for the time-out of 32 bit times after the last few bytes. */
        const uint32_t mask = ep_irq_save();

        receive();
        ep_irq_restore(mask);
        byte = ep_rx_get(&rx);
    }
    if (rx_paused) {
        rx_paused = false;
        UART_IMSC = INT_RX;
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
        while ((UART_FR & FR_TXFF) != 0u) {
        }
        UART_DR = from[i];
    }
}

void ep_port_fault_putc(char c) {
    (void)wait_for(&UART_FR, FR_TXFF, 0u);
    UART_DR = (uint8_t)c;
}

void ep_port_flush(void) {
    (void)wait_for(&UART_FR, FR_BUSY, 0u);
}

uint32_t ep_port_max_baud(void) {
    return EP_UART_MAX_BAUD;
}

void ep_port_set_baud(uint32_t baud) {
    uint32_t divisor; /* of the UART's clock by 16, in 1/64 */

    if (baud == 0u || baud > EP_UART_MAX_BAUD) {
        return;
    }
    divisor = (EP_UART_CLOCK_HZ * 4u + baud / 2u) / baud;
    UART_CR = 0u;
    UART_IBRD = divisor >> 6;
    UART_FBRD = divisor & 63u;
    UART_LCR_H = LCR_8N1_FIFO; /* after the divisors: this write takes them over */
    UART_CR = CR_ON;
}

uint64_t ep_port_ticks(void) {
    const uint32_t low = TIMER_LOW;
    const uint64_t us = ((uint64_t)TIMER_HIGH << 32) | low;

    if (has_dwt) {
        return ep_extend(us * CYCLES_PER_US, EP_DWT_CYCCNT, 32u);
    }
    return ep_extend(us * CYCLES_PER_US, 0x00FFFFFFu - SYST_CVR, 24u);
}

uint32_t ep_port_millis(void) {
    return TIMER_RAW_LOW >> 10; /* 2^10 us; starts over after 71 minutes */
}

uint32_t ep_port_ticks_hz(void) {
    return EP_CLOCK_HZ;
}

ep_ticks_kind ep_port_ticks_kind(void) {
    return EP_TICKS_CYCLES;
}

void ep_port_idle(void) {
    /* No WFI: the counters of the core may stand still while it sleeps, and the timer does not. */
}

/* SYSRESETREQ would leave clocks and peripherals as they are; the watchdog restarts everything but
 * the oscillators (RP2040 4.7, RP2350 12.9). */
void ep_port_reset(void) {
    EP_REG(PSM_BASE + 0x08u) = PSM_ALL_BUT_OSCILLATORS;
    SET_BITS(WATCHDOG_BASE, 1u << 31);
    for (;;) {
        __asm__ volatile("dsb" ::: "memory");
    }
}
