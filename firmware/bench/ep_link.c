#include "ep_link.h"

#include <string.h>

#include "ep_bench_model.h"
#include "ep_crc32.h"
#include "ep_frame.h"
#include "ep_memory.h"
#include "ep_port.h"
#include "ep_run.h"
#include "ep_string.h"
#include "ep_wire.h"

/* At another baud rate than the one at start: fall back when no valid request came for so long. */
#define EP_FALLBACK_SECONDS 3u

typedef enum { EP_IDLE, EP_RECEIVING, EP_COMPLETE, EP_DAMAGED } ep_link_phase;

static struct {
    ep_frame_rx rx;
    uint64_t served;       /* counter at the end of the last request */
    uint32_t result_crc;   /* CRC of the input whose result is held */
    uint16_t sequence;     /* of the last input transfer or inference */
    uint16_t layer_frames; /* LAYER frames of the last inference */
    uint8_t phase;         /* ep_link_phase */
    bool storing;          /* the frame's data goes to the input */
    bool greeted;
    bool disturbed; /* a byte came while the last inference ran */
    bool raised;    /* the baud rate differs from the one at start */
} ep_link;

/* Where the layer hook keeps its place; it lives on the stack during one inference. */
typedef struct {
    uint64_t since;
    uint64_t total;
    uint16_t dump_layer;
    uint8_t dump_output;
    uint8_t flags;
} ep_layer_walk;

static const ep_bench_model *const ep_model = &ep_bench_model_instance;

static void ep_nak(uint16_t sequence, uint8_t code, uint32_t argument) {
    ep_frame_begin(EP_REP_NAK, sequence, 5u);
    ep_frame_put_u8(code);
    ep_frame_put_u32(argument);
    ep_frame_end();
}

static void ep_empty(uint8_t type, uint16_t sequence) {
    ep_frame_begin(type, sequence, 0u);
    ep_frame_end();
}

static uint32_t ep_header_bytes(uint8_t type) {
    switch (type) {
    case EP_REQ_WRITE:
        return EP_HEADER_WRITE;
    case EP_REQ_INFER:
        return EP_HEADER_INFER;
    case EP_REQ_READ:
        return EP_HEADER_READ;
    case EP_REQ_INIT:
        return EP_HEADER_INIT;
    case EP_REQ_BAUD:
        return EP_HEADER_BAUD;
    default:
        return EP_HEADER_PLAIN;
    }
}

static bool ep_carries_input(uint8_t type) {
    return type == EP_REQ_WRITE || type == EP_REQ_INFER;
}

/* Whether the held result belongs to this very request: then nothing may touch the outputs. */
static bool ep_is_repeat(const uint8_t *header) {
    return ep_run.result && ep_get_u16(header + 1) == ep_link.sequence;
}

/* The header is here, unverified: its data may only land behind the bytes already verified. */
static void ep_open_data(const uint8_t *header) {
    uint32_t offset = ep_get_u32(header + 3);
    if (!ep_link.greeted || ep_is_repeat(header)) {
        return;
    }
    if (offset == 0u || (offset == ep_run.verified && ep_get_u16(header + 1) == ep_link.sequence)) {
        ep_input_seek(offset);
        ep_run.verified = offset;
        ep_link.storing = true;
    }
}

void ep_link_begin(uint8_t *header) {
    ep_frame_rx_begin(&ep_link.rx, header);
    ep_link.storing = false;
    ep_link.phase = EP_RECEIVING;
}

bool ep_link_feed(uint8_t byte) {
    ep_frame_rx *rx = &ep_link.rx;
    int value;
    if (byte == EP_FRAME_END) {
        ep_link.phase = ep_frame_rx_valid(rx) ? EP_COMPLETE : EP_DAMAGED;
        return false;
    }
    value = ep_frame_rx_feed(rx, byte);
    if (value >= 0 && ep_carries_input(rx->header[0])) {
        uint32_t header = ep_header_bytes(rx->header[0]);
        if (rx->count == header) {
            ep_open_data(rx->header);
        } else if (ep_link.storing) {
            ep_input_put((uint8_t)value); /* the CRC's bytes too: they land unverified or nowhere */
        }
    }
    return true;
}

