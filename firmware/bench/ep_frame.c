#include "ep_frame.h"

#include "ep_crc32.h"
#include "ep_port.h"
#include "ep_wire.h"

static uint32_t ep_tx_crc;

void ep_frame_rx_begin(ep_frame_rx *rx, uint8_t *header) {
    rx->crc = EP_CRC32_INIT;
    rx->count = 0u;
    rx->left = 0u;
    rx->implied = false;
    rx->header = header;
}

int ep_frame_rx_feed(ep_frame_rx *rx, uint8_t byte) {
    uint8_t value = byte;
    if (rx->left == 0u) {
        /* a block's first byte counts the bytes up to the next zero; 0xFF: no zero follows */
        bool implied = rx->implied;
        rx->left = (uint8_t)(byte - 1u);
        rx->implied = byte != 0xFFu;
        if (!implied) {
            return -1;
        }
        value = 0u;
    } else {
        rx->left--;
    }
    rx->crc = ep_crc32_byte(rx->crc, value);
    if (rx->count < EP_FRAME_HEADER_MAX) {
        rx->header[rx->count] = value;
    }
    rx->count++;
    return value;
}

bool ep_frame_rx_valid(const ep_frame_rx *rx) {
    return rx->left == 0u && rx->crc == EP_CRC32_RESIDUE;
}

void ep_frame_put(const void *data, size_t bytes) {
    ep_tx_crc = ep_crc32_run(ep_tx_crc, data, bytes);
    ep_port_write(data, bytes);
}

static void ep_put_le(uint64_t value, size_t bytes) {
    uint8_t raw[8];
    size_t i;
    for (i = 0u; i < bytes; i++) {
        raw[i] = (uint8_t)(value & 0xFFu);
        value >>= 8;
    }
    ep_frame_put(raw, bytes);
}

void ep_frame_begin(uint8_t type, uint16_t sequence, uint32_t length) {
    static const uint8_t start = EP_FRAME_START;
    ep_port_write(&start, 1u);
    ep_tx_crc = EP_CRC32_INIT;
    ep_frame_put_u8(type);
    ep_frame_put_u16(sequence);
    ep_frame_put_u16((uint16_t)length);
}

void ep_frame_put_u8(uint8_t value) {
    ep_put_le(value, 1u);
}

void ep_frame_put_u16(uint16_t value) {
    ep_put_le(value, 2u);
}

void ep_frame_put_u32(uint32_t value) {
    ep_put_le(value, 4u);
}

void ep_frame_put_u64(uint64_t value) {
    ep_put_le(value, 8u);
}

void ep_frame_end(void) {
    ep_put_le(~ep_tx_crc, 4u);
}
