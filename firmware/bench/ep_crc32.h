/* CRC-32 of IEEE 802.3 (reflected polynomial 0xEDB88320), by nibbles: a table of 64 bytes. */
#ifndef EP_CRC32_H
#define EP_CRC32_H

#include <stddef.h>
#include <stdint.h>

#define EP_CRC32_INIT 0xFFFFFFFFu
/* The state after data followed by its own CRC (little-endian): the check of a received frame. */
#define EP_CRC32_RESIDUE 0xDEBB20E3u

/* The state after one more byte. The CRC of the data is the complement of the last state. */
uint32_t ep_crc32_byte(uint32_t state, uint8_t byte);
/* The state after `bytes` more bytes. */
uint32_t ep_crc32_run(uint32_t state, const void *data, size_t bytes);

#endif
