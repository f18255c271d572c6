/* Framing: requests arrive as START, COBS(header, data, crc32), END; replies leave as START, type,
 * sequence u16, length u16, payload, crc32. Little-endian throughout. */
#ifndef EP_FRAME_H
#define EP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most header bytes of a request and its CRC. */
#define EP_FRAME_HEADER_MAX 21u

/* The decoder of one request. Data beyond the header is handed out as it arrives, before the CRC is
 * known: the caller must treat it as unverified until the frame ends well. */
typedef struct {
    uint32_t crc;
    uint32_t count;  /* decoded bytes so far */
    uint8_t left;    /* bytes left of the COBS block */
    bool implied;    /* a zero byte follows the block */
    uint8_t *header; /* EP_FRAME_HEADER_MAX bytes */
} ep_frame_rx;

void ep_frame_rx_begin(ep_frame_rx *rx, uint8_t *header);
/* Takes one byte between START and END. Returns the decoded byte, or -1 when it yields none. */
int ep_frame_rx_feed(ep_frame_rx *rx, uint8_t byte);
/* At END: whether the frame is whole and its CRC right. */
bool ep_frame_rx_valid(const ep_frame_rx *rx);

static inline uint16_t ep_get_u16(const uint8_t *at) {
    return (uint16_t)(at[0] | ((uint32_t)at[1] << 8));
}

static inline uint32_t ep_get_u32(const uint8_t *at) {
    return ep_get_u16(at) | ((uint32_t)ep_get_u16(at + 2) << 16);
}

/* Sends a reply in pieces: begin, exactly `length` bytes of put, end. */
void ep_frame_begin(uint8_t type, uint16_t sequence, uint32_t length);
void ep_frame_put(const void *data, size_t bytes);
void ep_frame_put_u8(uint8_t value);
void ep_frame_put_u16(uint16_t value);
void ep_frame_put_u32(uint32_t value);
void ep_frame_put_u64(uint64_t value);
void ep_frame_end(void);

#endif
