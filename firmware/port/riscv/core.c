/*
 * What every RISC-V port shares: counters, fault report, stack.
 *
 * minstret and mcycle: RISC-V Privileged Architecture 20211203, 3.1.10. Under `-icount shift=0` QEMU
 * counts instructions in both; on a chip the ticks are cycles.
 */
#include "ep_port.h"
#include "ep_ticks.h"

#define MILLIS_SHIFT 24u

extern uint8_t ep_ld_stack_low[];
extern uint8_t ep_ld_stack_high[];

/* Sends one byte polled, from a fault as well; must not wait for ever. */
void ep_port_fault_putc(char c);
__attribute__((noreturn)) void ep_fault_report(uint32_t pc, uint32_t ra, uint32_t cause);

static uint64_t stolen; /* instructions that ep_port_ticks itself took */
static uint32_t ticks_cost;
static uint32_t ticks_hz;
static uint32_t millis_scale; /* milliseconds in 2^10 ticks, times 2^24 */
static bool instructions;

static uint64_t read_instret(void) {
    uint32_t high;
    uint32_t low;
    uint32_t again;

    do {
        __asm__ volatile("csrr %0, minstreth\n\t"
                         "csrr %1, minstret\n\t"
                         "csrr %2, minstreth"
                         : "=r"(high), "=r"(low), "=r"(again)
                         :
                         : "memory");
    } while (high != again);
    return ((uint64_t)high << 32) | low;
}

static uint64_t read_cycles(void) {
    uint32_t high;
    uint32_t low;
    uint32_t again;

    do {
        __asm__ volatile("csrr %0, mcycleh\n\t"
                         "csrr %1, mcycle\n\t"
                         "csrr %2, mcycleh"
                         : "=r"(high), "=r"(low), "=r"(again)
                         :
                         : "memory");
    } while (high != again);
    return ((uint64_t)high << 32) | low;
}

void ep_ticks_start(uint32_t core_hz, uint32_t timer_hz, bool emulated) {
    uint64_t (*read)(void) = ep_port_ticks;
    uint32_t first;

    (void)timer_hz;
    instructions = emulated;
    ticks_hz = emulated ? 1000000000u : core_hz;
    millis_scale = (uint32_t)(((uint64_t)1u << (MILLIS_SHIFT + 10u)) / (ticks_hz / 1000u));
    stolen = 0u;
    ticks_cost = 0u;
    __asm__ volatile("" : "+r"(read)); /* a call that costs what a call from another file costs */
    first = (uint32_t)read();
    ticks_cost = (uint32_t)read() - first;
}

uint64_t ep_port_ticks(void) {
    uint64_t now;

    if (!instructions) {
        return read_cycles();
    }
    now = read_instret() - stolen;
    stolen += ticks_cost;
    return now;
}

uint32_t ep_port_millis(void) {
    const uint64_t now = instructions ? read_instret() : read_cycles();

    return (uint32_t)(((now >> 10) * millis_scale) >> MILLIS_SHIFT);
}

uint32_t ep_port_ticks_hz(void) {
    return ticks_hz;
}

ep_ticks_kind ep_port_ticks_kind(void) {
    return instructions ? EP_TICKS_INSTRUCTIONS : EP_TICKS_CYCLES;
}

void ep_port_stack_bounds(uint8_t **low, uint8_t **high) {
    *low = ep_ld_stack_low;
    *high = ep_ld_stack_high;
}

uint8_t *ep_port_stack_pointer(void) {
    uint8_t *sp;

    __asm__ volatile("mv %0, sp" : "=r"(sp));
    return sp;
}

static void put_text(const char *text) {
    while (*text != '\0') {
        ep_port_fault_putc(*text++);
    }
}

static void put_hex(uint32_t value) {
    int shift;

    for (shift = 28; shift >= 0; shift -= 4) {
        const uint32_t digit = (value >> (unsigned)shift) & 0xFu;

        ep_port_fault_putc((char)(digit < 10u ? '0' + digit : 'A' + (digit - 10u)));
    }
}

void ep_fault_report(uint32_t pc, uint32_t ra, uint32_t cause) {
    put_text("e-[FAULT pc=");
    put_hex(pc);
    put_text(" lr=");
    put_hex(ra);
    put_text(" cause=");
    put_hex(cause);
    put_text("]\r\n");
    ep_port_flush();
    ep_port_reset();
    for (;;) {
    }
}
