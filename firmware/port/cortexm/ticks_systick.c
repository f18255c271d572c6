/*
 * Ticks of a Cortex-M whose other timers are too short or cannot be read: SysTick, whose interrupt
 * counts how often its 24 bits went round.
 *
 * On a chip they are core cycles. In QEMU they are instructions: the phase inside a tick comes from
 * ep_systick_exact.h, and what an interrupt takes is measured at start and taken off like the
 * reading itself.
 */
#include "ep_port.h"
#include "ep_systick_exact.h"
#include "ep_ticks.h"
#include "ep_ticks_exact.h"

#define SCB_ICSR EP_REG(0xE000ED04u)
#define ICSR_PENDSTSET (1u << 26)
#define ICSR_PENDSTCLR (1u << 25)
#define HALF_ROUND (1u << (EP_SYSTICK_BITS - 1u))
/* Units of 1 / EP_TICK_D ns in one round. QEMU's timers end a round at a whole nanosecond and count
 * its ticks back from there (QEMU 7.2 hw/core/ptimer.c). */
#define ROUND_UNITS                                                                                \
    ((((uint64_t)EP_TICK_N << EP_SYSTICK_BITS) / (uint32_t)EP_TICK_D) * (uint32_t)EP_TICK_D)

static ep_ticks_account account;
static volatile uint32_t rounds;
static uint32_t irq_cost; /* instructions that one round's interrupt takes */
static uint32_t ticks_hz;
static uint32_t millis_scale; /* milliseconds in 2^10 ticks, times 2^24 */
static bool instructions;

void ep_port_systick_irq(void) {
    rounds = rounds + 1u;
    account.stolen += irq_cost;
}

/* Rounds at a moment when `ticks` was read with interrupts masked: one that is pending counts,
 * unless it came after the reading. */
static uint32_t whole_rounds(uint32_t ticks) {
    const bool pending = (SCB_ICSR & ICSR_PENDSTSET) != 0u && ticks < HALF_ROUND;

    return rounds + (pending ? 1u : 0u);
}

static uint64_t read_ticks(void) {
    const uint32_t ticks = (0u - EP_SYSTICK_VAL) & 0x00FFFFFFu;

    return ((uint64_t)whole_rounds(ticks) << EP_SYSTICK_BITS) + ticks;
}

static uint64_t read_instructions(void) {
    const ep_systick_time now = ep_systick_now();
    const uint32_t in_round = (now.ticks + 1u) & 0x00FFFFFFu; /* 0 when the interrupt comes */
    const uint64_t units = whole_rounds(in_round) * ROUND_UNITS;

    return (units + (uint64_t)in_round * (uint32_t)EP_TICK_N + now.phase) / (uint32_t)EP_TICK_D;
}

uint64_t ep_port_ticks(void) {
    const uint32_t mask = ep_irq_save(); /* an interrupt would spoil the spacing of the readings */
    uint64_t now;

    if (instructions) {
        now = ep_ticks_without_cost(&account, read_instructions());
    } else {
        now = read_ticks();
    }
    ep_irq_restore(mask);
    return now;
}

/* Instructions between two readings, with the round's interrupt in between or without it. */
static uint32_t span(uint32_t pend) {
    uint32_t first = (uint32_t)ep_port_ticks();

    SCB_ICSR = pend;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    return (uint32_t)ep_port_ticks() - first;
}

void ep_ticks_start(uint32_t core_hz, uint32_t timer_hz, bool emulated) {
    const uint32_t systick_hz = emulated ? EP_CLOCK_HZ : core_hz; /* QEMU sets no clock up */

    (void)timer_hz;
    instructions = emulated;
    ticks_hz = emulated ? 1000000000u : core_hz;
    millis_scale = ep_millis_scale(systick_hz, 10u);
    rounds = 0u;
    ep_systick_start();
    if (emulated) {
        ep_ticks_calibrate(&account, ep_port_ticks);
    }
    EP_SYSTICK_CTRL = EP_SYSTICK_ENABLE | EP_SYSTICK_INTERRUPT;
    if (emulated) {
        const uint32_t plain = span(ICSR_PENDSTCLR);

        /* the interrupt that is asked for counts a round that has not gone by */
        irq_cost = span(ICSR_PENDSTSET) - plain - (uint32_t)(ROUND_UNITS / (uint32_t)EP_TICK_D);
        rounds = 0u;
    }
}

bool ep_ticks_need_core(void) {
    return false; /* SysTick alone, and its interrupt wakes the core */
}

uint32_t ep_port_millis(void) {
    const uint32_t mask = ep_irq_save();
    const uint64_t ticks = read_ticks();

    ep_irq_restore(mask);
    return (uint32_t)(((ticks >> 10) * millis_scale) >> EP_MILLIS_SHIFT);
}

uint32_t ep_port_ticks_hz(void) {
    return ticks_hz;
}

ep_ticks_kind ep_port_ticks_kind(void) {
    return instructions ? EP_TICKS_INSTRUCTIONS : EP_TICKS_CYCLES;
}
