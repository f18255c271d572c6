/* Reset and trap entry of a RISC-V machine-mode port: RISC-V Privileged Architecture 20211203,
 * chapter 3. */
    .section .ep_vectors, "ax"
    .globl ep_reset_handler
    .type ep_reset_handler, @function
ep_reset_handler:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, ep_ld_stack_high
    la t0, ep_trap_handler
    csrw mtvec, t0
    csrci mstatus, 8 /* no interrupts; a restart may come from code that takes them */
    csrw mie, zero
    la t0, ep_ld_data_load
    la t1, ep_ld_data_start
    la t2, ep_ld_data_end
1:  bgeu t1, t2, 2f
    lw t3, 0(t0)
    sw t3, 0(t1)
    addi t0, t0, 4
    addi t1, t1, 4
    j 1b
2:  la t1, ep_ld_bss_start
    la t2, ep_ld_bss_end
3:  bgeu t1, t2, 4f
    sw zero, 0(t1)
    addi t1, t1, 4
    j 3b
4:  la s0, ep_ld_init_start /* C++ constructors of a wrapped runtime */
    la s1, ep_ld_init_end
7:  bgeu s0, s1, 8f
    lw t0, 0(s0)
    jalr t0
    addi s0, s0, 4
    j 7b
8:  call ep_main
    call ep_port_reset
5:  j 5b
    .size ep_reset_handler, . - ep_reset_handler

/* A fault, unless the port takes interrupts (EP_RISCV_TAKES_IRQ); elsewhere they only end a WFI.
 * The old stack may be what broke. */
    .balign 64
    .type ep_trap_handler, @function
ep_trap_handler:
#ifdef EP_RISCV_TAKES_IRQ
    csrw mscratch, t0
    csrr t0, mcause
    bltz t0, 9f
#endif
    csrr a0, mepc
    mv a1, ra
    csrr a2, mcause
    la sp, ep_ld_stack_high
    call ep_fault_report
6:  j 6b
#ifdef EP_RISCV_TAKES_IRQ
9:  csrr t0, mscratch
    addi sp, sp, -64
    sw ra, 0(sp)
    sw t0, 4(sp)
    sw t1, 8(sp)
    sw t2, 12(sp)
    sw t3, 16(sp)
    sw t4, 20(sp)
    sw t5, 24(sp)
    sw t6, 28(sp)
    sw a0, 32(sp)
    sw a1, 36(sp)
    sw a2, 40(sp)
    sw a3, 44(sp)
    sw a4, 48(sp)
    sw a5, 52(sp)
    sw a6, 56(sp)
    sw a7, 60(sp)
    call ep_port_uart_irq
    lw ra, 0(sp)
    lw t0, 4(sp)
    lw t1, 8(sp)
    lw t2, 12(sp)
    lw t3, 16(sp)
    lw t4, 20(sp)
    lw t5, 24(sp)
    lw t6, 28(sp)
    lw a0, 32(sp)
    lw a1, 36(sp)
    lw a2, 40(sp)
    lw a3, 44(sp)
    lw a4, 48(sp)
    lw a5, 52(sp)
    lw a6, 56(sp)
    lw a7, 60(sp)
    addi sp, sp, 64
    mret
#endif
    .size ep_trap_handler, . - ep_trap_handler