static void ep_reply_info(uint16_t sequence) {
    size_t name = ep_length(ep_model->name) + 1u;
    size_t task = ep_length(ep_model->task) + 1u;
    size_t sizes = 4u * (ep_model->input_count + ep_model->output_count);
    uint32_t overhead = ep_run_overhead();
    uint32_t i;
    ep_frame_begin(EP_REP_INFO, sequence, (uint32_t)(47u + sizes + name + task));
    ep_frame_put_u8(EP_PROTOCOL_VERSION);
    ep_frame_put_u8((uint8_t)ep_port_ticks_kind());
    ep_frame_put_u8((uint8_t)ep_run.status);
    ep_frame_put_u8((uint8_t)ep_model->input_count);
    ep_frame_put_u8((uint8_t)ep_model->output_count);
    ep_frame_put_u16((uint16_t)ep_model->layer_count);
    ep_frame_put_u32(ep_port_ticks_hz());
    ep_frame_put_u32(overhead);
    ep_frame_put_u32(ep_port_max_baud());
    ep_frame_put_u32((uint32_t)ep_model->arena_bytes);
    ep_frame_put_u64(ep_port_ticks());
    ep_frame_put(ep_build_id, 16u);
    for (i = 0u; i < ep_model->input_count; i++) {
        ep_frame_put_u32(ep_model->input_bytes[i]);
    }
    for (i = 0u; i < ep_model->output_count; i++) {
        ep_frame_put_u32(ep_model->output_bytes[i]);
    }
    ep_frame_put(ep_model->name, name);
    ep_frame_put(ep_model->task, task);
    ep_frame_end();
}

static void ep_data_header(uint8_t source, uint32_t offset, uint32_t length) {
    ep_frame_begin(EP_REP_DATA, ep_link.sequence, length + 5u);
    ep_frame_put_u8(source);
    ep_frame_put_u32(offset);
}

static uint32_t ep_chunk(uint32_t bytes) {
    return bytes < EP_DATA_CHUNK ? bytes : EP_DATA_CHUNK;
}

static void ep_reply_outputs(uint32_t offset, uint32_t length) {
    while (length > 0u) {
        uint32_t chunk = ep_chunk(length);
        ep_data_header(EP_DATA_OUTPUT, offset, chunk);
        ep_output_read(offset, chunk, ep_frame_put);
        ep_frame_end();
        offset += chunk;
        length -= chunk;
    }
}

static void ep_reply_result(void) {
    uint32_t total = ep_run.result ? ep_output_total() : 0u;
    uint32_t chunk = ep_chunk(total);
    ep_frame_begin(EP_REP_RESULT, ep_link.sequence, 20u + chunk);
    ep_frame_put_u8((uint8_t)ep_run.status);
    ep_frame_put_u8(ep_link.disturbed);
    ep_frame_put_u16(ep_link.layer_frames);
    ep_frame_put_u32(ep_link.result_crc);
    ep_frame_put_u64(ep_run.ticks);
    ep_frame_put_u32(total);
    ep_output_read(0u, chunk, ep_frame_put);
    ep_frame_end();
    ep_reply_outputs(chunk, total - chunk);
}

/* Everything between the first and the last reading of the counter here is left out of the ticks.
 */
static void ep_on_layer(void *user, int layer, int output, const void *data, size_t bytes) {
    ep_layer_walk *walk = (ep_layer_walk *)user;
    uint64_t ticks = ep_port_ticks() - walk->since;
    bool dump = (walk->flags & EP_INFER_DUMP) != 0u && layer == (int)walk->dump_layer &&
                output == (int)walk->dump_output;
    walk->total += ticks;
    if (dump || (walk->flags & EP_INFER_LAYERS) != 0u) {
        ep_link.layer_frames++;
        ep_frame_begin(EP_REP_LAYER, ep_link.sequence, 19u);
        ep_frame_put_u16((uint16_t)layer);
        ep_frame_put_u8((uint8_t)output);
        ep_frame_put_u32((uint32_t)bytes);
        ep_frame_put_u32(~ep_crc32_run(EP_CRC32_INIT, data, bytes));
        ep_frame_put_u64(ticks);
        ep_frame_end();
    }
    if (dump) {
        const uint8_t *at = (const uint8_t *)data;
        uint32_t offset = 0u;
        while (offset < bytes) {
            uint32_t chunk = ep_chunk((uint32_t)bytes - offset);
            ep_data_header(EP_DATA_LAYER, offset, chunk);
            ep_frame_put(at + offset, chunk);
            ep_frame_end();
            offset += chunk;
        }
    }
    ep_port_flush();
    walk->since = ep_port_ticks();
}

