/*
 * ESP32-S3 and ESP32-C3 on ESP-IDF 5.3 or newer: IDF starts the chip, its UART driver receives, the
 * cycle counter of the core is extended by esp_timer.
 *
 * ESP-IDF Programming Guide, API Reference: UART, esp_timer (High Resolution Timer), Misc System
 * API (esp_restart), FreeRTOS; headers driver/uart.h, esp_cpu.h, esp_timer.h. The generated
 * sdkconfig.defaults sets the core clock, takes the console off the UART and stops the task watchdog.
 *
 * Three promises of ep_port.h are IDF's to keep: a CPU fault goes to IDF's panic handler, which
 * restarts in silence; the tick interrupt runs between two readings of the counter; the stack is
 * that of IDF's main task.
 */
#include "ep_port.h"

#include "driver/uart.h"
#include "ep_extend.h"
#include "esp_cpu.h"
#include "esp_system.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/idf_additions.h"
#include "freertos/queue.h"
#include "freertos/task.h"
#include "sdkconfig.h"

#define UART UART_NUM_0
#define EVENTS 32
#define CYCLES_PER_US (EP_CLOCK_HZ / 1000000u)
#define FLUSH_MS 1000u
/* FreeRTOS keeps a pattern at the low end of a stack and looks at it at every task switch. */
#define STACK_GUARD 64u

#if CONFIG_ESP_DEFAULT_CPU_FREQ_MHZ * 1000000u != EP_CLOCK_HZ
#error "sdkconfig sets another core clock than the target's record: remove it and build again"
#endif

void app_main(void);

static QueueHandle_t events;
static uint8_t taken[128]; /* out of the driver's buffer, not yet out of ep_port_getc() */
static uint32_t taken_next;
static uint32_t taken_end;
static uint32_t lost;
static int64_t started_us;
static uint32_t started_cycles;

void app_main(void) {
    (void)ep_main();
    ep_port_reset();
}

void ep_port_init(void) {
    const uart_config_t config = {
        .baud_rate = (int)EP_UART_BAUD,
        .data_bits = UART_DATA_8_BITS,
        .parity = UART_PARITY_DISABLE,
        .stop_bits = UART_STOP_BITS_1,
        .flow_ctrl = UART_HW_FLOWCTRL_DISABLE,
        .source_clk = UART_SCLK_DEFAULT,
    };

    ESP_ERROR_CHECK(uart_driver_install(UART, EP_PORT_RX_BYTES, 0, EVENTS, &events, 0));
    ESP_ERROR_CHECK(uart_param_config(UART, &config));
    ESP_ERROR_CHECK(
        uart_set_pin(UART, EP_UART_TX_PIN, EP_UART_RX_PIN, UART_PIN_NO_CHANGE, UART_PIN_NO_CHANGE));
    /* Every byte at once: a request ends anywhere. */
    ESP_ERROR_CHECK(uart_set_rx_full_threshold(UART, 16));
    ESP_ERROR_CHECK(uart_set_rx_timeout(UART, 1));
    started_cycles = esp_cpu_get_cycle_count();
    started_us = esp_timer_get_time();
}

static void read_events(void) {
    uart_event_t event;

    while (xQueueReceive(events, &event, 0) == pdTRUE) {
        if (event.type == UART_FIFO_OVF || event.type == UART_BUFFER_FULL) {
            lost++;
        }
    }
}

int ep_port_getc(void) {
    if (taken_next == taken_end) {
        const int got = uart_read_bytes(UART, taken, sizeof taken, 0);

        read_events();
        if (got <= 0) {
            return -1;
        }
        taken_next = 0u;
        taken_end = (uint32_t)got;
    }
    return (int)taken[taken_next++];
}

uint32_t ep_port_rx_lost(void) {
    read_events();
    return lost;
}

void ep_port_write(const void *data, size_t bytes) {
    (void)uart_write_bytes(UART, data, bytes); /* without a buffer of its own it waits */
}

void ep_port_flush(void) {
    (void)uart_wait_tx_done(UART, pdMS_TO_TICKS(FLUSH_MS));
}

uint32_t ep_port_max_baud(void) {
    return EP_UART_MAX_BAUD;
}

void ep_port_set_baud(uint32_t baud) {
    if (baud == 0u || baud > EP_UART_MAX_BAUD) {
        return;
    }
    (void)uart_set_baudrate(UART, baud);
}

uint64_t ep_port_ticks(void) {
    const uint64_t us = (uint64_t)(esp_timer_get_time() - started_us);

    return ep_extend(us * CYCLES_PER_US, esp_cpu_get_cycle_count() - started_cycles, 32u);
}

uint32_t ep_port_millis(void) {
    return (uint32_t)((esp_timer_get_time() - started_us) / 1000);
}

uint32_t ep_port_ticks_hz(void) {
    return EP_CLOCK_HZ;
}

ep_ticks_kind ep_port_ticks_kind(void) {
    return EP_TICKS_CYCLES;
}

void ep_port_stack_bounds(uint8_t **low, uint8_t **high) {
    uint8_t *const start = pxTaskGetStackStart(NULL);

    *low = start + STACK_GUARD;
    *high = start + CONFIG_ESP_MAIN_TASK_STACK_SIZE;
}

uint8_t *ep_port_stack_pointer(void) {
    return (uint8_t *)esp_cpu_get_sp();
}

void ep_port_reset(void) {
    ep_port_flush();
    esp_restart();
}

void ep_port_idle(void) {
    /* Returns at once: a task that sleeps wakes with the next tick, 10 ms later. */
}
