/*
 * Clock of the STM32F100 (value line): 24 MHz, at which its flash has no wait states and no caches.
 *
 * RM0041 chapters 3.3.3 (no FLASH_ACR latency on these parts) and 6 (RCC).
 */
#include "ep_stm32.h"

#define RCC_CR EP_REG(0x40021000u)
#define RCC_CFGR EP_REG(0x40021004u)
#define RCC_CFGR2 EP_REG(0x4002102Cu)

#define RCC_CR_HSIRDY (1u << 1)
#define CFGR_SW_PLL 2u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
#define CFGR_PLLSRC_PREDIV1 (1u << 16)
#define CFGR_PLLMUL_POS 18u /* the field is the factor - 2 */
#define CFGR2_DIV2 1u

#define HSI_HZ 8000000u

const uint32_t ep_stm32_reset_hz = HSI_HZ;

bool ep_stm32_is_emulated(void) {
    return (RCC_CR & RCC_CR_HSIRDY) == 0u;
}

bool ep_stm32_start_clock(ep_stm32_clocks *clocks) {
    uint32_t source = 0u; /* HSI / 2 */
    uint32_t input_hz = HSI_HZ / 2u;

    if (ep_stm32_start_hse(&RCC_CR)) {
        RCC_CFGR2 = CFGR2_DIV2;
        source = CFGR_PLLSRC_PREDIV1;
        input_hz = EP_HSE_HZ / 2u;
    }
    RCC_CFGR = source | ((EP_CLOCK_HZ / input_hz - 2u) << CFGR_PLLMUL_POS);
    RCC_CR |= EP_RCC_CR_PLLON;
    if (!ep_wait(&RCC_CR, EP_RCC_CR_PLLRDY, EP_RCC_CR_PLLRDY)) {
        return false;
    }
    RCC_CFGR |= CFGR_SW_PLL;
    if (!ep_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL)) {
        return false;
    }
    *clocks = (ep_stm32_clocks){EP_CLOCK_HZ, EP_UART_CLOCK_HZ, EP_CLOCK_HZ};
    return true;
}
