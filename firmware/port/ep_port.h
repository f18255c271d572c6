/* What the bench firmware asks of a board. One implementation per SoC in firmware/port/<soc>/. */
#ifndef EP_PORT_H
#define EP_PORT_H

#include <stddef.h>
#include <stdint.h>

/* What one tick of ep_port_ticks() is. */
typedef enum {
    EP_TICKS_TIME = 0,        /* a real clock; ep_port_ticks_hz() ticks a second */
    EP_TICKS_CYCLES = 1,      /* core clock cycles of real hardware */
    EP_TICKS_INSTRUCTIONS = 2 /* instructions executed by an emulator */
} ep_ticks_kind;

/* Clock, flash wait states, caches, UART and counter. Interrupt-driven or polled receive is the port's choice. */
void ep_port_init(void);
/* Next received byte, or -1 when there is none. Must not block. */
int ep_port_getc(void);
/* Sends all bytes; blocks until they are handed to the UART. */
void ep_port_write(const void *data, size_t bytes);
/* Waits until the last byte has left the UART. */
void ep_port_flush(void);
/* Largest baud rate the port can switch to, 0 when fixed; ep_port_set_baud after the reply was flushed. */
uint32_t ep_port_max_baud(void);
void ep_port_set_baud(uint32_t baud);
/* A free-running monotonic counter, extended to 64 bits by the port. */
uint64_t ep_port_ticks(void);
uint32_t ep_port_ticks_hz(void); /* for EP_TICKS_INSTRUCTIONS: instructions per virtual second */
ep_ticks_kind ep_port_ticks_kind(void);
/* The memory reserved for the stack: [low, high). */
void ep_port_stack_bounds(uint8_t **low, uint8_t **high);
/* Address of the current stack pointer, for painting below it. */
uint8_t *ep_port_stack_pointer(void);
/* Restarts the firmware. */
void ep_port_reset(void);
/* Called in idle loops: wait for interrupt where that is safe. */
void ep_port_idle(void);

#endif
