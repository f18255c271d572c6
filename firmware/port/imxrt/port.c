/*
 * NXP i.MX RT1062 at 600 MHz: ARM PLL from the 24 MHz crystal, caches behind an MPU, LPUART, DWT
 * cycle counter, GPT1.
 *
 * Registers: i.MX RT1060 reference manual (IMXRT1060RM rev. 3): 11 IOMUXC, 14 CCM, 18 DCDC, 49
 * LPUART, 52 GPT, 58 WDOG3; data sheet IMXRT1060CEC 4.1.3 (1.25 V for 600 MHz). Offsets and bits also
 * in PJRC's cores, teensy4/imxrt.h. The ROM has set up the flash (boot_block.S) and the FlexRAM:
 * 128 KiB each of ITCM and DTCM, as the fuses say.
 *
 * EP_UART_BASE is LPUART6 on the pads GPIO_AD_B0_02 (TX) and GPIO_AD_B0_03 (RX).
 */
#include "ep_cortexm.h"
#include "ep_m7_cache.h"
#include "ep_port.h"

#define CCM_CACRR EP_REG(0x400FC010u)
#define CCM_CBCDR EP_REG(0x400FC014u)
#define CCM_CBCMR EP_REG(0x400FC018u)
#define CCM_CSCDR1 EP_REG(0x400FC024u)
#define CCM_CDHIPR EP_REG(0x400FC048u)
#define CCM_CCGR1 EP_REG(0x400FC06Cu)
#define CCM_CCGR3 EP_REG(0x400FC074u)
#define CCM_CCGR6 EP_REG(0x400FC080u)
#define CCM_PLL_ARM EP_REG(0x400D8000u)
#define DCDC_REG0 EP_REG(0x40080000u)
#define DCDC_REG3 EP_REG(0x4008000Cu)
#define WDOG3_CS EP_REG(0x400BC000u)
#define WDOG3_CNT EP_REG(0x400BC004u)
#define WDOG3_TOVAL EP_REG(0x400BC008u)
#define MUX_TX EP_REG(0x401F80C4u)
#define MUX_RX EP_REG(0x401F80C8u)
#define PAD_TX EP_REG(0x401F82B4u)
#define PAD_RX EP_REG(0x401F82B8u)
#define SELECT_RX EP_REG(0x401F8550u)
#define SELECT_TX EP_REG(0x401F8554u)
#define GPT1_CR EP_REG(0x401EC000u)
#define GPT1_PR EP_REG(0x401EC004u)
#define GPT1_CNT EP_REG(0x401EC024u)
#define UART_BAUD EP_REG(EP_UART_BASE + 0x10u)
#define UART_STAT EP_REG(EP_UART_BASE + 0x14u)
#define UART_CTRL EP_REG(EP_UART_BASE + 0x18u)
#define UART_DATA EP_REG(EP_UART_BASE + 0x1Cu)
#define UART_FIFO EP_REG(EP_UART_BASE + 0x28u)
#define UART_WATER EP_REG(EP_UART_BASE + 0x2Cu)
#define MPU_CTRL EP_REG(0xE000ED94u)
#define MPU_RBAR EP_REG(0xE000ED9Cu)
#define MPU_RASR EP_REG(0xE000EDA0u)

#define BUSY_ARM_PODF (1u << 16)
#define BUSY_PERIPH_CLK_SEL (1u << 5)
#define BUSY_AHB_PODF (1u << 1)
#define PERIPH_CLK_SEL (1u << 25) /* periph_clk2 instead of the PLL */
#define PLL_LOCK (1u << 31)
#define PLL_ENABLE (1u << 13)
#define PLL_POWERDOWN (1u << 12)
#define PLL_MULTIPLIER 100u /* half the crystal by it: 1200 MHz */
#define ARM_DIVIDER 2u
#define IPG_DIVIDER 4u
#define DCDC_1250_MV ((1250u - 800u) / 25u)
#define WDOG_UNLOCK 0xD928C520u
#define WDOG_ENABLE (1u << 7)
#define WDOG_UPDATE (1u << 5)
#define GPT_SOFTWARE_RESET (1u << 15)
#define GPT_FROM_CRYSTAL ((1u << 10) | (5u << 6))
#define GPT_FREE_RUNNING (1u << 9)
#define GPT_DIVIDER_24M 8u
#define GPT_DIVIDER 4096u
/* Core cycles in one count of GPT1, which the same crystal feeds. */
#define CYCLES_PER_COUNT (EP_CLOCK_HZ / EP_HSE_HZ * GPT_DIVIDER_24M * GPT_DIVIDER)
#define STAT_TDRE (1u << 23)
#define STAT_TC (1u << 22)
#define STAT_RDRF (1u << 21)
#define STAT_OR (1u << 19)
#define CTRL_RIE (1u << 21)
#define CTRL_ON ((1u << 19) | (1u << 18))
#define FIFO_ON ((1u << 7) | (1u << 3))
#define FIFO_FLUSH ((1u << 15) | (1u << 14))
#define BAUD_BOTH_EDGES (1u << 17)
#define WAIT_TURNS 1000000u

