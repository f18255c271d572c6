#include "ep_link.h"

#include "ep_port.h"
#include "ep_session.h"

/* At another baud rate than the one at start: fall back when no valid request came for so long. */
#define EP_FALLBACK_SECONDS 3u

ep_session_state ep_session;

uint32_t ep_header_bytes(uint8_t type) {
    switch (type) {
    case EP_REQ_WRITE:
        return EP_HEADER_WRITE;
    case EP_REQ_INFER:
        return EP_HEADER_INFER;
    case EP_REQ_READ:
        return EP_HEADER_READ;
    case EP_REQ_INIT:
        return EP_HEADER_INIT;
    case EP_REQ_BAUD:
        return EP_HEADER_BAUD;
    default:
        return EP_HEADER_PLAIN;
    }
}

/* The header is here, unverified: its data may only land behind the bytes already verified. */
static void ep_open_data(const uint8_t *header) {
    uint32_t offset = ep_get_u32(header + 3);
    if (!ep_session.greeted || ep_is_repeat(header)) {
        return;
    }
    if (offset == 0u ||
        (offset == ep_run.verified && ep_get_u16(header + 1) == ep_session.sequence)) {
        ep_input_seek(offset);
        ep_run.verified = offset;
        ep_session.storing = true;
    }
}

void ep_link_begin(uint8_t *header) {
    ep_frame_rx_begin(&ep_session.rx, header);
    ep_session.storing = false;
    ep_session.phase = EP_RECEIVING;
}

bool ep_link_feed(uint8_t byte) {
    ep_frame_rx *rx = &ep_session.rx;
    int value;
    if (byte == EP_FRAME_END) {
        ep_session.phase = ep_frame_rx_valid(rx) ? EP_COMPLETE : EP_DAMAGED;
        return false;
    }
    value = ep_frame_rx_feed(rx, byte);
    if (value >= 0 && ep_carries_input(rx->header[0])) {
        uint32_t header = ep_header_bytes(rx->header[0]);
        if (rx->count == header) {
            ep_open_data(rx->header);
        } else if (ep_session.storing) {
            ep_input_put((uint8_t)value); /* the CRC's bytes too: they land unverified or nowhere */
        }
    }
    return true;
}

void ep_link_run(void) {
    if (ep_session.phase == EP_COMPLETE) {
        ep_session.phase = EP_IDLE;
        ep_serve(ep_session.rx.header);
        ep_session.served = ep_port_ticks();
    }
}

bool ep_link_waits(void) {
    return ep_session.raised || ep_session.phase != EP_IDLE;
}

void ep_link_quiet(void) {
    if (ep_session.phase != EP_IDLE) {
        ep_session.phase = EP_IDLE;
        if (ep_session.greeted) {
            ep_reply_nak(ep_session.sequence, EP_NAK_FRAME, ep_run.verified);
        }
    }
    /* of ep_port_ticks(), which never starts over */
    if (ep_session.raised &&
        ep_port_ticks() - ep_session.served > (uint64_t)ep_port_ticks_hz() * EP_FALLBACK_SECONDS) {
        ep_session.raised = false;
        ep_port_set_baud(EP_BENCH_BAUD);
    }
}

bool ep_link_greeted(void) {
    return ep_session.greeted;
}

void ep_link_forget(void) {
    ep_session.greeted = false;
}
