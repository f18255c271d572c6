/*
 * What the bench firmware asks of a board. One implementation per family in firmware/port/<port>/;
 * targets/soc/<soc>.toml names the files of each.
 *
 * The port owns the entry point: its start-up code sets up the stack, .data, .bss and the FPU, then
 * calls ep_main(), which the firmware defines and which calls ep_port_init() first. If ep_main()
 * returns, the port resets the device (the host process exits).
 *
 * On a CPU fault the port sends, polled and without the firmware's help, the line
 *     "e-[FAULT pc=XXXXXXXX lr=XXXXXXXX cause=XXXXXXXX]\r\n"
 * and resets. Bytes in the receive buffer are lost.
 */
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

/* The firmware's entry, defined outside the port. */
int ep_main(void);

/* Sets up clock, flash wait states, caches, UART (8N1 at the board record's baud rate) and counter.
 */
void ep_port_init(void);

/* The next received byte, or -1 when there is none. Never blocks. Reception is interrupt-driven
 * into a buffer of EP_PORT_RX_BYTES bytes (virt-rv32 polls a FIFO, the host process its socket), so
 * back-to-back bytes are kept; an emulator holds the sender back when the buffer is full. */
int ep_port_getc(void);
/* Bytes lost since the start because the buffer or the UART overran. */
uint32_t ep_port_rx_lost(void);
/* Sends all bytes; blocks until they are handed to the UART. */
void ep_port_write(const void *data, size_t bytes);
/* Waits until the last byte has left the UART. */
void ep_port_flush(void);

/* Largest baud rate the port can switch to; 0 when the link has no baud rate (emulators, host). */
uint32_t ep_port_max_baud(void);
/* Switches at once; call ep_port_flush() first. A rate that ep_port_max_baud() does not allow is
 * ignored. */
void ep_port_set_baud(uint32_t baud);

/* A monotonic counter since ep_port_init().
 * EP_TICKS_INSTRUCTIONS: instructions executed outside this function; its own cost, up to 1000
 * instructions and 50 us of the host's time, is taken off, so that two calls in a row differ by the
 * few that the caller executes in between (exact where targets/soc/<soc>.toml states resolution 1).
 * Counting is undisturbed as long as no byte arrives between two calls. For time-outs use
 * ep_port_millis(). EP_TICKS_CYCLES, EP_TICKS_TIME: the reading itself costs a few ticks, which
 * stay in. The 32-bit hardware counters are extended to 64 bits by the port; the record states the
 * longest distance between two calls that this needs (`wrap_ticks`). */
uint64_t ep_port_ticks(void);
/* Ticks a second: core clock for cycles; instructions per second of virtual time for instructions.
 */
uint32_t ep_port_ticks_hz(void);
/* Milliseconds since ep_port_init() within 5 %, in steps of up to 10 ms, for time-outs: cheap.
 * Starts over after days. In an emulator it is virtual time, which runs slower than the host's
 * while the core works and stands still while it sleeps in ep_port_idle(). */
uint32_t ep_port_millis(void);
ep_ticks_kind ep_port_ticks_kind(void);

/* The memory reserved for the stack: [low, high). Both 0 where the port cannot tell. */
void ep_port_stack_bounds(uint8_t **low, uint8_t **high);
/* Address of the current stack pointer, for painting below it. */
uint8_t *ep_port_stack_pointer(void);
/* Restarts the firmware; does not return. The host process executes itself again on the same
 * socket. */
void ep_port_reset(void);
/* Call in a loop that waits for bytes: sleeps until a byte may have come, at most a few
 * milliseconds on the host. Returns at once when a byte is already there. */
void ep_port_idle(void);

#endif
