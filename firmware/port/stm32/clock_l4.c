/*
 * Clock of the STM32L4+ (L4R5): 120 MHz from the HSI16, flash at 5 wait states, ART caches.
 *
 * RM0432 chapters 3 (flash), 5 (PWR) and 6 (RCC). Range 1 boost mode and the halved AHB on the way
 * above 80 MHz: section 5.1.8 "Dynamic voltage scaling management".
 */
#include "ep_stm32.h"

#define RCC_CR EP_REG(0x40021000u)
#define RCC_CFGR EP_REG(0x40021008u)
#define RCC_PLLCFGR EP_REG(0x4002100Cu)
#define RCC_APB1ENR1 EP_REG(0x40021058u)
#define PWR_CR1 EP_REG(0x40007000u)
#define PWR_CR2 EP_REG(0x40007004u)
#define PWR_SR2 EP_REG(0x40007014u)
#define PWR_CR5 EP_REG(0x40007080u)
#define FLASH_ACR EP_REG(0x40022000u)

#define RCC_CR_MSIRDY (1u << 1)
#define RCC_CR_HSION (1u << 8)
#define RCC_CR_HSIRDY (1u << 10)
#define RCC_APB1ENR1_PWR (1u << 28)
#define CFGR_SW_PLL 3u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (3u << 2)
#define CFGR_HPRE_MASK (15u << 4)
#define CFGR_HPRE_DIV2 (8u << 4)
#define PLLCFGR_HSI 2u
#define PLLCFGR_M_POS 4u /* the field is M - 1 */
#define PLLCFGR_N_POS 8u
#define PLLCFGR_REN (1u << 24) /* R = 2 */
#define CR1_VOS_MASK (3u << 9)
#define CR1_VOS_RANGE1 (1u << 9)
#define SR2_VOSF (1u << 10)
#define CR5_R1MODE (1u << 8)
#define CR2_IOSV (1u << 9)
#define FLASH_LATENCY 0xFu

#define MSI_HZ 4000000u
#define HSI_HZ 16000000u
#define PLL_IN_HZ 8000000u /* 2.66 to 16 MHz */

const uint32_t ep_stm32_reset_hz = MSI_HZ;

bool ep_stm32_is_emulated(void) {
    return (RCC_CR & RCC_CR_MSIRDY) == 0u;
}

/* At least 1 us at 120 MHz. */
static void wait_microsecond(void) {
    volatile uint32_t turns;

    for (turns = 0u; turns < 120u; turns++) {
    }
}

bool ep_stm32_start_clock(ep_stm32_clocks *clocks) {
    RCC_APB1ENR1 |= RCC_APB1ENR1_PWR;
    (void)RCC_APB1ENR1;
    PWR_CR2 |= CR2_IOSV; /* port G has a supply of its own, VDDIO2, and is off without this */
    ep_stm32_set(&PWR_CR1, CR1_VOS_MASK, CR1_VOS_RANGE1);
    RCC_CR |= RCC_CR_HSION;
    if (!ep_wait(&PWR_SR2, SR2_VOSF, 0u) || !ep_wait(&RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY)) {
        return false;
    }
    RCC_PLLCFGR = PLLCFGR_HSI | ((HSI_HZ / PLL_IN_HZ - 1u) << PLLCFGR_M_POS) |
                  ((2u * (EP_CLOCK_HZ / PLL_IN_HZ)) << PLLCFGR_N_POS);
    RCC_CR |= EP_RCC_CR_PLLON;
    RCC_PLLCFGR |= PLLCFGR_REN;
    if (!ep_wait(&RCC_CR, EP_RCC_CR_PLLRDY, EP_RCC_CR_PLLRDY)) {
        return false;
    }
    ep_stm32_set(&RCC_CFGR, CFGR_HPRE_MASK, CFGR_HPRE_DIV2);
    PWR_CR5 &= ~CR5_R1MODE; /* boost */
    FLASH_ACR = EP_FLASH_ACR;
    if (!ep_wait(&FLASH_ACR, FLASH_LATENCY, EP_FLASH_ACR & FLASH_LATENCY)) {
        RCC_CFGR = 0u;
        return false;
    }
    RCC_CFGR |= CFGR_SW_PLL;
    if (!ep_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL)) {
        RCC_CFGR = 0u;
        return false;
    }
    wait_microsecond();
    RCC_CFGR &= ~CFGR_HPRE_MASK;
    *clocks = (ep_stm32_clocks){EP_CLOCK_HZ, EP_UART_CLOCK_HZ, EP_CLOCK_HZ};
    return true;
}
