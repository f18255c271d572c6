/* Vector table, reset and fault handling of every Cortex-M. */
#include "ep_cortexm.h"
#include "ep_fault_text.h"

#include "ep_port.h"

/* Addresses that linker.ld defines. */
extern uint32_t ep_ld_stack_low[];
extern uint32_t ep_ld_stack_high[];
extern const uint32_t ep_ld_data_load[];
extern uint32_t ep_ld_data_start[];
extern uint32_t ep_ld_data_end[];
extern uint32_t ep_ld_bss_start[];
extern uint32_t ep_ld_bss_end[];
extern void (*const ep_ld_init_start[])(void);
extern void (*const ep_ld_init_end[])(void);

void ep_reset_handler(void);
void ep_fault_handler(void);
__attribute__((noreturn, used)) void ep_start(void);
__attribute__((noreturn, used)) void ep_fault_report(const uint32_t *frame);

/* A fault, unless the port counts the rounds of SysTick. */
void ep_port_systick_irq(void) __attribute__((weak, alias("ep_fault_handler")));

typedef void (*ep_vector)(void);

/* A board may have another UART than the emulator of it. */
#if defined(EP_HW_UART_IRQ) && EP_HW_UART_IRQ > EP_UART_IRQ
#define EP_IRQ_SLOTS (EP_HW_UART_IRQ + 1)
#else
#define EP_IRQ_SLOTS (EP_UART_IRQ + 1)
#endif

typedef struct {
    uint32_t *initial_sp;
    ep_vector exceptions[15];
    ep_vector irqs[EP_IRQ_SLOTS];
} ep_vector_table;

/* Only a UART's and SysTick's interrupts are ever enabled; exceptions 1 to 15 are numbered as in the
 * architecture manuals. */
__attribute__((section(".ep_vectors"), used)) const ep_vector_table ep_vectors = {
    ep_ld_stack_high,
    {
        ep_reset_handler,                   /* 1 */
        ep_fault_handler,                   /* 2 NMI */
        ep_fault_handler,                   /* 3 HardFault */
        ep_fault_handler,                   /* 4 MemManage */
        ep_fault_handler,                   /* 5 BusFault */
        ep_fault_handler,                   /* 6 UsageFault */
        ep_fault_handler,                   /* 7 SecureFault */
        NULL, NULL, NULL, ep_fault_handler, /* 11 SVCall */
        ep_fault_handler,                   /* 12 DebugMonitor */
        NULL, ep_fault_handler,             /* 14 PendSV */
        ep_port_systick_irq,                /* 15 SysTick */
    },
    {
        [EP_UART_IRQ] = ep_port_uart_irq,
#ifdef EP_HW_UART_IRQ
        [EP_HW_UART_IRQ] = ep_port_uart_irq,
#endif
    },
};

/* In assembler, because the FPU or MVE must be on before the compiler may use it, and because a
 * debugger or a boot loader may enter here with another stack. */
__attribute__((naked, noreturn)) void ep_reset_handler(void) {
    __asm__ volatile("ldr r0, =ep_ld_stack_high\n\t"
                     "msr msp, r0\n\t"
#if !EP_CORTEXM_BASELINE
                     "ldr r0, =0xE000ED88\n\t" /* CPACR: full access to CP10 and CP11 */
                     "ldr r1, [r0]\n\t"
                     "orr r1, r1, #0xF00000\n\t"
                     "str r1, [r0]\n\t"
                     "dsb\n\t"
                     "isb\n\t"
#endif
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
                     "ldr r0, =ep_ld_stack_low\n\t"
                     "msr msplim, r0\n\t"
#endif
                     "ldr r0, =ep_start\n\t"
                     "bx r0\n\t"
                     ".ltorg");
}

#ifdef EP_BEHIND_LOADER
/* Whatever a boot loader left enabled would come to this table, which has no handler for it. */
static void silence_loader(void) {
    uint32_t i;

    EP_REG(0xE000E010u) = 0u; /* SysTick */
    for (i = 0u; i < 8u; i++) {
        EP_REG(0xE000E180u + 4u * i) = 0xFFFFFFFFu; /* NVIC_ICER */
        EP_REG(0xE000E280u + 4u * i) = 0xFFFFFFFFu; /* NVIC_ICPR */
    }
}
#endif

void ep_start(void) {
    const uint32_t *from = ep_ld_data_load;
    uint32_t *to;
    void (*const *init)(void);

    for (to = ep_ld_data_start; to < ep_ld_data_end; to++) {
        *to = *from++;
    }
    for (to = ep_ld_bss_start; to < ep_ld_bss_end; to++) {
        *to = 0u;
    }
#if !defined(__ARM_ARCH_6M__)
    EP_SCB_VTOR = (uint32_t)(uintptr_t)&ep_vectors;
#endif
#ifdef EP_BEHIND_LOADER
    silence_loader();
#endif
    /* C++ constructors of a wrapped runtime; edgepack's own code has none. */
    for (init = ep_ld_init_start; init < ep_ld_init_end; init++) {
        (*init)();
    }
    ep_irq_enable();
    (void)ep_main();
    ep_port_reset();
    for (;;) {
    }
}

/* Takes the exception frame, then starts over on an empty stack: the old one may be what
 * overflowed. */
__attribute__((naked)) void ep_fault_handler(void) {
    __asm__ volatile("cpsid i\n\t"
                     "mrs r0, msp\n\t"
                     "ldr r1, =ep_ld_stack_high\n\t"
                     "msr msp, r1\n\t"
                     "ldr r1, =ep_fault_report\n\t"
                     "bx r1\n\t"
                     ".ltorg");
}

void ep_fault_report(const uint32_t *frame) {
    const uintptr_t at = (uintptr_t)frame;
    uint32_t cause;
    uint32_t lr = 0u;
    uint32_t pc = 0u;

    /* The frame holds r0-r3, r12, lr, pc, xPSR; it is readable only where the stack did not
     * overflow. */
    if (at >= (uintptr_t)ep_ld_stack_low && at + 32u <= (uintptr_t)ep_ld_stack_high) {
        lr = frame[5];
        pc = frame[6];
    }
#if EP_CORTEXM_BASELINE
    __asm__ volatile("mrs %0, ipsr" : "=r"(cause));
#else
    cause = EP_SCB_CFSR;
#endif
    ep_fault_send(pc, lr, cause);
    ep_port_flush();
    ep_port_reset();
    for (;;) {
    }
}

void ep_port_stack_bounds(uint8_t **low, uint8_t **high) {
    *low = (uint8_t *)ep_ld_stack_low;
    *high = (uint8_t *)ep_ld_stack_high;
}

uint8_t *ep_port_stack_pointer(void) {
    uint8_t *sp;

    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return sp;
}

#ifndef EP_PORT_OWN_RESET /* a chip on which SYSRESETREQ leaves too much as it was */
void ep_port_reset(void) {
    __asm__ volatile("dsb" ::: "memory");
    EP_SCB_AIRCR = 0x05FA0004u; /* key and SYSRESETREQ */
    for (;;) {
        __asm__ volatile("dsb" ::: "memory");
    }
}
#endif
