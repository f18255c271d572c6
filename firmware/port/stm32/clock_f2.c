/*
 * Clock of the STM32F2, F4 and F7, whose RCC, PWR and flash interface have the same registers.
 *
 * RM0033 (F205) chapters 2 to 5, RM0090 (F405) chapters 3, 5 and 7, RM0390 (F446) chapters 3, 5 and
 * 6, RM0385 (F746) chapters 3 to 5. The record gives what differs:
 *
 *     EP_FLASH_ACR      wait states at full speed, prefetch and caches
 *     EP_PWR_VOS        the bits of voltage scale 1 in PWR_CR, or 0 where there is no choice
 *     EP_PWR_OVERDRIVE  1 where full speed needs the over-drive mode
 */
#include "ep_m7_cache.h"
#include "ep_stm32.h"

#define RCC_CR EP_REG(0x40023800u)
#define RCC_PLLCFGR EP_REG(0x40023804u)
#define RCC_CFGR EP_REG(0x40023808u)
#define RCC_APB1ENR EP_REG(0x40023840u)
#define PWR_CR EP_REG(0x40007000u)
#define PWR_CSR EP_REG(0x40007004u)
#define FLASH_ACR EP_REG(0x40023C00u)

#define RCC_CR_HSIRDY (1u << 1)
#define RCC_APB1ENR_PWR (1u << 28)
#define PLLCFGR_MASK 0x0FFFFFFFu /* the rest is the F446's R, and reserved on the others */
#define PLLCFGR_HSE (1u << 22)
#define PLLCFGR_N_POS 6u
#define PLLCFGR_Q_POS 24u
#define CFGR_APB1_DIV4 (5u << 10)
#define CFGR_APB2_DIV2 (4u << 13)
#define CFGR_SW_PLL 2u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
#define PWR_ODEN (1u << 16)
#define PWR_ODSWEN (1u << 17)
#define PWR_ODRDY (1u << 16)
#define PWR_ODSWRDY (1u << 17)
#define FLASH_LATENCY 0xFu

#define HSI_HZ 16000000u
#define MHZ 1000000u

const uint32_t ep_stm32_reset_hz = HSI_HZ;

bool ep_stm32_is_emulated(void) {
    return (RCC_CR & RCC_CR_HSIRDY) == 0u;
}

/* The PLL's source and divider to 1 MHz: the crystal, or the HSI where there is none or it does not
 * start. */
static uint32_t pll_source(void) {
    if (ep_stm32_start_hse(&RCC_CR)) {
        return PLLCFGR_HSE | (EP_HSE_HZ / MHZ);
    }
    return HSI_HZ / MHZ;
}

/* Above 168 MHz (F446) and 180 MHz (F746): RM0390 section 5.1.4, RM0385 section 4.1.4. */
static bool overdrive(void) {
#if EP_PWR_OVERDRIVE
    PWR_CR |= PWR_ODEN;
    if (!ep_wait(&PWR_CSR, PWR_ODRDY, PWR_ODRDY)) {
        return false;
    }
    PWR_CR |= PWR_ODSWEN;
    return ep_wait(&PWR_CSR, PWR_ODSWRDY, PWR_ODSWRDY);
#else
    return true;
#endif
}

bool ep_stm32_start_clock(ep_stm32_clocks *clocks) {
    ep_m7_caches_on();
    RCC_APB1ENR |= RCC_APB1ENR_PWR;
    (void)RCC_APB1ENR;
    PWR_CR |= EP_PWR_VOS; /* while the PLL is off; it counts once the PLL is on */
    /* VCO input 1 MHz, VCO = 2 * core, P = 2. Q = 9 keeps the unused 48 MHz output at no more than
     * 48 MHz. */
    ep_stm32_set(&RCC_PLLCFGR, PLLCFGR_MASK,
                 pll_source() | ((EP_CLOCK_HZ / (MHZ / 2u)) << PLLCFGR_N_POS) |
                     (9u << PLLCFGR_Q_POS));
    RCC_CR |= EP_RCC_CR_PLLON;
    if (!overdrive() || !ep_wait(&RCC_CR, EP_RCC_CR_PLLRDY, EP_RCC_CR_PLLRDY)) {
        return false;
    }
    FLASH_ACR = EP_FLASH_ACR;
    if (!ep_wait(&FLASH_ACR, FLASH_LATENCY, EP_FLASH_ACR & FLASH_LATENCY)) {
        return false;
    }
    RCC_CFGR = CFGR_APB1_DIV4 | CFGR_APB2_DIV2; /* before the core gets fast */
    RCC_CFGR |= CFGR_SW_PLL;
    if (!ep_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL)) {
        RCC_CFGR = 0u;
        return false;
    }
    /* The timers of a divided APB1 run at twice its clock. */
    *clocks = (ep_stm32_clocks){EP_CLOCK_HZ, EP_UART_CLOCK_HZ, EP_CLOCK_HZ / 2u};
    return true;
}
