/*
 * Every STM32: the UART and the order in which the parts of the port come up. ep_stm32.h says which
 * parts a chip takes.
 *
 * The same image runs in QEMU's models, which have no RCC and no cycle counter: every wait is
 * bounded. QEMU's serial port is EP_UART_BASE; EP_HW_UART_BASE is the one on the real board's
 * connector, if that is another.
 */
#include "ep_port.h"
#include "ep_rx_nvic.h"
#include "ep_stm32.h"
#include "ep_stm32_usart.h"
#include "ep_ticks.h"

#define RCC_UART_ENR EP_REG(EP_UART_RCC_ENR)

static uint32_t uart_base = EP_UART_BASE;
static uint32_t uart_hz;
static bool emulated;

static void start_uart(void) {
    if (!emulated) {
        uart_base = EP_HW_UART_BASE;
        RCC_UART_ENR |= 1u << EP_UART_RCC_BIT;
        ep_stm32_connect_pins();
    }
    ep_port_set_baud(EP_UART_BAUD);
    ep_usart_start(uart_base);
}

void ep_port_init(void) {
    ep_stm32_clocks clocks = {ep_stm32_reset_hz, ep_stm32_reset_hz, ep_stm32_reset_hz};

    emulated = ep_stm32_is_emulated();
    if (!emulated) {
        (void)ep_stm32_start_clock(&clocks);
    }
    uart_hz = clocks.uart_hz;
    start_uart();
    ep_ticks_start(clocks.core_hz, clocks.timer_hz, emulated);
    ep_rx_start(emulated ? EP_UART_IRQ : EP_HW_UART_IRQ);
}

void ep_port_uart_irq(void) {
    const uint32_t status = EP_USART_STATUS(uart_base);

    if ((status & EP_USART_RXNE) != 0u) {
        if (ep_rx_hold()) {
            return;
        }
        ep_rx_take((uint8_t)EP_USART_RX(uart_base));
    }
    if ((status & EP_USART_ORE) != 0u) {
        ep_usart_clear_overrun(uart_base, (status & EP_USART_RXNE) != 0u);
        ep_rx_count_lost();
    }
}

void ep_port_write(const void *data, size_t bytes) {
    const uint8_t *from = (const uint8_t *)data;
    size_t i;

    for (i = 0u; i < bytes; i++) {
        while ((EP_USART_STATUS(uart_base) & EP_USART_TXE) == 0u) {
        }
        EP_USART_TX(uart_base) = from[i];
    }
}

void ep_port_fault_putc(char c) {
    (void)ep_wait(&EP_USART_STATUS(uart_base), EP_USART_TXE, EP_USART_TXE);
    EP_USART_TX(uart_base) = (uint8_t)c;
}

void ep_port_flush(void) {
    (void)ep_wait(&EP_USART_STATUS(uart_base), EP_USART_TC, EP_USART_TC);
}

uint32_t ep_port_max_baud(void) {
    return emulated ? 0u : EP_UART_MAX_BAUD;
}

void ep_port_set_baud(uint32_t baud) {
    if (baud == 0u || baud > EP_UART_MAX_BAUD) {
        return;
    }
    ep_usart_set_divisor(uart_base, ep_usart_divisor(uart_hz, baud));
}
