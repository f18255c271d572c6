/*
 * The two register layouts of ST's USART and LPUART. The status bits that matter stand at the same
 * places in both.
 *
 * 1: F1, F2, F4 (RM0041 chapter 23, RM0033 chapter 24, RM0090 chapter 30, RM0390 chapter 25)
 * 2: F7, L4, H7 (RM0385 chapter 31, RM0432 chapters 46 and 47, RM0433 chapters 48 and 49)
 */
#ifndef EP_STM32_USART_H
#define EP_STM32_USART_H

#include "ep_stm32.h"

#if EP_USART_LAYOUT == 1
#define EP_USART_STATUS(base) EP_REG((base) + 0x00u) /* SR */
#define EP_USART_RX(base) EP_REG((base) + 0x04u)     /* DR; reading it after SR clears ORE */
#define EP_USART_TX(base) EP_REG((base) + 0x04u)
#define EP_USART_BRR(base) EP_REG((base) + 0x08u)
#define EP_USART_CR1(base) EP_REG((base) + 0x0Cu)
#define EP_USART_CR1_UE (1u << 13)
#elif EP_USART_LAYOUT == 2
#define EP_USART_CR1(base) EP_REG((base) + 0x00u)
#define EP_USART_BRR(base) EP_REG((base) + 0x0Cu)
#define EP_USART_STATUS(base) EP_REG((base) + 0x1Cu) /* ISR */
#define EP_USART_ICR(base) EP_REG((base) + 0x20u)
#define EP_USART_RX(base) EP_REG((base) + 0x24u) /* RDR */
#define EP_USART_TX(base) EP_REG((base) + 0x28u) /* TDR */
#define EP_USART_CR1_UE (1u << 0)
#else
#error "EP_USART_LAYOUT comes from [port.defines] of targets/soc/<soc>.toml"
#endif

#define EP_USART_ORE (1u << 3)
#define EP_USART_RXNE (1u << 5)
#define EP_USART_TC (1u << 6)
#define EP_USART_TXE (1u << 7)
#define EP_USART_CR1_RE (1u << 2)
#define EP_USART_CR1_TE (1u << 3)
#define EP_USART_CR1_RXNEIE (1u << 5)

/* BRR counts clocks of the UART a bit with 16-fold oversampling; an LPUART counts 256ths of a clock
 * in 20 bits, and divides its clock by 4 before that, so that 9600 baud fit (RM0432 sections 47.4.7
 * and 47.7.13). */
#ifndef EP_UART_IS_LPUART
#define EP_UART_IS_LPUART 0
#endif

static inline uint32_t ep_usart_divisor(uint32_t clock_hz, uint32_t baud) {
#if EP_UART_IS_LPUART
    return ((clock_hz / baud) << 6) + (((clock_hz % baud) << 6) + baud / 2u) / baud;
#else
    return (clock_hz + baud / 2u) / baud;
#endif
}

static inline void ep_usart_start(uint32_t base) {
#if EP_UART_IS_LPUART
    EP_REG(base + 0x2Cu) = 2u; /* PRESC: the clock by 4 */
#endif
    EP_USART_CR1(base) = EP_USART_CR1_UE | EP_USART_CR1_TE | EP_USART_CR1_RE | EP_USART_CR1_RXNEIE;
}

/* The newer layout takes a divisor only while it is off. */
static inline void ep_usart_set_divisor(uint32_t base, uint32_t divisor) {
#if EP_USART_LAYOUT == 2
    const uint32_t control = EP_USART_CR1(base);

    EP_USART_CR1(base) = control & ~EP_USART_CR1_UE;
    EP_USART_BRR(base) = divisor;
    EP_USART_CR1(base) = control;
#else
    EP_USART_BRR(base) = divisor;
#endif
}

/* Takes an overrun note away; `taken` says whether the byte was read since the status, which is
 * what does it in the older layout. */
static inline void ep_usart_clear_overrun(uint32_t base, bool taken) {
#if EP_USART_LAYOUT == 2
    (void)taken;
    EP_USART_ICR(base) = EP_USART_ORE;
#else
    if (!taken) {
        (void)EP_USART_RX(base);
    }
#endif
}

#endif
