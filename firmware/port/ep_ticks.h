/* What a port asks of the source of ticks that its record names; that source also defines
 * ep_port_ticks(), _ticks_hz(), _ticks_kind() and ep_port_millis(). */
#ifndef EP_TICKS_H
#define EP_TICKS_H

#include <stdbool.h>
#include <stdint.h>

/* Starts counting from 0. To be called with no interrupt enabled that could come: it measures what
 * a reading costs. */
void ep_ticks_start(uint32_t core_hz, uint32_t timer_hz, bool emulated);

#endif
