/* GPIO of the STM32F1: RM0041 chapter 7. The UART's pins are two of 8 to 15. */
#include "ep_stm32.h"

#define GPIO (EP_GPIO_BASE + 0x400u * EP_UART_GPIO)
#define GPIO_CRH EP_REG(GPIO + 0x04u)
#define GPIO_BSRR EP_REG(GPIO + 0x10u)
#define RCC_GPIO_ENR EP_REG(EP_GPIO_RCC_ENR)

#define AF_PUSH_PULL_FAST 0xBu
#define INPUT_PULLED 0x8u /* up or down, as the output register says */

void ep_stm32_connect_pins(void) {
    RCC_GPIO_ENR |= 1u << (2u + EP_UART_GPIO); /* IOPAEN is bit 2 of RCC_APB2ENR */
    (void)RCC_GPIO_ENR;
    GPIO_BSRR = 1u << EP_UART_RX_PIN; /* pulled up */
    ep_stm32_set(&GPIO_CRH, 0xFu << ((EP_UART_TX_PIN - 8u) * 4u),
                 AF_PUSH_PULL_FAST << ((EP_UART_TX_PIN - 8u) * 4u));
    ep_stm32_set(&GPIO_CRH, 0xFu << ((EP_UART_RX_PIN - 8u) * 4u),
                 INPUT_PULLED << ((EP_UART_RX_PIN - 8u) * 4u));
}
