/*
 * Where things are in the RP2350. RP2350 datasheet: 2.2 address map, 7.4 PSM, 7.5 RESETS, 8.1
 * CLOCKS, 8.5 tick generators, 9 GPIO, 12.8 timers, 12.9 watchdog.
 */
#ifndef EP_RP2_CHIP_H
#define EP_RP2_CHIP_H

#define CLOCKS_BASE 0x40010000u
#define CLOCKS_RESUS_OFFSET 0x84u
#define CLOCKS_DIV_ONE (1u << 16) /* integer part of a divider, 1 */
#define CLOCKS_PERI_HAS_DIV 1
#define RESETS_BASE 0x40020000u
#define RESET_IO_BANK0 (1u << 6)
#define RESET_PADS_BANK0 (1u << 9)
#define RESET_PLL_SYS (1u << 14)
#define RESET_TIMER (1u << 23)
#define RESET_UART0 (1u << 26)
#define PSM_BASE 0x40018000u
#define PSM_ALL_BUT_OSCILLATORS 0x01FFFFF3u
#define IO_BANK0_BASE 0x40028000u
#define PADS_BANK0_BASE 0x40038000u
#define XOSC_BASE 0x40048000u
#define PLL_SYS_BASE 0x40050000u
#define TIMER_BASE 0x400B0000u
#define WATCHDOG_BASE 0x400D8000u
#define TICKS_BASE 0x40108000u
/* The tick generator of timer 0: cycles of the crystal in a microsecond, then its enable bit. */
#define TICK_START(cycles)                                                                         \
    do {                                                                                           \
        EP_REG(TICKS_BASE + 0x1Cu) = (cycles);                                                     \
        EP_REG(TICKS_BASE + 0x18u) = 1u;                                                           \
    } while (0)

#endif
