#include "ep_memory.h"

#include "ep_port.h"

/* Below the stack pointer: room for this function's own calls while it paints. */
#define EP_STACK_GUARD 128u

/* Each word has its own pattern, so that data equal to it by chance is one in 2^32 per word. */
static uint32_t ep_pattern(const volatile uint32_t *at) {
    return ((uint32_t)(uintptr_t)at * 2654435761u) ^ 0x5EED5EEDu;
}

static void ep_paint(uint8_t *low, size_t bytes) {
    /* volatile: the compiler may not treat the words as unused, nor call memset for them */
    volatile uint32_t *at = (volatile uint32_t *)(void *)low;
    for (; bytes >= EP_MEMORY_WORD; bytes -= EP_MEMORY_WORD) {
        *at = ep_pattern(at);
        at++;
    }
}

void ep_memory_paint(uint8_t *arena, size_t arena_bytes) {
    uint8_t *low = NULL;
    uint8_t *high = NULL;
    uint8_t *pointer = ep_port_stack_pointer();
    ep_paint(arena, arena_bytes);
    ep_port_stack_bounds(&low, &high);
    if (low != NULL && pointer > low && pointer <= high &&
        (size_t)(pointer - low) > EP_STACK_GUARD) {
        ep_paint(low, (size_t)(pointer - low) - EP_STACK_GUARD);
    }
}

void ep_memory_peaks_read(const uint8_t *arena, size_t arena_bytes, ep_memory_peaks *peaks) {
    uint8_t *low = NULL;
    uint8_t *high = NULL;
    const volatile uint32_t *at;
    size_t words = arena_bytes / EP_MEMORY_WORD;
    size_t unchanged = 0u;
    size_t run = 0u;
    size_t longest = 0u;
    size_t i;
    at = (const volatile uint32_t *)(const void *)arena;
    for (i = 0u; i < words; i++, at++) {
        if (*at == ep_pattern(at)) {
            unchanged++;
            run++;
            longest = run > longest ? run : longest;
        } else {
            run = 0u;
        }
    }
    peaks->arena_bytes = (uint32_t)arena_bytes;
    peaks->arena_touched = (uint32_t)(arena_bytes - unchanged * EP_MEMORY_WORD);
    peaks->arena_peak = (uint32_t)(arena_bytes - longest * EP_MEMORY_WORD);
    ep_port_stack_bounds(&low, &high);
    peaks->stack_bytes = 0u;
    peaks->stack_peak = 0u;
    if (low != NULL) {
        const uint8_t *deepest = low;
        peaks->stack_bytes = (uint32_t)(high - low);
        while (deepest < high) {
            at = (const volatile uint32_t *)(const void *)deepest;
            if (*at != ep_pattern(at)) {
                break;
            }
            deepest += EP_MEMORY_WORD;
        }
        peaks->stack_peak = (uint32_t)(high - deepest);
    }
}