static void ep_run_layers(const uint8_t *header) {
    ep_layer_walk walk;
    walk.total = 0u;
    walk.flags = header[11];
    walk.dump_layer = ep_get_u16(header + 14);
    walk.dump_output = header[16];
    ep_model->set_hook(ep_on_layer, &walk);
    ep_port_flush();
    walk.since = ep_port_ticks();
    ep_run_once();
    ep_run.ticks = walk.total;
    ep_model->set_hook(NULL, NULL);
}

/* More runs, for their time only: the input has been used up, and the outputs are overwritten. */
static void ep_run_again(uint32_t repeat) {
    uint64_t least = UINT64_MAX;
    uint64_t most = 0u;
    uint64_t sum = 0u;
    uint32_t i;
    for (i = 0u; i < repeat; i++) {
        ep_run_once();
        least = ep_run.ticks < least ? ep_run.ticks : least;
        most = ep_run.ticks > most ? ep_run.ticks : most;
        sum += ep_run.ticks;
    }
    ep_run.result = false;
    ep_frame_begin(EP_REP_TIMES, ep_link.sequence, 27u);
    ep_frame_put_u8(ep_run.pending >= 0);
    ep_frame_put_u16((uint16_t)repeat);
    ep_frame_put_u64(least);
    ep_frame_put_u64(most);
    ep_frame_put_u64(sum);
    ep_frame_end();
}

static void ep_serve_infer(const uint8_t *header) {
    uint8_t flags = header[11];
    uint32_t repeat = ep_get_u16(header + 12);
    if (ep_is_repeat(header)) {
        ep_reply_result();
        return;
    }
    if (ep_get_u16(header + 1) != ep_link.sequence) {
        ep_nak(ep_get_u16(header + 1), EP_NAK_INCOMPLETE, 0u); /* its first chunk never arrived */
        return;
    }
    if (ep_run.verified != ep_input_total()) {
        ep_nak(ep_link.sequence, EP_NAK_INCOMPLETE, ep_run.verified);
        return;
    }
    ep_link.result_crc = ep_input_crc();
    if (ep_link.result_crc != ep_get_u32(header + 7)) {
        ep_run.verified = 0u;
        ep_nak(ep_link.sequence, EP_NAK_INPUT, ep_link.result_crc);
        return;
    }
    if ((flags & EP_INFER_HOLD) != 0u) {
        ep_empty(EP_REP_ACK, ep_link.sequence);
        return;
    }
    if (flags != 0u && (ep_model->set_hook == NULL || ep_model->layer_count == 0u)) {
        ep_nak(ep_link.sequence, EP_NAK_UNSUPPORTED, flags);
        return;
    }
    ep_link.layer_frames = 0u;
    ep_empty(EP_REP_START, ep_link.sequence);
    if (flags != 0u) {
        ep_run_layers(header);
    } else {
        ep_run_once();
    }
    ep_link.disturbed = ep_run.pending >= 0;
    ep_reply_result();
    if (repeat > 0u) {
        ep_run_again(repeat);
    }
}

/* A whole frame with input data: its bytes now count as verified, if they were stored. */
static void ep_accept_data(const uint8_t *header) {
    uint32_t bytes = ep_link.rx.count - ep_header_bytes(header[0]) - 4u;
    if (ep_link.storing) {
        ep_link.sequence = ep_get_u16(header + 1);
        if (bytes <= ep_input_total() - ep_run.verified) {
            ep_run.verified += bytes;
        }
    }
}

static void ep_serve_baud(uint16_t sequence, uint32_t rate) {
    if (rate == 0u || rate > ep_port_max_baud()) {
        ep_nak(sequence, EP_NAK_ARGUMENT, ep_port_max_baud());
        return;
    }
    ep_empty(EP_REP_ACK, sequence);
    ep_port_flush();
    ep_port_set_baud(rate);
    ep_link.raised = rate != EP_BENCH_BAUD;
}

