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

/* Interrupts stay off (they only end a WFI), so every trap is a fault; the old stack may be
 * what broke. */
    .balign 4
    .type ep_trap_handler, @function
ep_trap_handler:
    csrr a0, mepc
    mv a1, ra
    csrr a2, mcause
    la sp, ep_ld_stack_high
    call ep_fault_report
6:  j 6b
    .size ep_trap_handler, . - ep_trap_handler
