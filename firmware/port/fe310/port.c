/*
 * SiFive FE310-G002: 320 MHz from the crystal, UART0, mcycle.
 *
 * FE310-G002 Manual v1p4: 6 Clock Generation, 13 Watchdog Timer, 17 GPIO (17.7 hardware I/O
 * functions), 18 UART, 19 SPI. The order of the PLL's steps keeps the core on its ring oscillator
 * while the PLL's inputs change. QEMU 7.2 models PRCI, PLIC and UART, but neither the always-on
 * block nor its watchdog: that is how the port knows QEMU, and why a restart there is a jump.
 */
#include "ep_fault_text.h"
#include "ep_plic.h"
#include "ep_port.h"
#include "ep_rx_ring.h"
#include "ep_ticks.h"
#include "ep_wait.h"

#define AON_WDOGCFG EP_REG(0x10000000u)
#define AON_WDOGCOUNT EP_REG(0x10000008u)
#define AON_WDOGKEY EP_REG(0x1000001Cu)
#define AON_WDOGCMP EP_REG(0x10000020u)
#define AON_LFROSCCFG EP_REG(0x10000070u)
#define PRCI_HFROSCCFG EP_REG(0x10008000u)
#define PRCI_HFXOSCCFG EP_REG(0x10008004u)
#define PRCI_PLLCFG EP_REG(0x10008008u)
#define PRCI_PLLOUTDIV EP_REG(0x1000800Cu)
#define GPIO_IOF_EN EP_REG(0x10012038u)
#define GPIO_IOF_SEL EP_REG(0x1001203Cu)
#define QSPI0_SCKDIV EP_REG(0x10014000u)
#define UART_TXDATA EP_REG(EP_UART_BASE + 0x00u)
#define UART_RXDATA EP_REG(EP_UART_BASE + 0x04u)
#define UART_TXCTRL EP_REG(EP_UART_BASE + 0x08u)
#define UART_RXCTRL EP_REG(EP_UART_BASE + 0x0Cu)
#define UART_IE EP_REG(EP_UART_BASE + 0x10u)
#define UART_IP EP_REG(EP_UART_BASE + 0x14u)
#define UART_DIV EP_REG(EP_UART_BASE + 0x18u)

#define WDOG_KEY 0x51F15Eu
#define WDOG_RESETS_ALWAYS ((1u << 8) | (1u << 12)) /* wdogrsten, wdogenalways */
#define OSC_READY (1u << 31)
#define OSC_ENABLE (1u << 30)
#define PLL_LOCK (1u << 31)
#define PLL_BYPASS (1u << 18)
#define PLL_REF_CRYSTAL (1u << 17)
#define PLL_SELECT (1u << 16)
#define PLL_R2 1u         /* crystal / 2 */
#define PLL_F_POS 4u      /* VCO = that * 2 * (F + 1), 384 to 768 MHz */
#define PLL_Q2 (1u << 10) /* VCO / 2 */
#define PLL_OUT_UNDIVIDED (1u << 8)
#define FLASH_DIV_8 3u /* the flash's clock is the core's / (2 * (3 + 1)): 40 MHz */
#define UART_TX_FULL (1u << 31)
#define UART_RX_EMPTY (1u << 31)
#define UART_ENABLE_WATERMARK_1 ((1u << 16) | 1u)
#define UART_IP_TX (1u << 0)
#define UART_IE_RX (1u << 1)
#define UART_PINS ((1u << 16) | (1u << 17)) /* GPIO 16 receives, 17 sends: function 0 */
#define MSTATUS_MIE 8u
#define LOCK_TURNS 1000u /* more than 100 us at 14 MHz; the lock bit means nothing before */
#define RESET_HZ 13800000u

void ep_reset_handler(void);
void ep_port_uart_irq(void);

static ep_rx_ring rx;
static volatile bool held; /* the receive interrupt is masked: the ring was full */
static bool emulated;
static uint32_t core_hz = RESET_HZ;
static uint32_t char_cycles; /* that one byte takes on the line */

static void spin(uint32_t turns) {
    while (turns > 0u) {
        __asm__ volatile("" : "+r"(turns));
        turns--;
    }
}

