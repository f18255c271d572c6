#include "ep_print.h"

#include <stdbool.h>
#include <string.h>

#include "ep_bench_model.h"
#include "ep_port.h"
#include "ep_run.h"
#include "ep_string.h"

void ep_say(const char *text) {
    ep_port_write(text, ep_length(text));
}

uint64_t ep_divide(uint64_t value, uint32_t divisor, uint32_t *remainder) {
    uint64_t quotient = 0u;
    uint64_t rest = 0u;
    int bit;
    for (bit = 63; bit >= 0; bit--) {
        rest = (rest << 1) | ((value >> bit) & 1u);
        quotient <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            quotient |= 1u;
        }
    }
    *remainder = (uint32_t)rest;
    return quotient;
}

void ep_say_decimal(uint64_t value, uint32_t digits) {
    char text[20];
    char *at = text + sizeof text;
    uint32_t digit;
    do {
        value = ep_divide(value, 10u, &digit);
        *--at = (char)('0' + digit);
        digits -= digits > 0u ? 1u : 0u;
    } while (value != 0u || digits > 0u);
    ep_port_write(at, (size_t)(text + sizeof text - at));
}

/* factor * scale with six decimals, in integers: the scale's bits are mantissa * 2^(exponent -
 * 150). */
static void ep_say_scaled(int32_t factor, float scale) {
    uint32_t bits;
    uint32_t exponent;
    uint64_t micro;
    uint32_t fraction;
    bool negative;
    memcpy(&bits, &scale, sizeof bits);
    exponent = (bits >> 23) & 0xFFu;
    negative = (factor < 0) != ((bits >> 31) != 0u);
    if (exponent == 0xFFu) {
        ep_say((bits & 0x7FFFFFu) != 0u ? "nan" : negative ? "-inf" : "inf");
        return;
    }
    micro = (uint64_t)(factor < 0 ? -(int64_t)factor : factor) * 1000000u;
    micro *= exponent == 0u ? 0u : (bits & 0x7FFFFFu) | 0x800000u;
    if (exponent >= 150u) {
        uint32_t shift = exponent - 150u;
        /* beyond 64 bits: the largest number that still prints, far outside any result's range */
        micro = shift < 64u && (micro >> (63u - (shift < 63u ? shift : 63u))) == 0u ? micro << shift
                                                                                    : UINT64_MAX;
    } else {
        uint32_t shift = 150u - exponent;
        micro = shift < 64u ? (micro + (1ull << (shift - 1u))) >> shift : 0u;
    }
    if (negative && micro != 0u) {
        ep_say("-");
    }
    ep_say_decimal(ep_divide(micro, 1000000u, &fraction), 1u);
    ep_say(".");
    ep_say_decimal(fraction, 6u);
}

static void ep_say_integer(int32_t value) {
    if (value < 0) {
        ep_say("-");
    }
    ep_say_decimal((uint64_t)(value < 0 ? -(int64_t)value : value), 1u);
}

static void ep_say_value(const ep_bench_tensor *tensor, const uint8_t *at) {
    int16_t half;
    int32_t value = 0;
    float real;
    switch (tensor->type) {
    case EP_TYPE_S8:
        value = (int8_t)*at;
        break;
    case EP_TYPE_U8:
        value = *at;
        break;
    case EP_TYPE_S16:
        memcpy(&half, at, sizeof half);
        value = half;
        break;
    case EP_TYPE_S32:
        memcpy(&value, at, sizeof value);
        ep_say_integer(value);
        return;
    case EP_TYPE_F32:
        memcpy(&real, at, sizeof real);
        ep_say_scaled(1, real);
        return;
    }
    if (tensor->scale > 0.0f) {
        ep_say_scaled(value - tensor->zero_point, tensor->scale);
    } else {
        ep_say_integer(value);
    }
}

static uint32_t ep_element_bytes(ep_bench_type type) {
    return type == EP_TYPE_S16 ? 2u : type == EP_TYPE_S32 || type == EP_TYPE_F32 ? 4u : 1u;
}

void ep_say_results(void) {
    static const ep_bench_tensor raw = {EP_TYPE_S8, 0.0f, 0};
    const ep_bench_model *model = &ep_bench_model_instance;
    uint32_t index;
    bool first = true;
    if (!ep_run.result) {
        ep_say("e-[No result: load an input, then infer]\r\n");
        return;
    }
    ep_say("m-results-[");
    if (ep_bench_text_instance.score != NULL) {
        ep_say_scaled(1, ep_bench_text_instance.score->score());
        ep_say("]\r\n");
        return;
    }
    for (index = 0u; index < model->output_count; index++) {
        const ep_bench_tensor *tensor =
            ep_bench_text_instance.outputs != NULL ? &ep_bench_text_instance.outputs[index] : &raw;
        const uint8_t *at = (const uint8_t *)model->output(index);
        uint32_t step = ep_element_bytes(tensor->type);
        uint32_t left = model->output_bytes[index];
        for (; left >= step; left -= step) {
            if (!first) {
                ep_say(",");
            }
            first = false;
            ep_say_value(tensor, at);
            at += step;
        }
    }
    ep_say("]\r\n");
}
