#include "ep_crc32.h"

uint32_t ep_crc32_byte(uint32_t state, uint8_t byte) {
    static const uint32_t nibble[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
        0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
        0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    state ^= byte;
    state = nibble[state & 15u] ^ (state >> 4);
    return nibble[state & 15u] ^ (state >> 4);
}

uint32_t ep_crc32_run(uint32_t state, const void *data, size_t bytes) {
    const uint8_t *at = (const uint8_t *)data;
    while (bytes-- > 0u) {
        state = ep_crc32_byte(state, *at++);
    }
    return state;
}
