/*
 * STM32F405/407/415/417: 168 MHz from the crystal, USART, DWT cycle counter.
 *
 * Registers: ST RM0090 (STM32F405/415, F407/417 reference manual): 3 Flash interface, 5 PWR, 7 RCC,
 * 8 GPIO, 18 TIM2 to TIM5, 30 USART. The same image runs in QEMU's netduinoplus2, which has no RCC
 * and no cycle counter: every wait is bounded, and there TIM2 counts virtual nanoseconds, which are
 * instructions under `-icount shift=0`.
 *
 * QEMU's serial port is EP_UART_BASE (USART1). A board whose connector has another one defines
 * EP_HW_UART_BASE, _IRQ, _RCC_BIT (in RCC_APB2ENR), _GPIO_BASE, _GPIO_BIT (in RCC_AHB1ENR),
 * _TX_PIN, _RX_PIN and _AF for the real chip.
 */
#include "ep_cortexm.h"
#include "ep_port.h"
#include "ep_ticks_exact.h"

#ifndef EP_HW_UART_BASE /* USART1 on PA9 and PA10, alternate function 7 (DS8626) */
#define EP_HW_UART_BASE EP_UART_BASE
#define EP_HW_UART_IRQ EP_UART_IRQ
#define EP_HW_UART_RCC_BIT 4u
#define EP_HW_UART_GPIO_BASE 0x40020000u
#define EP_HW_UART_GPIO_BIT 0u
#define EP_HW_UART_TX_PIN 9u
#define EP_HW_UART_RX_PIN 10u
#define EP_HW_UART_AF 7u
#endif

#define RCC_CR EP_REG(0x40023800u)
#define RCC_PLLCFGR EP_REG(0x40023804u)
#define RCC_CFGR EP_REG(0x40023808u)
#define RCC_AHB1ENR EP_REG(0x40023830u)
#define RCC_APB1ENR EP_REG(0x40023840u)
#define RCC_APB2ENR EP_REG(0x40023844u)
#define PWR_CR EP_REG(0x40007000u)
#define FLASH_ACR EP_REG(0x40023C00u)
#define GPIO_MODER EP_REG(EP_HW_UART_GPIO_BASE + 0x00u)
#define GPIO_OSPEEDR EP_REG(EP_HW_UART_GPIO_BASE + 0x08u)
#define GPIO_PUPDR EP_REG(EP_HW_UART_GPIO_BASE + 0x0Cu)
#define GPIO_AFR(pin) EP_REG(EP_HW_UART_GPIO_BASE + 0x20u + 4u * ((pin) / 8u))
#define USART_SR EP_REG(uart_base + 0x00u)
#define USART_DR EP_REG(uart_base + 0x04u)
#define USART_BRR EP_REG(uart_base + 0x08u)
#define USART_CR1 EP_REG(uart_base + 0x0Cu)
#define TIM2_BASE 0x40000000u
#define TIM5_BASE 0x40000C00u
#define TIM_CR1(base) EP_REG((base) + 0x00u)
#define TIM_EGR(base) EP_REG((base) + 0x14u)
#define TIM_CNT(base) EP_REG((base) + 0x24u)
#define TIM_PSC(base) EP_REG((base) + 0x28u)
#define TIM_ARR(base) EP_REG((base) + 0x2Cu)

#define RCC_CR_HSIRDY (1u << 1)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define SR_ORE (1u << 3)
#define SR_RXNE (1u << 5)
#define SR_TC (1u << 6)
#define SR_TXE (1u << 7)
#define CR1_RE (1u << 2)
#define CR1_TE (1u << 3)
#define CR1_RXNEIE (1u << 5)
#define CR1_UE (1u << 13)

#define HSI_HZ 16000000u
/* Turns of a polling loop: more than the 2 ms of a slow crystal (DS8626, HSE oscillator) at HSI
 * speed. */
#define WAIT_TURNS 60000u
#define COARSE_SHIFT 16u /* one TIM5 count is 2^16 core cycles, or instructions in QEMU */
#define MILLIS_SCALE(hz) ((uint32_t)(((uint64_t)1u << (24u + COARSE_SHIFT)) / ((hz) / 1000u)))

