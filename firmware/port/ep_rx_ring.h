/*
 * The receive ring of the ports with a receive interrupt: one producer (the interrupt), one
 * consumer (the main loop).
 */
#ifndef EP_RX_RING_H
#define EP_RX_RING_H

#include <stdbool.h>
#include <stdint.h>

#ifndef EP_PORT_RX_BYTES
#error "EP_PORT_RX_BYTES comes from [uart] rx_buffer of targets/soc/<soc>.toml"
#endif
#if (EP_PORT_RX_BYTES & (EP_PORT_RX_BYTES - 1)) != 0
#error "EP_PORT_RX_BYTES must be a power of two"
#endif

typedef struct {
    volatile uint32_t head; /* bytes ever put in; wraps */
    volatile uint32_t tail; /* bytes ever taken out; wraps */
    volatile uint32_t lost;
    uint8_t bytes[EP_PORT_RX_BYTES];
} ep_rx_ring;

static inline bool ep_rx_empty(const ep_rx_ring *ring) {
    return ring->head == ring->tail;
}

static inline bool ep_rx_full(const ep_rx_ring *ring) {
    return ring->head - ring->tail >= (uint32_t)EP_PORT_RX_BYTES;
}

static inline void ep_rx_put(ep_rx_ring *ring, uint8_t byte) {
    const uint32_t head = ring->head;

    if (ep_rx_full(ring)) {
        ring->lost = ring->lost + 1u;
        return;
    }
    ring->bytes[head % (uint32_t)EP_PORT_RX_BYTES] = byte;
    __asm__ volatile("" ::: "memory");
    ring->head = head + 1u;
}

static inline int ep_rx_get(ep_rx_ring *ring) {
    const uint32_t tail = ring->tail;
    uint8_t byte;

    if (ring->head == tail) {
        return -1;
    }
    byte = ring->bytes[tail % (uint32_t)EP_PORT_RX_BYTES];
    __asm__ volatile("" ::: "memory");
    ring->tail = tail + 1u;
    return byte;
}

#endif
