/* INFER: one inference with its result, layer by layer if asked, and the runs behind it for their
 * time. */
#include "ep_bench_model.h"
#include "ep_crc32.h"
#include "ep_frame.h"
#include "ep_port.h"
#include "ep_run.h"
#include "ep_session.h"
#include "ep_wire.h"

/* Where the layer hook keeps its place; it lives on the stack during one inference. */
typedef struct {
    uint64_t since;
    uint64_t total;
    uint16_t dump_layer;
    uint8_t dump_output;
    uint8_t flags;
} ep_layer_walk;

static const ep_bench_model *const ep_model = &ep_bench_model_instance;

static uint32_t ep_chunk(uint32_t bytes) {
    return bytes < EP_DATA_CHUNK ? bytes : EP_DATA_CHUNK;
}

static void ep_data_header(uint8_t source, uint32_t offset, uint32_t length) {
    ep_frame_begin(EP_REP_DATA, ep_session.sequence, length + 5u);
    ep_frame_put_u8(source);
    ep_frame_put_u32(offset);
}

void ep_reply_outputs(uint32_t offset, uint32_t length) {
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
    ep_frame_begin(EP_REP_RESULT, ep_session.sequence, 24u + chunk);
    ep_frame_put_u8((uint8_t)ep_run.status);
    ep_frame_put_u8(ep_session.disturbed);
    ep_frame_put_u16(ep_session.layer_frames);
    ep_frame_put_u32(ep_session.result_crc);
    ep_frame_put_u64(ep_run.ticks);
    ep_frame_put_u32(total);
    ep_frame_put_u32(ep_run.result ? ep_output_crc() : 0u);
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
        ep_session.layer_frames++;
        ep_frame_begin(EP_REP_LAYER, ep_session.sequence, 19u);
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
    ep_frame_begin(EP_REP_TIMES, ep_session.sequence, 27u);
    ep_frame_put_u8(ep_run.pending >= 0);
    ep_frame_put_u16((uint16_t)repeat);
    ep_frame_put_u64(least);
    ep_frame_put_u64(most);
    ep_frame_put_u64(sum);
    ep_frame_end();
}

void ep_serve_infer(const uint8_t *header) {
    uint8_t flags = header[11];
    uint32_t repeat = ep_get_u16(header + 12);
    if (ep_is_repeat(header)) {
        ep_reply_result();
        return;
    }
    if (ep_get_u16(header + 1) != ep_session.sequence) {
        ep_reply_nak(ep_get_u16(header + 1), EP_NAK_INCOMPLETE,
                     0u); /* its first chunk never arrived */
        return;
    }
    if (ep_run.verified != ep_input_total()) {
        ep_reply_nak(ep_session.sequence, EP_NAK_INCOMPLETE, ep_run.verified);
        return;
    }
    ep_session.result_crc = ep_input_crc();
    if (ep_session.result_crc != ep_get_u32(header + 7)) {
        ep_run.verified = 0u;
        ep_reply_nak(ep_session.sequence, EP_NAK_INPUT, ep_session.result_crc);
        return;
    }
    if ((flags & EP_INFER_HOLD) != 0u) {
        ep_reply_empty(EP_REP_ACK, ep_session.sequence);
        return;
    }
    if (flags != 0u && (ep_model->set_hook == NULL || ep_model->layer_count == 0u)) {
        ep_reply_nak(ep_session.sequence, EP_NAK_UNSUPPORTED, flags);
        return;
    }
    ep_session.layer_frames = 0u;
    ep_reply_empty(EP_REP_START, ep_session.sequence);
    if (flags != 0u) {
        ep_run_layers(header);
    } else {
        ep_run_once();
    }
    ep_session.disturbed = ep_run.pending >= 0;
    ep_reply_result();
    if (repeat > 0u) {
        ep_run_again(repeat);
    }
}
