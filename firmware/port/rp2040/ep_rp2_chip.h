/*
 * Where things are in the RP2040. RP2040 datasheet: 2.2 address map, 2.13 PSM, 2.14 RESETS, 2.15
 * CLOCKS, 2.19 GPIO, 4.6 timer, 4.7 watchdog.
 */
#ifndef EP_RP2_CHIP_H
#define EP_RP2_CHIP_H

#define CLOCKS_BASE 0x40008000u
#define CLOCKS_RESUS_OFFSET 0x78u
#define CLOCKS_DIV_ONE (1u << 8) /* integer part of a divider, 1 */
#define CLOCKS_PERI_HAS_DIV 0
#define RESETS_BASE 0x4000C000u
#define RESET_IO_BANK0 (1u << 5)
#define RESET_PADS_BANK0 (1u << 8)
#define RESET_PLL_SYS (1u << 12)
#define RESET_TIMER (1u << 21)
#define RESET_UART0 (1u << 22)
#define PSM_BASE 0x40010000u
#define PSM_ALL_BUT_OSCILLATORS 0x0001FFFCu
#define IO_BANK0_BASE 0x40014000u
#define PADS_BANK0_BASE 0x4001C000u
#define XOSC_BASE 0x40024000u
#define PLL_SYS_BASE 0x40028000u
#define TIMER_BASE 0x40054000u
#define WATCHDOG_BASE 0x40058000u
/* The watchdog's divider makes the microseconds of the timer: cycles of the crystal, enable bit. */
#define TICK_START(cycles) (EP_REG(WATCHDOG_BASE + 0x2Cu) = (cycles) | (1u << 9))

#endif