static void ep_reply_memory(uint16_t sequence) {
    ep_memory_peaks peaks;
    ep_memory_peaks_read(ep_model->arena, ep_model->arena_bytes, &peaks);
#if EP_BENCH_ARENA_USED
    peaks.arena_peak = ep_bench_arena_used();
#endif
    ep_frame_begin(EP_REP_MEMORY, sequence, 24u);
    ep_frame_put_u32(peaks.stack_bytes);
    ep_frame_put_u32(peaks.stack_peak);
    ep_frame_put_u32(peaks.arena_bytes);
    ep_frame_put_u32(peaks.arena_touched);
    ep_frame_put_u32(peaks.arena_peak);
    ep_frame_put_u32(ep_port_rx_lost());
    ep_frame_end();
}

static void ep_serve_read(uint16_t sequence, const uint8_t *header) {
    uint32_t offset = ep_get_u32(header + 3);
    uint32_t length = ep_get_u32(header + 7);
    uint32_t total = ep_output_total();
    if (!ep_is_repeat(header)) {
        ep_nak(sequence, EP_NAK_NO_RESULT, 0u);
    } else if (offset > total || length > total - offset) {
        ep_nak(sequence, EP_NAK_ARGUMENT, total);
    } else {
        ep_reply_outputs(offset, length);
    }
}

static void ep_serve_other(uint16_t sequence, const uint8_t *header) {
    switch (header[0]) {
    case EP_REQ_READ:
        ep_serve_read(sequence, header);
        break;
    case EP_REQ_INIT:
        ep_run_init((header[3] & EP_INIT_PAINT) != 0u);
        if (ep_run.status == EP_OK) {
            ep_empty(EP_REP_ACK, sequence);
        } else {
            ep_nak(sequence, EP_NAK_MODEL, (uint32_t)ep_run.status);
        }
        break;
    case EP_REQ_MEMORY:
        ep_reply_memory(sequence);
        break;
    case EP_REQ_BAUD:
        ep_serve_baud(sequence, ep_get_u32(header + 3));
        break;
    case EP_REQ_RESET:
        ep_empty(EP_REP_ACK, sequence);
        ep_port_flush();
        ep_port_reset();
        break;
    default:
        ep_nak(sequence, EP_NAK_UNKNOWN, header[0]);
        break;
    }
}

static void ep_serve(const uint8_t *header) {
    uint16_t sequence = ep_get_u16(header + 1);
    uint32_t least = ep_header_bytes(header[0]) + 4u;
    if (ep_link.rx.count < least || (ep_link.rx.count > least && !ep_carries_input(header[0]))) {
        ep_nak(sequence, EP_NAK_UNKNOWN, header[0]);
    } else if (header[0] == EP_REQ_HELLO) {
        ep_link.greeted = true;
        ep_link.sequence = sequence;
        ep_run.result = false;
        ep_run.verified = 0u;
        ep_reply_info(sequence);
    } else if (!ep_link.greeted) {
        ep_nak(sequence, EP_NAK_NO_HELLO, 0u);
    } else if (ep_carries_input(header[0])) {
        ep_accept_data(header);
        if (header[0] == EP_REQ_INFER) {
            ep_serve_infer(header);
        }
    } else {
        ep_serve_other(sequence, header);
    }
}

void ep_link_run(void) {
    if (ep_link.phase == EP_COMPLETE) {
        ep_link.phase = EP_IDLE;
        ep_serve(ep_link.rx.header);
        ep_link.served = ep_port_ticks();
    }
}

bool ep_link_waits(void) {
    return ep_link.raised || ep_link.phase != EP_IDLE;
}

void ep_link_quiet(uint64_t now) {
    if (ep_link.phase != EP_IDLE) {
        ep_link.phase = EP_IDLE;
        if (ep_link.greeted) {
            ep_nak(ep_link.sequence, EP_NAK_FRAME, ep_run.verified);
        }
    }
    if (ep_link.raised &&
        now - ep_link.served > (uint64_t)ep_port_ticks_hz() * EP_FALLBACK_SECONDS) {
        ep_link.raised = false;
        ep_port_set_baud(EP_BENCH_BAUD);
    }
}

bool ep_link_greeted(void) {
    return ep_link.greeted;
}

void ep_link_forget(void) {
    ep_link.greeted = false;
}
