/* The receive ring behind ep_rx_nvic.h. The NVIC's mask rather than the UART's own, because QEMU's
 * STM32 USART keeps its line up until the byte is read. */
#include "ep_rx_nvic.h"

#include "ep_cortexm.h"
#include "ep_port.h"
#include "ep_ticks.h"

static ep_rx_ring rx;
static uint32_t rx_irq;
static volatile bool held;

void ep_rx_start(uint32_t irq) {
    rx_irq = irq;
    ep_nvic_enable(irq);
}

bool ep_rx_hold(void) {
    if (!ep_rx_full(&rx)) {
        return false;
    }
    ep_nvic_disable(rx_irq);
    held = true;
    return true;
}

void ep_rx_take(uint8_t byte) {
    ep_rx_put(&rx, byte);
}

void ep_rx_count_lost(void) {
    rx.lost = rx.lost + 1u;
}

int ep_port_getc(void) {
    const int byte = ep_rx_get(&rx);

    if (byte >= 0 && held) {
        held = false;
        ep_nvic_enable(rx_irq);
    }
    return byte;
}

uint32_t ep_port_rx_lost(void) {
    return rx.lost;
}

void ep_port_idle(void) {
    if (!ep_ticks_need_core()) {
        ep_rx_wait(&rx);
    }
}
