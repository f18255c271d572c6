/*
 * What the ROM of the i.MX RT1062 reads from the start of a FlexSPI NOR flash: how to talk to the flash, then where the
 * image is. i.MX RT1060 reference manual (IMXRT1060RM rev. 3) 9.6.3 (FlexSPI NOR configuration block), 9.7.1 (image
 * vector table, boot data), 27.5 (FlexSPI look-up table); flash: Winbond W25Q64JV data sheet 8.2, Fast Read Quad I/O.
 */
    .section .ep_boot, "a"
    .globl ep_boot_block

    /* Two instructions of the look-up table a word: opcode 10, lines 8 (0: one, 2: four), operand 0. */
    .equ CMD_1, 0x0400
    .equ ADDRESS_4, 0x0A00
    .equ MODE_4, 0x1E00
    .equ DUMMY_4, 0x3200
    .equ READ_4, 0x2600

ep_boot_block:
    .word 0x42464346              /* "FCFB" */
    .word 0x56010000              /* version 1.0 */
    .org ep_boot_block + 0x00C
    .byte 1                       /* sample with the clock looped back through the DQS pad */
    .byte 1, 2                    /* hold and set-up time of the chip select */
    .org ep_boot_block + 0x044
    .byte 1                       /* serial NOR */
    .byte 4                       /* on four lines */
    .byte 6                       /* 100 MHz */
    .org ep_boot_block + 0x050
    .word EP_FLASH_BYTES
    .org ep_boot_block + 0x080    /* sequence 0, read: EBh, 24 address bits, mode FFh (no continuous read), 4 dummies */
    .word CMD_1 | 0xEB | ((ADDRESS_4 | 24) << 16)
    .word MODE_4 | 0xFF | ((DUMMY_4 | 4) << 16)
    .word READ_4 | 1
    .org ep_boot_block + 0x1C0
    .word 256                     /* page */
    .word 4096                    /* sector */
    .byte 1                       /* 30 MHz for commands other than reads */
    .org ep_boot_block + 0x1D0
    .word 0x10000                 /* block */

    .org ep_boot_block + 0x1000
ep_image_vector_table:
    .word 0x402000D1              /* tag D1h, 32 bytes, version 4.0 */
    .word ep_reset_handler
    .word 0
    .word 0                       /* no device configuration data */
    .word ep_boot_data
    .word ep_image_vector_table
    .word 0                       /* not signed */
    .word 0
ep_boot_data:
    .word ep_boot_block
    .word EP_FLASH_BYTES
    .word 0                       /* no plug-in */
    .org ep_boot_block + 0x2000
    .size ep_boot_block, . - ep_boot_block
