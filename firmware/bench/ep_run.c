#include "ep_run.h"

#include "ep_crc32.h"
#include "ep_memory.h"
#include "ep_port.h"

ep_run_state ep_run;

static struct {
    uint8_t *at;
    uint32_t left;
    uint32_t index;
} ep_cursor;

static const ep_bench_model *const ep_model = &ep_bench_model_instance;

void ep_run_init(bool paint) {
    if (paint) {
        ep_memory_paint(ep_model->arena, ep_model->arena_bytes);
    }
    ep_run.verified = 0u;
    ep_run.result = false;
    ep_run.pending = -1;
    ep_run.ticks = 0u;
    ep_run.status = ep_model->init();
}

static uint32_t ep_sum(const uint32_t *bytes, uint32_t count) {
    uint32_t total = 0u;
    while (count-- > 0u) {
        total += *bytes++;
    }
    return total;
}

uint32_t ep_input_total(void) {
    return ep_sum(ep_model->input_bytes, ep_model->input_count);
}

uint32_t ep_output_total(void) {
    return ep_sum(ep_model->output_bytes, ep_model->output_count);
}

static void ep_cursor_set(uint32_t offset) {
    uint32_t index = 0u;
    ep_cursor.left = 0u;
    while (index < ep_model->input_count && offset >= ep_model->input_bytes[index]) {
        offset -= ep_model->input_bytes[index];
        index++;
    }
    ep_cursor.index = index;
    if (index < ep_model->input_count) {
        ep_cursor.at = (uint8_t *)ep_model->input(index) + offset;
        ep_cursor.left = ep_model->input_bytes[index] - offset;
    }
}

void ep_input_seek(uint32_t offset) {
    ep_run.result = false;
    ep_cursor_set(offset);
}

void ep_input_put(uint8_t byte) {
    while (ep_cursor.left == 0u) {
        if (ep_cursor.index + 1u >= ep_model->input_count) {
            return;
        }
        ep_cursor.index++;
        ep_cursor.at = (uint8_t *)ep_model->input(ep_cursor.index);
        ep_cursor.left = ep_model->input_bytes[ep_cursor.index];
    }
    *ep_cursor.at++ = byte;
    ep_cursor.left--;
}

uint8_t ep_input_get(uint32_t offset) {
    uint32_t index = 0u;
    while (offset >= ep_model->input_bytes[index]) {
        offset -= ep_model->input_bytes[index];
        index++;
    }
    return ((const uint8_t *)ep_model->input(index))[offset];
}

uint32_t ep_input_crc(void) {
    uint32_t state = EP_CRC32_INIT;
    uint32_t index;
    for (index = 0u; index < ep_model->input_count; index++) {
        state = ep_crc32_run(state, ep_model->input(index), ep_model->input_bytes[index]);
    }
    return ~state;
}

uint32_t ep_output_crc(void) {
    uint32_t state = EP_CRC32_INIT;
    uint32_t index;
    for (index = 0u; index < ep_model->output_count; index++) {
        state = ep_crc32_run(state, ep_model->output(index), ep_model->output_bytes[index]);
    }
    return ~state;
}

void ep_output_read(uint32_t offset, uint32_t length, void (*sink)(const void *, size_t)) {
    uint32_t index;
    for (index = 0u; index < ep_model->output_count && length > 0u; index++) {
        uint32_t bytes = ep_model->output_bytes[index];
        if (offset >= bytes) {
            offset -= bytes;
        } else {
            const uint8_t *from = (const uint8_t *)ep_model->output(index) + offset;
            uint32_t part = bytes - offset < length ? bytes - offset : length;
            sink(from, part);
            length -= part;
            offset = 0u;
        }
    }
}

static uint64_t ep_timed(ep_status (*volatile call)(void)) {
    uint64_t before = ep_port_ticks();
    ep_run.status = call();
    return ep_port_ticks() - before;
}

void ep_run_once(void) {
    ep_run.result = false;
    ep_run.verified = 0u;
    ep_port_flush(); /* a transmit interrupt inside the interval would be counted */
    ep_run.ticks = ep_timed(ep_model->invoke);
    if (ep_run.pending < 0) { /* its interrupt was counted: the reply says so */
        ep_run.pending = (int16_t)ep_port_getc();
    }
    ep_run.result = ep_run.status == EP_OK;
}

int ep_run_getc(void) {
    int byte = ep_run.pending;
    ep_run.pending = -1;
    return byte >= 0 ? byte : ep_port_getc();
}

static ep_status ep_nothing(void) {
    return EP_OK;
}

uint32_t ep_run_overhead(void) {
    uint32_t least = UINT32_MAX;
    int i;
    ep_port_flush();
    for (i = 0; i < 4; i++) { /* the least: the first fills caches, an interrupt may hit another */
        ep_status status = ep_run.status;
        uint32_t ticks = (uint32_t)ep_timed(ep_nothing);
        ep_run.status = status;
        least = ticks < least ? ticks : least;
    }
    return least;
}
