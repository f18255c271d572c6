/* The framed extension: requests, replies, and an input transfer that a broken line cannot spoil.
 */
#ifndef EP_LINK_H
#define EP_LINK_H

#include <stdbool.h>
#include <stdint.h>

/* The baud rate at start, which ports set in ep_port_init. */
#if defined(EP_UART_BAUD)
#define EP_BENCH_BAUD EP_UART_BAUD
#elif !defined(EP_BENCH_BAUD)
#define EP_BENCH_BAUD 115200u
#endif

/* A byte EP_FRAME_START came outside a frame. `header` has room for EP_FRAME_HEADER_MAX bytes. */
void ep_link_begin(uint8_t *header);
/* Takes one byte of the frame; returns false when the frame has ended. */
bool ep_link_feed(uint8_t byte);
/* Serves the request that has ended, if any. Called by the main loop, where the stack is shallow.
 */
void ep_link_run(void);
/* Whether ep_link_quiet has something to watch for: the main loop must not sleep. */
bool ep_link_waits(void);
/* The line has been quiet for EP_QUIET_MILLIS: gives up an unfinished frame, asks for a damaged one
 * again, and falls back to EP_BENCH_BAUD when nobody spoke at the raised rate. */
void ep_link_quiet(void);
/* A host has said HELLO: text other than a greeting is the rest of a damaged frame. */
bool ep_link_greeted(void);
/* The text protocol is in use: frames other than HELLO are refused until the next HELLO. */
void ep_link_forget(void);

#endif
