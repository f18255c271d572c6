/* GPIO of every STM32 but the F1: RM0090 chapter 8, RM0033 chapter 6, RM0390 chapter 7, RM0385
 * chapter 6, RM0432 chapter 8, RM0433 chapter 11. */
#include "ep_stm32.h"

#define GPIO (EP_GPIO_BASE + 0x400u * EP_UART_GPIO)
#define GPIO_MODER EP_REG(GPIO + 0x00u)
#define GPIO_OSPEEDR EP_REG(GPIO + 0x08u)
#define GPIO_PUPDR EP_REG(GPIO + 0x0Cu)
#define GPIO_AFR(pin) EP_REG(GPIO + 0x20u + 4u * ((pin) / 8u))
#define RCC_GPIO_ENR EP_REG(EP_GPIO_RCC_ENR)

/* Alternate function, fast, pulled up. */
static void connect(uint32_t pin) {
    const uint32_t pair = pin * 2u;
    const uint32_t nibble = (pin % 8u) * 4u;

    ep_stm32_set(&GPIO_AFR(pin), 0xFu << nibble, EP_UART_AF << nibble);
    GPIO_OSPEEDR |= 3u << pair;
    ep_stm32_set(&GPIO_PUPDR, 3u << pair, 1u << pair);
    ep_stm32_set(&GPIO_MODER, 3u << pair, 2u << pair);
}

void ep_stm32_connect_pins(void) {
    RCC_GPIO_ENR |= 1u << EP_UART_GPIO;
    (void)RCC_GPIO_ENR; /* the clock is on a few cycles after the write (RM0090 section 7.2) */
    connect(EP_UART_TX_PIN);
    connect(EP_UART_RX_PIN);
}
