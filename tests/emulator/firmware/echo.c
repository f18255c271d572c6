/* A tiny firmware that exercises every promise of ep_port.h; tests/emulator/test_ports.py talks to
 * it.
 *
 * Commands, one byte each: 'i' prints port facts; 't' counts a loop of known length 50 times with
 * growing gaps in between; 'e' echoes the next 256 bytes after a pause; 's' sums 16384 bytes; 'p' sums 8192 slowly; 'm'
 * watches the counter while bytes arrive; 'w' counts 400 million turns of that loop; 'r' resets; 'f' faults; 'd' checks .data, .bss and memcpy.
 */
#include <string.h>

#include "ep_port.h"

static void put(const char *text) {
    ep_port_write(text, strlen(text));
}

static void put_u64(uint64_t value) {
    char text[24];
    char *at = text + sizeof text;

    *--at = '\0';
    do {
        *--at = (char)('0' + (int)(value % 10u));
        value /= 10u;
    } while (value != 0u);
    put(at);
}

static uint8_t get(void) {
    int byte;

    while ((byte = ep_port_getc()) < 0) {
        ep_port_idle();
    }
    return (uint8_t)byte;
}

/* `turns` times two instructions. */
static void count_down(uint32_t turns) {
#if defined(__arm__)
    __asm__ volatile(".syntax unified\n1:\n\tsubs %0, %0, #1\n\tbne 1b" : "+l"(turns) : : "cc");
#elif defined(__riscv)
    __asm__ volatile("1:\n\taddi %0, %0, -1\n\tbnez %0, 1b" : "+r"(turns));
#else
    while (turns > 0u) {
        __asm__ volatile("" : "+r"(turns));
        turns--;
    }
#endif
}

static volatile uint32_t initialised = 0x12345678u;
static volatile uint32_t zeroed[4];
static uint8_t arena[64] __attribute__((section(".bss.ep_arena"), aligned(16)));
static uint8_t block[256];

static void facts(void) {
    uint8_t *low;
    uint8_t *high;
    uint8_t *sp = ep_port_stack_pointer();

    ep_port_stack_bounds(&low, &high);
    put("kind ");
    put_u64((uint64_t)ep_port_ticks_kind());
    put(" hz ");
    put_u64(ep_port_ticks_hz());
    put(" baud ");
    put_u64(ep_port_max_baud());
    put(" stack ");
    put_u64((uint64_t)(high - low));
    put(" in ");
    put_u64((uint64_t)(sp >= low && sp < high));
    put(" lost ");
    put_u64(ep_port_rx_lost());
    put("\r\n");
}

static void times(void) {
    uint32_t i;

    for (i = 0u; i < 50u; i++) {
        uint64_t before;
        uint64_t between;
        uint64_t after;

        count_down(1u + i * 7u);
        before = ep_port_ticks();
        between = ep_port_ticks();
        count_down(1000u + i);
        after = ep_port_ticks();
        put_u64(between - before);
        put(" ");
        put_u64(after - between);
        put("\r\n");
    }
}

/* Reads the counter while 4096 bytes arrive; says how often it went backwards or jumped by a second.
 */
static void monotonic(void) {
    uint64_t last = ep_port_ticks();
    const uint64_t second = ep_port_ticks_hz();
    uint32_t wrong = 0u;
    uint32_t left = 4096u;

    while (left > 0u) {
        const uint64_t now = ep_port_ticks();

        if (now < last || now - last > second) {
            wrong++;
        }
        last = now;
        if (ep_port_getc() >= 0) {
            left--;
        }
    }
    put_u64(wrong);
    put("\r\n");
}

int ep_main(void) {
    uint64_t before;
    uint32_t i;
    uint32_t sum;

    ep_port_init();
    put("echo-ready\r\n");
    for (;;) {
        switch (get()) {
        case 'i':
            facts();
            break;
        case 't':
            times();
            break;
        case 'e':
            for (i = 0u; i < sizeof block; i++) {
                block[i] = get();
            }
            ep_port_write(block, sizeof block);
            break;
        case 's':
            sum = 0u;
            for (i = 0u; i < 16384u; i++) {
                sum = sum * 31u + get();
            }
            put_u64(sum);
            put("\r\n");
            break;
        case 'p': /* slower than the bytes come: the buffer is full most of the time */
            sum = 0u;
            count_down(3000000u);
            for (i = 0u; i < 8192u; i++) {
                count_down(1u + (i & 0xFFFu));
                sum = sum * 31u + get();
            }
            put_u64(sum);
            put("\r\n");
            break;
        case 'm':
            monotonic();
            break;
        case 'w':
            before = ep_port_ticks();
            count_down(400000000u);
            put_u64(ep_port_ticks() - before);
            put("\r\n");
            break;
        case 'd':
            memcpy(arena, block, sizeof arena);
            put(initialised == 0x12345678u && zeroed[0] == 0u && zeroed[3] == 0u ? "good\r\n"
                                                                                 : "bad\r\n");
            initialised = 0u;
            zeroed[3] = 1u;
            break;
        case 'r':
            ep_port_reset();
            break;
        case 'f':
#if defined(__arm__) || defined(__riscv)
            ((void (*)(void))(uintptr_t)0xFFFFFFF0u)();
#endif
            break;
        default:
            put("?\r\n");
            break;
        }
    }
}