static ep_rx_ring rx;
static volatile bool held; /* the receive interrupt is masked: the ring was full */
static ep_ticks_account account;
static uint32_t uart_base = EP_UART_BASE;
static uint32_t core_hz = HSI_HZ;
static uint32_t uart_clock_hz = HSI_HZ;
static uint32_t millis_scale; /* milliseconds in one TIM5 count, times 2^24 */
static bool emulated;
static bool has_dwt;

static bool wait_for(volatile uint32_t *reg, uint32_t mask, uint32_t value) {
    uint32_t turns;

    for (turns = 0u; turns < WAIT_TURNS; turns++) {
        if ((*reg & mask) == value) {
            return true;
        }
    }
    return false;
}

/* Full speed from the PLL; stays on the 16 MHz HSI when the PLL does not lock. */
static void start_clock(void) {
    uint32_t source = 0u;
    uint32_t divider = HSI_HZ / 1000000u;

    RCC_APB1ENR |= 1u << 28; /* PWR */
    PWR_CR |= 1u << 14;      /* voltage scale 1, needed above 144 MHz (RM0090 chapter 5, PWR_CR) */
    RCC_CR |= RCC_CR_HSEON;
    if (wait_for(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY)) {
        source = 1u << 22;
        divider = EP_HSE_HZ / 1000000u;
    }
    /* VCO input 1 MHz, VCO = 2 * core, P = 2, Q = 7 for 48 MHz (RM0090 chapter 7). */
    RCC_PLLCFGR = source | divider | ((EP_CLOCK_HZ / 500000u) << 6) | (7u << 24);
    RCC_CR |= RCC_CR_PLLON;
    if (!wait_for(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY)) {
        return;
    }
    /* 5 wait states up to 168 MHz at 2.7 to 3.6 V; prefetch and both caches on (RM0090 chapter
     * 3).
     */
    FLASH_ACR = 5u | (1u << 8) | (1u << 9) | (1u << 10);
    if (!wait_for(&FLASH_ACR, 7u, 5u)) {
        return;
    }
    RCC_CFGR = (5u << 10) | (4u << 13) | 2u; /* APB1 / 4, APB2 / 2, system clock = PLL */
    if (wait_for(&RCC_CFGR, 3u << 2, 2u << 2)) {
        core_hz = EP_CLOCK_HZ;
        uart_clock_hz = EP_CLOCK_HZ / 2u;
    }
}

/* Alternate function, fast, pulled up (RM0090 chapter 8). */
static void connect_pin(uint32_t pin) {
    const uint32_t pair = pin * 2u;
    const uint32_t nibble = (pin % 8u) * 4u;

    GPIO_AFR(pin) = (GPIO_AFR(pin) & ~(0xFu << nibble)) | (EP_HW_UART_AF << nibble);
    GPIO_OSPEEDR |= 3u << pair;
    GPIO_PUPDR = (GPIO_PUPDR & ~(3u << pair)) | (1u << pair);
    GPIO_MODER = (GPIO_MODER & ~(3u << pair)) | (2u << pair);
}

static uint32_t uart_irq(void) {
    return emulated ? EP_UART_IRQ : EP_HW_UART_IRQ;
}

static void start_uart(void) {
    if (!emulated) {
        uart_base = EP_HW_UART_BASE;
        RCC_AHB1ENR |= 1u << EP_HW_UART_GPIO_BIT;
        RCC_APB2ENR |= 1u << EP_HW_UART_RCC_BIT;
        connect_pin(EP_HW_UART_TX_PIN);
        connect_pin(EP_HW_UART_RX_PIN);
    }
    ep_port_set_baud(EP_UART_BAUD);
    USART_CR1 = CR1_UE | CR1_TE | CR1_RE | CR1_RXNEIE;
    ep_nvic_enable(uart_irq());
}

static void start_timer(uint32_t base, uint32_t prescaler) {
    TIM_PSC(base) = prescaler;
    TIM_ARR(base) = 0xFFFFFFFFu;
    TIM_EGR(base) = 1u; /* loads both */
    TIM_CR1(base) = 1u;
}

