/* What the parts of the framed extension share: reception (ep_link.c), requests (ep_serve.c) and
 * inferences (ep_infer.c). */
#ifndef EP_SESSION_H
#define EP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "ep_frame.h"
#include "ep_run.h"
#include "ep_wire.h"

typedef enum { EP_IDLE, EP_RECEIVING, EP_COMPLETE, EP_DAMAGED } ep_link_phase;

typedef struct {
    ep_frame_rx rx;
    uint64_t served;       /* counter at the end of the last request */
    uint32_t result_crc;   /* CRC of the input whose result is held */
    uint16_t sequence;     /* of the last input transfer or inference */
    uint16_t layer_frames; /* LAYER frames of the last inference */
    uint8_t phase;         /* ep_link_phase */
    bool storing;          /* the frame's data goes to the input */
    bool greeted;
    bool disturbed; /* a byte came while the last inference ran */
    bool raised;    /* the baud rate differs from the one at start */
} ep_session_state;

extern ep_session_state ep_session;

/* Bytes of a request's header with its type and sequence number. */
uint32_t ep_header_bytes(uint8_t type);

static inline bool ep_carries_input(uint8_t type) {
    return type == EP_REQ_WRITE || type == EP_REQ_INFER;
}

/* Whether the held result belongs to this very request: then nothing may touch the outputs. */
static inline bool ep_is_repeat(const uint8_t *header) {
    return ep_run.result && ep_get_u16(header + 1) == ep_session.sequence;
}

void ep_reply_nak(uint16_t sequence, uint8_t code, uint32_t argument);
/* A reply without a payload. */
void ep_reply_empty(uint8_t type, uint16_t sequence);
/* DATA frames of `length` output bytes from `offset`. */
void ep_reply_outputs(uint32_t offset, uint32_t length);

/* Answers a whole request, whose header is in ep_session.rx. */
void ep_serve(const uint8_t *header);
/* Answers an INFER request whose data has been accepted. */
void ep_serve_infer(const uint8_t *header);

#endif
