/*
 * QEMU's RISC-V `virt` machine: NS16550A UART behind a PLIC, instret as instruction counter.
 *
 * Registers: National Semiconductor PC16550D data sheet, 8.0; RISC-V PLIC specification 1.0.0;
 * machine-mode CSRs of the RISC-V Privileged Architecture 20211203; the SiFive test finisher
 * restarts the machine.
 *
 * Reception is polled: the UART has 16 bytes of FIFO and the emulator holds the sender back, so no
 * interrupt disturbs the instruction counts. The interrupt is routed only so that WFI wakes; it is
 * never taken (mstatus.MIE is 0).
 */
#include <stdbool.h>

#include "ep_port.h"

#define REG8(address) (*(volatile uint8_t *)(uintptr_t)(address))
#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define UART_DATA REG8(EP_UART_BASE + 0u)
#define UART_IER REG8(EP_UART_BASE + 1u)
#define UART_FCR REG8(EP_UART_BASE + 2u)
#define UART_LCR REG8(EP_UART_BASE + 3u)
#define UART_LSR REG8(EP_UART_BASE + 5u)
#define PLIC_PRIORITY(irq) REG32(EP_PLIC_BASE + 4u * (irq))
#define PLIC_ENABLE(irq) REG32(EP_PLIC_BASE + 0x2000u + 4u * ((irq) / 32u))
#define PLIC_THRESHOLD REG32(EP_PLIC_BASE + 0x200000u)
#define PLIC_CLAIM REG32(EP_PLIC_BASE + 0x200004u)
#define FINISHER REG32(EP_FINISHER_BASE)
#define FINISHER_RESET 0x7777u

#define LSR_READY 0x01u
#define LSR_OVERRUN 0x02u
#define LSR_THR_EMPTY 0x20u
#define LSR_IDLE 0x40u
#define MIE_MEIE (1u << 11)
#define WAIT_TURNS 1000000u

extern uint8_t ep_ld_stack_low[];
extern uint8_t ep_ld_stack_high[];

__attribute__((noreturn)) void ep_fault_report(uint32_t pc, uint32_t ra, uint32_t cause);

static uint64_t stolen; /* instructions that ep_port_ticks itself took */
static uint32_t ticks_cost;
static uint32_t lost;

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

void ep_port_init(void) {
    uint64_t (*read)(void) = ep_port_ticks;
    uint32_t first;

    UART_LCR = 0x03u; /* 8N1; the emulated line has no baud rate */
    UART_FCR = 0x07u; /* FIFOs on and cleared */
    UART_IER = 0x01u; /* received data available */
    PLIC_PRIORITY(EP_UART_IRQ) = 1u;
    PLIC_ENABLE(EP_UART_IRQ) = 1u << (EP_UART_IRQ % 32u);
    PLIC_THRESHOLD = 0u;
    __asm__ volatile("csrw mie, %0" ::"r"(MIE_MEIE));
    stolen = 0u;
    ticks_cost = 0u;
    __asm__ volatile("" : "+r"(read)); /* a call that costs what a call from another file costs */
    first = (uint32_t)read();
    ticks_cost = (uint32_t)read() - first;
}

int ep_port_getc(void) {
    const uint8_t status = UART_LSR;

    if ((status & LSR_OVERRUN) != 0u) {
        lost++;
    }
    return (status & LSR_READY) != 0u ? (int)UART_DATA : -1;
}

uint32_t ep_port_rx_lost(void) {
    return lost;
}

static void wait_for(uint8_t mask) {
    uint32_t turns;

    for (turns = 0u; turns < WAIT_TURNS && (UART_LSR & mask) == 0u; turns++) {
    }
}

void ep_port_write(const void *data, size_t bytes) {
    const uint8_t *from = (const uint8_t *)data;
    size_t i;

    for (i = 0u; i < bytes; i++) {
        wait_for(LSR_THR_EMPTY);
        UART_DATA = from[i];
    }
}

void ep_port_flush(void) {
    wait_for(LSR_IDLE);
}

uint32_t ep_port_max_baud(void) {
    return 0u;
}

void ep_port_set_baud(uint32_t baud) {
    (void)baud;
}

uint64_t ep_port_ticks(void) {
    const uint64_t now = read_instret() - stolen;

    stolen += ticks_cost;
    return now;
}

uint32_t ep_port_millis(void) {
    return (uint32_t)(read_instret() >> 20); /* 2^20 ns */
}

uint32_t ep_port_ticks_hz(void) {
    return 1000000000u;
}

ep_ticks_kind ep_port_ticks_kind(void) {
    return EP_TICKS_INSTRUCTIONS;
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

void ep_port_reset(void) {
    FINISHER = FINISHER_RESET;
    for (;;) {
        __asm__ volatile("wfi");
    }
}

void ep_port_idle(void) {
    if ((UART_LSR & LSR_READY) == 0u) {
        __asm__ volatile("wfi" ::: "memory"); /* wakes for a pending interrupt although MIE is 0 */
    }
    /* The PLIC latches the request; claiming and completing it lets the next WFI sleep again. */
    {
        const uint32_t irq = PLIC_CLAIM;

        if (irq != 0u) {
            PLIC_CLAIM = irq;
        }
    }
}

static void put_text(const char *text) {
    while (*text != '\0') {
        ep_port_write(text++, 1u);
    }
}

static void put_hex(uint32_t value) {
    int shift;

    for (shift = 28; shift >= 0; shift -= 4) {
        const uint32_t digit = (value >> (unsigned)shift) & 0xFu;
        const char c = (char)(digit < 10u ? '0' + digit : 'A' + (digit - 10u));
        ep_port_write(&c, 1u);
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