static void start_counter(void) {
    RCC_APB1ENR |= (1u << 0) | (1u << 3); /* TIM2, TIM5 */
    has_dwt = ep_dwt_start();
    /* At full speed the timers run at half the core clock (RM0090 chapter 7, APB1 prescaler 4); on
     * HSI at the core's. */
    if (emulated || core_hz == HSI_HZ) {
        start_timer(TIM5_BASE, (1u << COARSE_SHIFT) - 1u);
    } else {
        start_timer(TIM5_BASE, (1u << (COARSE_SHIFT - 1u)) - 1u);
    }
    if (emulated) {
        millis_scale = MILLIS_SCALE(1000000000u);
    } else {
        millis_scale = core_hz == HSI_HZ ? MILLIS_SCALE(HSI_HZ) : MILLIS_SCALE(EP_CLOCK_HZ);
    }
    start_timer(TIM2_BASE, 0u);
    if (!has_dwt) {
        ep_ticks_calibrate(&account, ep_port_ticks);
    }
}

void ep_port_init(void) {
    emulated = (RCC_CR & RCC_CR_HSIRDY) == 0u; /* out of reset every chip runs from HSI */
    if (!emulated) {
        start_clock();
    }
    start_uart();
    start_counter();
}

void ep_port_uart_irq(void) {
    const uint32_t status = USART_SR;

    if ((status & SR_RXNE) != 0u && ep_rx_full(&rx)) {
        /* Leave the byte in the UART until there is room: an emulator then holds the sender back.
         * The NVIC's mask, because QEMU's USART keeps its line up until the byte is read. */
        ep_nvic_disable(uart_irq());
        held = true;
        return;
    }
    if ((status & (SR_RXNE | SR_ORE)) != 0u) {
        const uint8_t byte = (uint8_t)USART_DR; /* also clears ORE */

        if ((status & SR_RXNE) != 0u) {
            ep_rx_put(&rx, byte);
        }
        if ((status & SR_ORE) != 0u) {
            rx.lost = rx.lost + 1u;
        }
    }
}

int ep_port_getc(void) {
    const int byte = ep_rx_get(&rx);

    if (byte >= 0 && held) {
        held = false;
        ep_nvic_enable(uart_irq());
    }
    return byte;
}

uint32_t ep_port_rx_lost(void) {
    return rx.lost;
}

void ep_port_write(const void *data, size_t bytes) {
    const uint8_t *from = (const uint8_t *)data;
    size_t i;

    for (i = 0u; i < bytes; i++) {
        while ((USART_SR & SR_TXE) == 0u) {
        }
        USART_DR = from[i];
    }
}

void ep_port_fault_putc(char c) {
    (void)wait_for(&USART_SR, SR_TXE, SR_TXE);
    USART_DR = (uint8_t)c;
}

void ep_port_flush(void) {
    (void)wait_for(&USART_SR, SR_TC, SR_TC);
}

uint32_t ep_port_max_baud(void) {
    return emulated ? 0u : EP_UART_MAX_BAUD;
}

void ep_port_set_baud(uint32_t baud) {
    if (baud == 0u || baud > EP_UART_MAX_BAUD) {
        return;
    }
    USART_BRR = (uart_clock_hz + baud / 2u) / baud; /* oversampling by 16 (RM0090 chapter 30) */
}

uint64_t ep_port_ticks(void) {
    const uint64_t approx = (uint64_t)TIM_CNT(TIM5_BASE) << COARSE_SHIFT;

    if (has_dwt) {
        return ep_extend(approx, EP_DWT_CYCCNT, 32u);
    }
    return ep_ticks_without_cost(&account, ep_extend(approx, TIM_CNT(TIM2_BASE), 32u));
}

uint32_t ep_port_millis(void) {
    return (uint32_t)(((uint64_t)TIM_CNT(TIM5_BASE) * millis_scale) >> 24);
}

uint32_t ep_port_ticks_hz(void) {
    return has_dwt ? core_hz : 1000000000u;
}

ep_ticks_kind ep_port_ticks_kind(void) {
    return has_dwt ? EP_TICKS_CYCLES : EP_TICKS_INSTRUCTIONS;
}

void ep_port_idle(void) {
    ep_rx_wait(&rx);
}
