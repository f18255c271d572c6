/* The bench firmware's main loop: one byte at a time, to the text protocol or to a frame. */
#include "ep_frame.h"
#include "ep_link.h"
#include "ep_port.h"
#include "ep_run.h"
#include "ep_text.h"
#include "ep_wire.h"

/* A line without a byte for so long is quiet. Of ep_port_millis(): in an emulator the reading of
 * ep_port_ticks() takes many instructions that it does not count, and the wait would be many times
 * as long. */
#define EP_QUIET_MILLIS 50u

/* One buffer for the text command or the frame's header: a line carries one of them at a time. */
static char ep_line[EP_BENCH_TEXT ? EP_TEXT_MAX + 1u : EP_FRAME_HEADER_MAX];

#if EP_BENCH_TEXT
static void ep_take_text(uint8_t *length, uint8_t byte) {
    if (byte == (uint8_t)'%') {
        ep_line[*length] = '\0';
        *length = 0u;
        if (!ep_link_greeted()) {
            ep_text_run(ep_line);
        } else if (ep_text_takes_over(ep_line)) {
            ep_link_forget();
            ep_port_write("\r\n", 2u); /* a reply that nobody read is not part of this one's line */
            ep_text_run(ep_line);
        }
    } else if (byte >= 0x20u && byte < 0x7Fu && *length < EP_TEXT_MAX &&
               (*length > 0u || byte != (uint8_t)' ')) {
        ep_line[(*length)++] = (char)byte;
    }
}
#else
static void ep_take_text(uint8_t *length, uint8_t byte) {
    (void)length;
    if (byte == (uint8_t)'%' && !ep_link_greeted()) {
        ep_text_run(ep_line);
    }
}
#endif

int ep_main(void) {
    uint32_t quiet_since = 0u;
    uint8_t length = 0u; /* of the text in ep_line */
    bool quiet = false;
    bool framed = false;
    ep_port_init();
    ep_run_init(true);
    ep_text_banner();
    for (;;) {
        int byte = ep_run_getc();
        if (byte < 0) {
            uint32_t now = ep_port_millis();
            if (!quiet) {
                quiet = true;
                quiet_since = now;
            } else if (now - quiet_since > EP_QUIET_MILLIS) {
                framed = false;
                length = ep_link_greeted() ? 0u : length; /* what was left of a damaged frame */
                ep_link_quiet();
                quiet = false;
            }
            if (!framed && !ep_link_waits()) {
                ep_port_idle();
            }
            continue;
        }
        quiet = false;
        if (framed) {
            framed = ep_link_feed((uint8_t)byte);
            ep_link_run();
        } else if (byte == (int)EP_FRAME_START) {
            framed = true;
            length = 0u;
            ep_link_begin((uint8_t *)ep_line);
        } else {
            ep_take_text(&length, (uint8_t)byte);
        }
    }
}
