/*
 * Exact instruction counts under `qemu -icount shift=0` where the finest counter is SysTick.
 *
 * There one instruction is one virtual nanosecond, and SysTick counts down by one every EP_TICK_N /
 * EP_TICK_D ns (for example 40 / 1 at 25 MHz, 125 / 4 at 32 MHz). It is read EP_TICK_N times, 7
 * instructions apart. In units of 1 / EP_TICK_D ns, with phase x of the first reading inside its
 * tick and step m = 7 * EP_TICK_D coprime to n = EP_TICK_N, the readings advance by floor((x + k m)
 * / n), and
 *
 *     sum over k = 0 .. n-1 of floor((x + k m) / n) = x + (m - 1)(n - 1) / 2
 *
 * (Graham, Knuth, Patashnik, Concrete Mathematics, 3.32), which gives x, the time to one
 * instruction. Everything here takes the same number of instructions each time, so that the caller
 * can take it off.
 */
#ifndef EP_SYSTICK_EXACT_H
#define EP_SYSTICK_EXACT_H

#include "ep_systick.h"

#if !defined(EP_TICK_N) || !defined(EP_TICK_D)
#error "EP_TICK_N and EP_TICK_D come from [counter] of targets/soc/<soc>.toml"
#endif

#define EP_SYSTICK_BITS 24u

#define EP_TICK_SPACING 7u /* instructions between two readings, as written in the loop below */

typedef struct {
    uint32_t ticks; /* up-counting, 24 bits */
    uint32_t phase; /* units of 1 / EP_TICK_D ns since that tick began */
} ep_systick_time;

static inline ep_systick_time ep_systick_now(void) {
    volatile uint32_t *const val = &EP_SYSTICK_VAL;
    const uint32_t bias =
        (EP_TICK_SPACING * (uint32_t)EP_TICK_D - 1u) * ((uint32_t)EP_TICK_N - 1u) / 2u;
    uint32_t first;
    uint32_t count;
    uint32_t sum;
    uint32_t reading;
    ep_systick_time now;

    __asm__ volatile(
        ".syntax unified\n\t"
        "ldr %[first], [%[val]]\n\t"
        "movs %[sum], #0\n\t"
        "movs %[count], %[readings]\n\t"
        "nop\n\tnop\n\tnop\n\tnop\n"
        "1:\n\t"
        "ldr %[reading], [%[val]]\n\t"
        "subs %[reading], %[first], %[reading]\n\t"
        "lsls %[reading], %[reading], #8\n\t" /* modulo 2^24 */
        "lsrs %[reading], %[reading], #8\n\t"
        "adds %[sum], %[sum], %[reading]\n\t"
        "subs %[count], %[count], #1\n\t"
        "bne 1b"
        : [first] "=&l"(first), [sum] "=&l"(sum), [count] "=&l"(count), [reading] "=&l"(reading)
        : [val] "l"(val), [readings] "I"(EP_TICK_N - 1)
        : "cc", "memory");
    now.ticks = (0x00FFFFFFu - first) & 0x00FFFFFFu;
    now.phase = sum - bias;
    return now;
}

/* Instructions since the counter started; `approx_ticks` is within 2^23 ticks of the truth. */
static inline uint64_t ep_systick_instructions(uint64_t approx_ticks) {
    const uint32_t mask = ep_irq_save();
    const ep_systick_time now = ep_systick_now(); /* an interrupt would spoil the spacing */
    const uint64_t ticks = ep_extend(approx_ticks, now.ticks, EP_SYSTICK_BITS);

    ep_irq_restore(mask);
    return (ticks * (uint64_t)EP_TICK_N + now.phase) / (uint64_t)EP_TICK_D;
}

#endif
