/*
 * Ticks of the STM32s with two 32-bit timers: the DWT cycle counter, extended by TIM5. In QEMU,
 * where the cycle counter stands still, TIM2 counts virtual nanoseconds, which are instructions
 * under `-icount shift=0`.
 *
 * TIM2 to TIM5: RM0033 chapter 15, RM0090 chapter 18, RM0390 chapter 17, RM0385 chapter 23, RM0432
 * chapter 38, RM0433 chapter 39.
 */
#include "ep_port.h"
#include "ep_stm32.h"
#include "ep_ticks.h"
#include "ep_ticks_exact.h"

#define RCC_TIM_ENR EP_REG(EP_TIM_RCC_ENR)
#define RCC_TIM2 (1u << 0)
#define RCC_TIM5 (1u << 3)
#define TIM2_BASE 0x40000000u
#define TIM5_BASE 0x40000C00u
#define TIM_CR1(base) EP_REG((base) + 0x00u)
#define TIM_EGR(base) EP_REG((base) + 0x14u)
#define TIM_CNT(base) EP_REG((base) + 0x24u)
#define TIM_PSC(base) EP_REG((base) + 0x28u)
#define TIM_ARR(base) EP_REG((base) + 0x2Cu)

#define COARSE_SHIFT 16u /* one TIM5 count is 2^16 core cycles, or instructions in QEMU */
#define EMULATED_HZ 1000000000u

static ep_ticks_account account;
static uint32_t ticks_hz;
static uint32_t millis_scale; /* milliseconds in one TIM5 count, times 2^24 */
static bool has_dwt;

static void start_timer(uint32_t base, uint32_t divider) {
    TIM_PSC(base) = divider - 1u;
    TIM_ARR(base) = 0xFFFFFFFFu;
    TIM_EGR(base) = 1u; /* loads both */
    TIM_CR1(base) = 1u;
}

void ep_ticks_start(uint32_t core_hz, uint32_t timer_hz, bool emulated) {
    const uint32_t coarse_hz = emulated ? EMULATED_HZ : core_hz;
    /* the timers run at the core's clock or at half of it */
    const uint32_t slower = emulated ? 1u : core_hz / timer_hz;

    RCC_TIM_ENR |= RCC_TIM2 | RCC_TIM5;
    (void)RCC_TIM_ENR;
    has_dwt = ep_dwt_start();
    ticks_hz = has_dwt ? core_hz : EMULATED_HZ;
    start_timer(TIM5_BASE, (1u << COARSE_SHIFT) / slower);
    millis_scale = ep_millis_scale(coarse_hz, COARSE_SHIFT);
    start_timer(TIM2_BASE, 1u);
    if (!has_dwt) {
        ep_ticks_calibrate(&account, ep_port_ticks);
    }
}

uint64_t ep_port_ticks(void) {
    const uint64_t approx = (uint64_t)TIM_CNT(TIM5_BASE) << COARSE_SHIFT;

    if (has_dwt) {
        return ep_extend(approx, EP_DWT_CYCCNT, 32u);
    }
    return ep_ticks_without_cost(&account, ep_extend(approx, TIM_CNT(TIM2_BASE), 32u));
}

bool ep_ticks_need_core(void) {
    return has_dwt;
}

uint32_t ep_port_millis(void) {
    return (uint32_t)(((uint64_t)TIM_CNT(TIM5_BASE) * millis_scale) >> EP_MILLIS_SHIFT);
}

uint32_t ep_port_ticks_hz(void) {
    return ticks_hz;
}

ep_ticks_kind ep_port_ticks_kind(void) {
    return has_dwt ? EP_TICKS_CYCLES : EP_TICKS_INSTRUCTIONS;
}
