/*
 * Clock of the STM32H743 and H753: 480 MHz on revision V silicon, 400 MHz on revision Y, from the
 * board's clock or the 64 MHz HSI; supply from the LDO.
 *
 * RM0433 chapters 4 (flash, table of wait states), 6 (PWR), 8 (RCC), 12 (SYSCFG_PWRCR) and 60
 * (DBGMCU_IDC). ES0392 2.2.9: revision Y reads wrong data from the AXI SRAM unless its port takes
 * one read at a time.
 */
#include "ep_m7_cache.h"
#include "ep_stm32.h"

#define RCC_CR EP_REG(0x58024400u)
#define RCC_CFGR EP_REG(0x58024410u)
#define RCC_D1CFGR EP_REG(0x58024418u)
#define RCC_D2CFGR EP_REG(0x5802441Cu)
#define RCC_D3CFGR EP_REG(0x58024420u)
#define RCC_PLLCKSELR EP_REG(0x58024428u)
#define RCC_PLLCFGR EP_REG(0x5802442Cu)
#define RCC_PLL1DIVR EP_REG(0x58024430u)
#define RCC_APB4ENR EP_REG(0x580244F4u)
#define PWR_CSR1 EP_REG(0x58024804u)
#define PWR_CR3 EP_REG(0x5802480Cu)
#define PWR_D3CR EP_REG(0x58024818u)
#define SYSCFG_PWRCR EP_REG(0x5800042Cu)
#define FLASH_ACR EP_REG(0x52002000u)
#define DBGMCU_IDC EP_REG(0x5C001000u)
#define AXI_TARG7_FN_MOD EP_REG(0x51008108u)

#define RCC_CR_HSIRDY (1u << 2)
#define RCC_APB4ENR_SYSCFG (1u << 1)
#define CFGR_SW_PLL1 3u
#define CFGR_SWS_MASK (7u << 3)
#define CFGR_SWS_PLL1 (3u << 3)
#define PLLCKSELR_MASK (3u | (63u << 4))
#define PLLCKSELR_HSI 0u
#define PLLCKSELR_HSE 1u
#define PLLCKSELR_M_POS 4u
#define PLLCFGR_MASK 0xFu
#define PLLCFGR_RANGE_2_4_MHZ (1u << 2) /* the wide VCO, no fraction */
#define PLLCFGR_DIVP1EN (1u << 16)
#define CR3_MASK 7u
#define CR3_LDOEN 2u
#define CSR1_ACTVOSRDY (1u << 13)
#define D3CR_VOS_MASK (3u << 14)
#define D3CR_VOS1 (3u << 14)
#define D3CR_VOSRDY (1u << 13)
#define PWRCR_ODEN 1u
#define FLASH_LATENCY 0xFu
#define REVISION_V 0x2003u

#define HSI_HZ 64000000u
#define PLL_IN_HZ 2000000u

const uint32_t ep_stm32_reset_hz = HSI_HZ;

bool ep_stm32_is_emulated(void) {
    return (RCC_CR & RCC_CR_HSIRDY) == 0u;
}

static uint32_t pll_source(void) {
    if (ep_stm32_start_hse(&RCC_CR)) {
        return PLLCKSELR_HSE | ((EP_HSE_HZ / PLL_IN_HZ) << PLLCKSELR_M_POS);
    }
    return PLLCKSELR_HSI | ((HSI_HZ / PLL_IN_HZ) << PLLCKSELR_M_POS);
}

/* Supply from the LDO, voltage scale 1, and scale 0 for the fast silicon. */
static bool raise_voltage(bool fast) {
    ep_stm32_set(&PWR_CR3, CR3_MASK, CR3_LDOEN);
    if (!ep_wait(&PWR_CSR1, CSR1_ACTVOSRDY, CSR1_ACTVOSRDY)) {
        return false;
    }
    ep_stm32_set(&PWR_D3CR, D3CR_VOS_MASK, D3CR_VOS1);
    if (!ep_wait(&PWR_D3CR, D3CR_VOSRDY, D3CR_VOSRDY)) {
        return false;
    }
    if (!fast) {
        return true;
    }
    RCC_APB4ENR |= RCC_APB4ENR_SYSCFG;
    (void)RCC_APB4ENR;
    SYSCFG_PWRCR |= PWRCR_ODEN;
    return ep_wait(&PWR_D3CR, D3CR_VOSRDY, D3CR_VOSRDY);
}

static bool start_pll(uint32_t core_hz) {
    ep_stm32_set(&RCC_PLLCKSELR, PLLCKSELR_MASK, pll_source());
    /* VCO = 2 * core, P = 2; the fields hold one less. Q and R stay as after reset, and off. */
    ep_stm32_set(&RCC_PLL1DIVR, 0xFFFFu, (2u * (core_hz / PLL_IN_HZ) - 1u) | (1u << 9));
    ep_stm32_set(&RCC_PLLCFGR, PLLCFGR_MASK | PLLCFGR_DIVP1EN | (3u << 17),
                 PLLCFGR_RANGE_2_4_MHZ | PLLCFGR_DIVP1EN);
    RCC_CR |= EP_RCC_CR_PLLON;
    return ep_wait(&RCC_CR, EP_RCC_CR_PLLRDY, EP_RCC_CR_PLLRDY);
}

bool ep_stm32_start_clock(ep_stm32_clocks *clocks) {
    const bool fast = (DBGMCU_IDC >> 16) >= REVISION_V;
    const uint32_t core_hz = fast ? EP_CLOCK_HZ : EP_CLOCK_HZ_REV_Y;
    const uint32_t flash = fast ? EP_FLASH_ACR : EP_FLASH_ACR_REV_Y;

    ep_m7_caches_on();
    if (!fast) {
        AXI_TARG7_FN_MOD = 1u;
    }
    if (!raise_voltage(fast) || !start_pll(core_hz)) {
        return false;
    }
    FLASH_ACR = flash;
    if (!ep_wait(&FLASH_ACR, FLASH_LATENCY, flash & FLASH_LATENCY)) {
        return false;
    }
    RCC_D1CFGR = (8u << 0) | (4u << 4); /* AXI and AHB: core / 2; APB3: half of that */
    RCC_D2CFGR = (4u << 4) | (4u << 8); /* APB1, APB2 */
    RCC_D3CFGR = 4u << 4;               /* APB4 */
    ep_stm32_set(&RCC_CFGR, 7u, CFGR_SW_PLL1);
    if (!ep_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL1)) {
        RCC_CFGR = 0u;
        RCC_D1CFGR = 0u;
        RCC_D2CFGR = 0u;
        return false;
    }
    *clocks = (ep_stm32_clocks){core_hz, core_hz / 4u, core_hz / 2u};
    return true;
}
