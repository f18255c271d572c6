/* How much memory was really used: paint, run, look. */
#ifndef EP_MEMORY_H
#define EP_MEMORY_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t stack_bytes; /* reserved; 0 when the port does not know */
    uint32_t stack_peak;  /* bytes from the top of the stack to the deepest word changed */
    uint32_t arena_bytes;
    uint32_t arena_touched; /* bytes in changed words, EP_MEMORY_WORD each */
    uint32_t arena_peak;    /* bytes outside the longest unchanged run */
} ep_memory_peaks;

#define EP_MEMORY_WORD 4u

/* Paints the unused stack and the whole arena; the model must be initialised after it. */
void ep_memory_paint(uint8_t *arena, size_t arena_bytes);
/* What has been changed since. */
void ep_memory_peaks_read(const uint8_t *arena, size_t arena_bytes, ep_memory_peaks *peaks);

#endif