static void start_clock(void) {
    const uint32_t factor = EP_CLOCK_HZ / (EP_HSE_HZ / 2u); /* F + 1, as R = Q = 2 */
    const uint32_t setting =
        PLL_REF_CRYSTAL | PLL_R2 | ((factor - 1u) << PLL_F_POS) | PLL_Q2 | PLL_BYPASS;

    PRCI_HFROSCCFG |= OSC_ENABLE;
    PRCI_HFXOSCCFG |= OSC_ENABLE;
    if (!ep_wait(&PRCI_HFROSCCFG, OSC_READY, OSC_READY) ||
        !ep_wait(&PRCI_HFXOSCCFG, OSC_READY, OSC_READY)) {
        return;
    }
    PRCI_PLLCFG &= ~PLL_SELECT;
    QSPI0_SCKDIV = FLASH_DIV_8;
    PRCI_PLLCFG = PLL_BYPASS | (PRCI_PLLCFG & PLL_REF_CRYSTAL);
    PRCI_PLLCFG = setting;
    PRCI_PLLOUTDIV = PLL_OUT_UNDIVIDED;
    PRCI_PLLCFG = setting & ~PLL_BYPASS;
    spin(LOCK_TURNS);
    if (ep_wait(&PRCI_PLLCFG, PLL_LOCK, PLL_LOCK)) {
        PRCI_PLLCFG = (setting & ~PLL_BYPASS) | PLL_SELECT;
        core_hz = EP_CLOCK_HZ;
    }
}

void ep_port_init(void) {
    emulated = AON_LFROSCCFG == 0u; /* enabled out of reset on the chip */
    if (!emulated) {
        start_clock();
        GPIO_IOF_SEL &= ~UART_PINS;
        GPIO_IOF_EN |= UART_PINS;
    }
    ep_port_set_baud(EP_UART_BAUD);
    UART_TXCTRL = UART_ENABLE_WATERMARK_1;
    UART_RXCTRL = 1u; /* interrupt above 0 bytes */
    UART_IE = UART_IE_RX;
    ep_ticks_start(core_hz, core_hz, emulated);
    ep_plic_enable(EP_UART_IRQ);
    __asm__ volatile("csrs mstatus, %0" ::"r"(MSTATUS_MIE));
}

static void receive(void) {
    while (!ep_rx_full(&rx)) {
        const uint32_t data = UART_RXDATA;

        if ((data & UART_RX_EMPTY) != 0u) {
            return;
        }
        ep_rx_put(&rx, (uint8_t)data);
    }
    UART_IE = 0u; /* the rest waits in the FIFO of 8 */
    held = true;
}

void ep_port_uart_irq(void) {
    const uint32_t irq = ep_plic_claim();

    if (irq != 0u) {
        receive();
    }
    ep_plic_complete(irq);
}

int ep_port_getc(void) {
    const int byte = ep_rx_get(&rx);

    if (byte >= 0 && held) {
        held = false;
        UART_IE = UART_IE_RX;
    }
    return byte;
}

uint32_t ep_port_rx_lost(void) {
    return rx.lost; /* the UART itself does not tell when its FIFO ran over */
}

void ep_port_fault_putc(char c) {
    (void)ep_wait(&UART_TXDATA, UART_TX_FULL, 0u);
    UART_TXDATA = (uint8_t)c;
}

void ep_port_write(const void *data, size_t bytes) {
    const uint8_t *from = (const uint8_t *)data;
    size_t i;

    for (i = 0u; i < bytes; i++) {
        while ((UART_TXDATA & UART_TX_FULL) != 0u) {
        }
        UART_TXDATA = from[i];
    }
}

/* The FIFO tells when it is empty, the shift register behind it does not. */
void ep_port_flush(void) {
    (void)ep_wait(&UART_IP, UART_IP_TX, UART_IP_TX);
    if (!emulated) {
        spin(char_cycles);
    }
}

uint32_t ep_port_max_baud(void) {
    return emulated ? 0u : EP_UART_MAX_BAUD;
}

void ep_port_set_baud(uint32_t baud) {
    if (baud == 0u || baud > EP_UART_MAX_BAUD) {
        return;
    }
    UART_DIV = (core_hz + baud / 2u) / baud - 1u;
    char_cycles = 11u * (core_hz / baud);
}

void ep_port_reset(void) {
    __asm__ volatile("csrc mstatus, %0" ::"r"(MSTATUS_MIE));
    AON_WDOGKEY = WDOG_KEY;
    AON_WDOGCMP = 0u;
    AON_WDOGKEY = WDOG_KEY;
    AON_WDOGCOUNT = 1u;
    AON_WDOGKEY = WDOG_KEY;
    AON_WDOGCFG = WDOG_RESETS_ALWAYS;
    spin(EP_WAIT_TURNS);
    ep_reset_handler(); /* no watchdog here */
    for (;;) {
    }
}

void ep_port_idle(void) {
    __asm__ volatile("csrc mstatus, %0" ::"r"(MSTATUS_MIE) : "memory");
    if (ep_rx_empty(&rx)) {
        __asm__ volatile("wfi" ::: "memory"); /* wakes for a pending interrupt although MIE is 0 */
    }
    __asm__ volatile("csrs mstatus, %0" ::"r"(MSTATUS_MIE) : "memory");
}