#if EP_HSE_HZ / 2u * PLL_MULTIPLIER != EP_CLOCK_HZ * ARM_DIVIDER
#error "the PLL does not make EP_CLOCK_HZ out of EP_HSE_HZ"
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

static void stop_watchdog(void) {
    if ((WDOG3_CS & WDOG_ENABLE) != 0u) {
        WDOG3_CNT = WDOG_UNLOCK;
        WDOG3_TOVAL = 0xFFFFu;
        WDOG3_CS = (WDOG3_CS & ~WDOG_ENABLE) | WDOG_UPDATE;
    }
}

/* Core voltage up, over to the crystal, PLL to its new frequency, back. */
static void start_clock(void) {
    CCM_CCGR6 |= 3u << 6; /* DCDC */
    DCDC_REG3 = (DCDC_REG3 & ~0x1Fu) | DCDC_1250_MV;
    (void)wait_for(&DCDC_REG0, 1u << 31, 1u << 31);
    CCM_CBCMR = (CCM_CBCMR & ~(3u << 12)) | (1u << 12); /* periph_clk2: 24 MHz */
    CCM_CBCDR &= ~(7u << 27);
    CCM_CBCDR |= PERIPH_CLK_SEL;
    (void)wait_for(&CCM_CDHIPR, BUSY_PERIPH_CLK_SEL, 0u);
    CCM_PLL_ARM = PLL_POWERDOWN;
    CCM_PLL_ARM = PLL_ENABLE | PLL_MULTIPLIER;
    (void)wait_for(&CCM_PLL_ARM, PLL_LOCK, PLL_LOCK);
    CCM_CACRR = ARM_DIVIDER - 1u;
    (void)wait_for(&CCM_CDHIPR, BUSY_ARM_PODF, 0u);
    CCM_CBCDR = (CCM_CBCDR & ~((7u << 10) | (3u << 8))) | ((IPG_DIVIDER - 1u) << 8);
    (void)wait_for(&CCM_CDHIPR, BUSY_AHB_PODF, 0u);
    CCM_CBCMR |= 3u << 18; /* pre_periph_clk: the ARM PLL behind its divider */
    CCM_CBCDR &= ~PERIPH_CLK_SEL;
    (void)wait_for(&CCM_CDHIPR, BUSY_PERIPH_CLK_SEL, 0u);
}

static void mpu_region(uint32_t number, uint32_t base, uint32_t attributes, uint32_t log2_size) {
    MPU_RBAR = base | (1u << 4) | number;
    MPU_RASR = attributes | ((log2_size - 1u) << 1) | 1u;
}

/* Attributes of ARM DDI 0403E B3.5.9: XN 28, AP 24, TEX 19, C 17, B 16. Everything that is not
 * there gets no access, because the core reads ahead (Arm Cortex-M7 erratum notice, SDEN1068427). */
static void protect_memory(void) {
    const uint32_t no_access = 1u << 28;
    const uint32_t plain = 3u << 24 | 1u << 19;                        /* normal, not cached */
    const uint32_t cached = 3u << 24 | 1u << 19 | 1u << 17 | 1u << 16; /* write-back, allocating */
    const uint32_t device = 1u << 28 | 3u << 24 | 2u << 19;

    MPU_CTRL = 0u;
    mpu_region(0u, 0x00000000u, no_access, 32u);
    mpu_region(1u, 0x00000000u, plain, 17u);  /* ITCM */
    mpu_region(2u, 0x20000000u, plain, 17u);  /* DTCM */
    mpu_region(3u, 0x20200000u, cached, 19u); /* OCRAM2 */
    mpu_region(4u, 0x40000000u, device, 26u);
    mpu_region(5u, 0x60000000u, cached, 23u); /* flash */
    MPU_CTRL = 5u;                            /* on; the private peripheral bus as ever */
    ep_barrier();
}

