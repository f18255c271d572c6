/* What a port asks of the source of ticks that its record names; that source also defines
 * ep_port_ticks(), _ticks_hz(), _ticks_kind() and ep_port_millis(). */
#ifndef EP_TICKS_H
#define EP_TICKS_H

#include <stdbool.h>
#include <stdint.h>

#define EP_MILLIS_SHIFT 24u

/* Milliseconds in 2^`shift` ticks of a clock from 4 MHz to 1 GHz, times 2^24, within 0.05 %; `shift`
 * is 7 to 16. Without the division of 64 bits, which would be the largest function of a small
 * image. */
static inline uint32_t ep_millis_scale(uint32_t hz, unsigned shift) {
    return (0x80000000u / (hz / 1000u)) << (EP_MILLIS_SHIFT + shift - 31u);
}

/* Starts counting from 0. To be called with no interrupt enabled that could come: it measures what
 * a reading costs. */
void ep_ticks_start(uint32_t core_hz, uint32_t timer_hz, bool emulated);
/* Whether its counter may stand still while the core sleeps, so that waiting must not sleep: DWT
 * counts the core's clock, which a chip may switch off then, and the timer beside it goes on. */
bool ep_ticks_need_core(void);

#endif
