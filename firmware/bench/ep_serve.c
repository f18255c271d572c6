/* Requests of the framed extension, each to its reply. INFER has its own file. */
#include "ep_bench_model.h"
#include "ep_frame.h"
#include "ep_link.h"
#include "ep_memory.h"
#include "ep_port.h"
#include "ep_run.h"
#include "ep_session.h"
#include "ep_string.h"
#include "ep_wire.h"

static const ep_bench_model *const ep_model = &ep_bench_model_instance;

void ep_reply_nak(uint16_t sequence, uint8_t code, uint32_t argument) {
    ep_frame_begin(EP_REP_NAK, sequence, 5u);
    ep_frame_put_u8(code);
    ep_frame_put_u32(argument);
    ep_frame_end();
}

void ep_reply_empty(uint8_t type, uint16_t sequence) {
    ep_frame_begin(type, sequence, 0u);
    ep_frame_end();
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

/* A whole frame with input data: its bytes now count as verified, if they were stored. */
static void ep_accept_data(const uint8_t *header) {
    uint32_t bytes = ep_session.rx.count - ep_header_bytes(header[0]) - 4u;
    if (ep_session.storing) {
        ep_session.sequence = ep_get_u16(header + 1);
        if (bytes <= ep_input_total() - ep_run.verified) {
            ep_run.verified += bytes;
        }
    }
}

static void ep_serve_baud(uint16_t sequence, uint32_t rate) {
    if (rate == 0u || rate > ep_port_max_baud()) {
        ep_reply_nak(sequence, EP_NAK_ARGUMENT, ep_port_max_baud());
        return;
    }
    ep_reply_empty(EP_REP_ACK, sequence);
    ep_port_flush();
    ep_port_set_baud(rate);
    ep_session.raised = rate != EP_BENCH_BAUD;
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
        ep_reply_nak(sequence, EP_NAK_NO_RESULT, 0u);
    } else if (offset > total || length > total - offset) {
        ep_reply_nak(sequence, EP_NAK_ARGUMENT, total);
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
            ep_reply_empty(EP_REP_ACK, sequence);
        } else {
            ep_reply_nak(sequence, EP_NAK_MODEL, (uint32_t)ep_run.status);
        }
        break;
    case EP_REQ_MEMORY:
        ep_reply_memory(sequence);
        break;
    case EP_REQ_BAUD:
        ep_serve_baud(sequence, ep_get_u32(header + 3));
        break;
    case EP_REQ_RESET:
        ep_reply_empty(EP_REP_ACK, sequence);
        ep_port_flush();
        ep_port_reset();
        break;
    default:
        ep_reply_nak(sequence, EP_NAK_UNKNOWN, header[0]);
        break;
    }
}

void ep_serve(const uint8_t *header) {
    uint16_t sequence = ep_get_u16(header + 1);
    uint32_t least = ep_header_bytes(header[0]) + 4u;
    if (ep_session.rx.count < least ||
        (ep_session.rx.count > least && !ep_carries_input(header[0]))) {
        ep_reply_nak(sequence, EP_NAK_UNKNOWN, header[0]);
    } else if (header[0] == EP_REQ_HELLO) {
        ep_session.greeted = true;
        ep_session.sequence = sequence;
        ep_run.result = false;
        ep_run.verified = 0u;
        ep_reply_info(sequence);
    } else if (!ep_session.greeted) {
        ep_reply_nak(sequence, EP_NAK_NO_HELLO, 0u);
    } else if (ep_carries_input(header[0])) {
        ep_accept_data(header);
        if (header[0] == EP_REQ_INFER) {
            ep_serve_infer(header);
        }
    } else {
        ep_serve_other(sequence, header);
    }
}