static void start_uart(void) {
    CCM_CSCDR1 = (CCM_CSCDR1 & ~0x3Fu) | (1u << 6); /* UARTs: the crystal, undivided */
    CCM_CCGR3 |= 3u << 6;                           /* LPUART6 */
    MUX_TX = 2u;
    MUX_RX = 2u;
    SELECT_RX = 1u;
    SELECT_TX = 1u;
    PAD_TX = (3u << 6) | (3u << 3) | 1u;                                    /* fast */
    PAD_RX = (1u << 16) | (3u << 14) | (1u << 13) | (1u << 12) | (7u << 3); /* pulled up by 22k */
    UART_CTRL = 0u;
    UART_FIFO |= FIFO_ON | FIFO_FLUSH;
    UART_WATER = 0u; /* an interrupt for each byte */
    ep_port_set_baud(EP_UART_BAUD);
    UART_CTRL = CTRL_ON | CTRL_RIE;
    ep_nvic_enable(EP_UART_IRQ);
}

static void start_counter(void) {
    CCM_CCGR1 |= (3u << 22) | (3u << 20); /* GPT1 */
    GPT1_CR = GPT_SOFTWARE_RESET;
    (void)wait_for(&GPT1_CR, GPT_SOFTWARE_RESET, 0u);
    GPT1_CR = GPT_FROM_CRYSTAL | GPT_FREE_RUNNING;
    GPT1_PR = ((GPT_DIVIDER_24M - 1u) << 12) | (GPT_DIVIDER - 1u);
    (void)ep_dwt_start(); /* first, so that it is never behind the timer */
    GPT1_CR = GPT_FROM_CRYSTAL | GPT_FREE_RUNNING | 1u;
}

void ep_port_init(void) {
    stop_watchdog();
    start_clock();
    protect_memory();
    ep_m7_caches_on();
    start_uart();
    start_counter();
}

static void receive(void) {
    while ((UART_STAT & STAT_RDRF) != 0u) {
        if (ep_rx_full(&rx)) {
            UART_CTRL &= ~CTRL_RIE; /* the rest stays in the FIFO of four */
            rx_paused = true;
            return;
        }
        ep_rx_put(&rx, (uint8_t)UART_DATA);
    }
}

void ep_port_uart_irq(void) {
    if ((UART_STAT & STAT_OR) != 0u) {
        UART_STAT = STAT_OR;
        rx.lost = rx.lost + 1u;
    }
    receive();
    __asm__ volatile("dsb" ::: "memory"); /* or the interrupt would come once more */
}

int ep_port_getc(void) {
    const int byte = ep_rx_get(&rx);

    if (rx_paused) {
        rx_paused = false;
        UART_CTRL |= CTRL_RIE;
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
        while ((UART_STAT & STAT_TDRE) == 0u) {
        }
        UART_DATA = from[i];
    }
}

void ep_port_fault_putc(char c) {
    (void)wait_for(&UART_STAT, STAT_TDRE, STAT_TDRE);
    UART_DATA = (uint8_t)c;
}

void ep_port_flush(void) {
    (void)wait_for(&UART_STAT, STAT_TC, STAT_TC);
}

uint32_t ep_port_max_baud(void) {
    return EP_UART_MAX_BAUD;
}

/* Oversampling by 4 to 32 and a divider, whichever pair comes closest. */
void ep_port_set_baud(uint32_t baud) {
    uint32_t best_error = 0xFFFFFFFFu;
    uint32_t best = 0u;
    uint32_t samples;
    uint32_t control;

    if (baud == 0u || baud > EP_UART_MAX_BAUD) {
        return;
    }
    for (samples = 4u; samples <= 32u; samples++) {
        const uint32_t wanted = baud * samples;
        const uint32_t divider = (EP_UART_CLOCK_HZ + wanted / 2u) / wanted;
        const uint32_t made = divider * wanted;
        const uint32_t error =
            made > EP_UART_CLOCK_HZ ? made - EP_UART_CLOCK_HZ : EP_UART_CLOCK_HZ - made;

        if (divider > 0u && divider < 8192u && error <= best_error) {
            best_error = error;
            best = ((samples - 1u) << 24) | divider | (samples < 8u ? BAUD_BOTH_EDGES : 0u);
        }
    }
    control = UART_CTRL;
    UART_CTRL = 0u;
    UART_BAUD = best;
    UART_CTRL = control;
}

uint64_t ep_port_ticks(void) {
    return ep_extend((uint64_t)GPT1_CNT * CYCLES_PER_COUNT, EP_DWT_CYCCNT, 32u);
}

uint32_t ep_port_millis(void) {
    return (uint32_t)((uint64_t)GPT1_CNT * (GPT_DIVIDER_24M * GPT_DIVIDER) / (EP_HSE_HZ / 1000u));
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
