/*
 * The second stage of the RP2040's boot: the ROM copies these 256 bytes into RAM and runs them if
 * the last four are the right checksum, which edgepack writes after linking. It maps the flash
 * as fast as it goes, then enters the image behind it.
 *
 * RP2040 datasheet: 2.8.1.3 (boot2), 4.10 SSI, 2.19.6.4 QSPI pads. Flash: Winbond W25Q16JV data sheet, 7.1 status
 * registers, 8.2 instructions 35h, 50h, 31h, EBh, 03h.
 *
 * Quad reads need the QE bit of the flash's status register 2. Where it is not set and cannot be set, the mapping uses
 * the plain read 03h, which every flash knows, at a third of the speed.
 */
    .syntax unified
    .cpu cortex-m0plus
    .thumb

    .equ SSI, 0x18000000
    .equ CTRLR0, 0x00
    .equ CTRLR1, 0x04
    .equ SSIENR, 0x08
    .equ BAUDR, 0x14
    .equ SR, 0x28
    .equ DR0, 0x60
    .equ SAMPLE_DELAY, 0xF0
    .equ SPI_CTRLR0, 0xF4
    .equ SR_BUSY, 1
    .equ SR_TFE, 4
    .equ PADS_QSPI, 0x40020000
    .equ PADS_QSPI_CLEAR, 0x40023000

    .equ READ_STATUS_2, 0x35
    .equ WRITE_STATUS_2, 0x31
    .equ VOLATILE_WRITE_ENABLE, 0x50
    .equ READ_QUAD, 0xEB
    .equ READ_PLAIN, 0x03
    .equ QUAD_ENABLE, 2
    .equ STAY_IN_QUAD, 0xA0       /* mode bits after which the next read needs no command */

    .equ BYTES, 7 << 16           /* frames of 8 bits, sent and received */
    .equ READS, (31 << 16) | (3 << 8)  /* words, received after command and address */
    .equ QUAD, 2 << 21
    /* XIP_CMD 24, WAIT_CYCLES 11, INST_L 8 (2: 8 bits), ADDR_L 2 (in 4 bits), TRANS_TYPE 0 */
    .equ PLAIN_XIP, (READ_PLAIN << 24) | (2 << 8) | (6 << 2)
    .equ QUAD_FIRST, (4 << 11) | (2 << 8) | (8 << 2) | 1
    .equ QUAD_XIP, (STAY_IN_QUAD << 24) | (4 << 11) | (8 << 2) | 2

    .section .ep_boot, "ax"
    .globl ep_boot2
    .type ep_boot2, %function
    .thumb_func
ep_boot2:
    /* Pads: clock 8 mA and fast, data without Schmitt trigger (less delay). */
    ldr r0, =PADS_QSPI
    movs r1, #0x21
    str r1, [r0, #4]
    ldr r0, =PADS_QSPI_CLEAR
    movs r1, #2
    str r1, [r0, #8]
    str r1, [r0, #12]
    str r1, [r0, #16]
    str r1, [r0, #20]

    ldr r4, =SSI
    movs r5, #0
    movs r6, #1
    str r5, [r4, #SSIENR]
    movs r0, #2                   /* half the core clock */
    str r0, [r4, #BAUDR]
    movs r0, #SAMPLE_DELAY
    str r6, [r4, r0]              /* one core cycle later */
    str r5, [r4, #CTRLR1]
    ldr r0, =BYTES
    str r0, [r4, #CTRLR0]
    str r6, [r4, #SSIENR]

    movs r7, #QUAD_ENABLE
    bl read_status_2
    tst r0, r7
    bne quad
    orrs r0, r7
    mov r2, r0
    movs r0, #VOLATILE_WRITE_ENABLE
    bl send_one
    movs r0, #WRITE_STATUS_2
    mov r1, r2
    bl send_two
    bl read_status_2
    tst r0, r7
    bne quad

    ldr r0, =READS
    ldr r1, =PLAIN_XIP
    b map

quad:
    /* One quad read whose result nobody needs: its mode bits put the flash into a state where it
     * expects addresses alone. */
    str r5, [r4, #SSIENR]
    ldr r0, =(READS | QUAD)
    str r0, [r4, #CTRLR0]
    ldr r1, =QUAD_FIRST
    ldr r2, =(SSI + SPI_CTRLR0)
    str r1, [r2]
    str r6, [r4, #SSIENR]
    movs r1, #READ_QUAD
    str r1, [r4, #DR0]
    movs r1, #STAY_IN_QUAD        /* address 0 above the mode bits */
    str r1, [r4, #DR0]
    bl wait_idle
    ldr r1, =QUAD_XIP

map:                              /* r0: CTRLR0, r1: SPI_CTRLR0 */
    str r5, [r4, #SSIENR]
    str r0, [r4, #CTRLR0]
    ldr r2, =(SSI + SPI_CTRLR0)
    str r1, [r2]
    str r6, [r4, #SSIENR]

    ldr r0, =ep_vectors
    ldr r1, =0xE000ED08           /* VTOR */
    str r0, [r1]
    ldmia r0!, {r1, r2}
    msr msp, r1
    bx r2

/* Returns status register 2 in r0. */
read_status_2:
    movs r0, #READ_STATUS_2
    movs r1, #0
    /* falls through */

/* Sends r0 and r1, returns in r0 what came with r1. */
send_two:
    push {lr}
    str r0, [r4, #DR0]
    str r1, [r4, #DR0]
    bl wait_idle
    ldr r0, [r4, #DR0]
    ldr r0, [r4, #DR0]
    pop {pc}

/* Sends r0. */
send_one:
    push {lr}
    str r0, [r4, #DR0]
    bl wait_idle
    ldr r0, [r4, #DR0]
    pop {pc}

/* Until all is sent and the chip select is up again; uses r3. */
wait_idle:
    ldr r3, [r4, #SR]
    lsrs r3, r3, #1               /* carry: busy */
    bcs wait_idle
    lsrs r3, r3, #2               /* carry: transmit FIFO empty */
    bcc wait_idle
    bx lr

    .ltorg
    .org ep_boot2 + 252
    .word 0                       /* checksum */
    .size ep_boot2, . - ep_boot2
