/* The line that a port sends when the core faults; ep_port.h has its form. */
#ifndef EP_FAULT_TEXT_H
#define EP_FAULT_TEXT_H

#include <stdint.h>

/* Sends one byte polled, from a fault handler as well; must not wait for ever. */
void ep_port_fault_putc(char c);

static inline void ep_fault_put(const char *text) {
    while (*text != '\0') {
        ep_port_fault_putc(*text++);
    }
}

static inline void ep_fault_put_hex(uint32_t value) {
    int shift;

    for (shift = 28; shift >= 0; shift -= 4) {
        const uint32_t digit = (value >> (unsigned)shift) & 0xFu;

        ep_port_fault_putc((char)(digit < 10u ? '0' + digit : 'A' + (digit - 10u)));
    }
}

static inline void ep_fault_send(uint32_t pc, uint32_t lr, uint32_t cause) {
    ep_fault_put("e-[FAULT pc=");
    ep_fault_put_hex(pc);
    ep_fault_put(" lr=");
    ep_fault_put_hex(lr);
    ep_fault_put(" cause=");
    ep_fault_put_hex(cause);
    ep_fault_put("]\r\n");
}

#endif
