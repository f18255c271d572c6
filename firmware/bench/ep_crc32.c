#include "ep_crc32.h"

uint32_t ep_crc32_byte(uint32_t state, uint8_t byte) {
    int bit;
    state ^= byte;
    for (bit = 0; bit < 8; bit++) { /* no table: fast enough for a serial line, and 60 bytes less */
        state = (state >> 1) ^ (0xEDB88320u & (0u - (state & 1u)));
    }
    return state;
}

uint32_t ep_crc32_run(uint32_t state, const void *data, size_t bytes) {
    const uint8_t *at = (const uint8_t *)data;
    while (bytes-- > 0u) {
        state = ep_crc32_byte(state, *at++);
    }
    return state;
}
