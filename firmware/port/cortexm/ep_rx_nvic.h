/* A receive ring whose interrupt is masked at the NVIC while the ring is full; rx_nvic.c also
 * defines ep_port_getc(), ep_port_rx_lost() and ep_port_idle(). */
#ifndef EP_RX_NVIC_H
#define EP_RX_NVIC_H

#include <stdbool.h>
#include <stdint.h>

/* Lets the UART's interrupt in. To be called once. */
void ep_rx_start(uint32_t irq);
/* For the interrupt, before it takes a byte from the UART: true while there is no room. The byte
 * then stays in the UART, so an emulator holds the sender back, and the interrupt comes again when
 * ep_port_getc() has made room. */
bool ep_rx_hold(void);
/* For the interrupt: a byte, or word of lost ones. */
void ep_rx_take(uint8_t byte);
void ep_rx_count_lost(void);

#endif
