/*
 * What every RISC-V port shares: counters, fault report, stack.
 *
 * minstret and mcycle: RISC-V Privileged Architecture 20211203, 3.1.10. Under `-icount shift=0` QEMU
 * counts instructions in both; on a chip the ticks are cycles.
 */
#include "ep_fault_text.h"
#include "ep_port.h"
#include "ep_ticks.h"

extern uint8_t ep_ld_stack_low[];
extern uint8_t ep_ld_stack_high[];

__attribute__((noreturn)) void ep_fault_report(uint32_t pc, uint32_t ra, uint32_t cause);

static uint64_t stolen; /* instructions that ep_port_ticks itself took */
static uint32_t ticks_cost;
static uint32_t ticks_hz;
static uint32_t millis_scale; /* milliseconds in 2^10 ticks, times 2^24 */
static bool instructions;

/* A 64-bit counter in two registers: read again when the low half went round in between. */
#define READ_COUNTER(name, value)                                                                  \
    do {                                                                                           \
        uint32_t high_;                                                                            \
        uint32_t low_;                                                                             \
        uint32_t again_;                                                                           \
                                                                                                   \
        do {                                                                                       \
            __asm__ volatile("csrr %0, " name "h\n\t"                                              \
                             "csrr %1, " name "\n\t"                                               \
                             "csrr %2, " name "h"                                                  \
                             : "=r"(high_), "=r"(low_), "=r"(again_)                               \
                             :                                                                     \
                             : "memory");                                                          \
        } while (high_ != again_);                                                                 \
        (value) = ((uint64_t)high_ << 32) | low_;                                                  \
    } while (0)

static uint64_t read_counter(void) {
    uint64_t value;

    if (instructions) {
        READ_COUNTER("minstret", value);
    } else {
        READ_COUNTER("mcycle", value);
    }
    return value;
}

void ep_ticks_start(uint32_t core_hz, uint32_t timer_hz, bool emulated) {
    uint64_t (*read)(void) = ep_port_ticks;
    uint32_t first;

    (void)timer_hz;
    instructions = emulated;
    ticks_hz = emulated ? 1000000000u : core_hz;
    millis_scale = ep_millis_scale(ticks_hz, 10u);
    stolen = 0u;
    ticks_cost = 0u;
    __asm__ volatile("" : "+r"(read)); /* a call that costs what a call from another file costs */
    first = (uint32_t)read();
    ticks_cost = (uint32_t)read() - first;
}

uint64_t ep_port_ticks(void) {
    uint64_t now = read_counter();

    if (instructions) {
        now -= stolen;
        stolen += ticks_cost;
    }
    return now;
}

uint32_t ep_port_millis(void) {
    return (uint32_t)(((read_counter() >> 10) * millis_scale) >> EP_MILLIS_SHIFT);
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

void ep_fault_report(uint32_t pc, uint32_t ra, uint32_t cause) {
    ep_fault_send(pc, ra, cause);
    ep_port_flush();
    ep_port_reset();
    for (;;) {
    }
}
