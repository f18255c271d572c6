/* The platform-level interrupt controller, context 0 (hart 0, machine mode): RISC-V PLIC
 * specification 1.0.0; machine-mode CSRs of the RISC-V Privileged Architecture 20211203. */
#ifndef EP_PLIC_H
#define EP_PLIC_H

#include <stdint.h>

#define EP_REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define EP_PLIC_PRIORITY(irq) EP_REG(EP_PLIC_BASE + 4u * (irq))
#define EP_PLIC_ENABLE(irq) EP_REG(EP_PLIC_BASE + 0x2000u + 4u * ((irq) / 32u))
#define EP_PLIC_THRESHOLD EP_REG(EP_PLIC_BASE + 0x200000u)
#define EP_PLIC_CLAIM EP_REG(EP_PLIC_BASE + 0x200004u)
#define EP_MIE_MEIE (1u << 11)

/* Routes one interrupt to mie.MEIE; it is taken while mstatus.MIE is 1, and ends a WFI anyhow. */
static inline void ep_plic_enable(uint32_t irq) {
    EP_PLIC_PRIORITY(irq) = 1u;
    EP_PLIC_ENABLE(irq) = (uint32_t)1u << (irq % 32u);
    EP_PLIC_THRESHOLD = 0u;
    EP_PLIC_CLAIM = irq; /* one that a restart in the middle of its handler left claimed */
    __asm__ volatile("csrw mie, %0" ::"r"(EP_MIE_MEIE));
}

/* The interrupt to handle, or 0. */
static inline uint32_t ep_plic_claim(void) {
    return EP_PLIC_CLAIM;
}

static inline void ep_plic_complete(uint32_t irq) {
    if (irq != 0u) {
        EP_PLIC_CLAIM = irq;
    }
}

#endif
