/* A model of two layers for the protocol's tests; stub.py computes the same. Inputs and outputs
 * share the arena, as a real model's do: an inference uses its input up. */
#include "ep_bench_model.h"

#ifndef STUB_HANG
#define STUB_HANG 0
#endif

#define INPUT_0 1500u
#define INPUT_1 7u
#define OUTPUT_0 2500u
#define OUTPUT_1 12u
#define ARENA 4096u

static EP_ALIGNED(EP_ARENA_ALIGN) uint8_t arena[ARENA];
static ep_layer_hook hook;
static void *hook_user;
static const uint32_t input_bytes[] = {INPUT_0, INPUT_1};
static const uint32_t output_bytes[] = {OUTPUT_0, OUTPUT_1};

static ep_status stub_init(void) {
    return EP_OK;
}

static void *stub_input(uint32_t index) {
    return index == 0u ? arena : arena + INPUT_0;
}

static const void *stub_output(uint32_t index) {
    return index == 0u ? arena : arena + OUTPUT_0;
}

static ep_status stub_invoke(void) {
    uint8_t *middle = arena + 2560u;
    uint32_t state = 0u;
    uint32_t i;
    for (i = 0u; i < INPUT_0 + INPUT_1; i++) {
        state = state * 31u + arena[i];
        middle[i] = (uint8_t)(state >> 7);
    }
    if (arena[0] == 0xEEu && arena[1] == 0xEEu) {
        return EP_ERR_INDEX;
    }
    while (STUB_HANG && arena[0] == 0xDDu && arena[1] == 0xDDu) {
    }
    if (hook != NULL) {
        hook(hook_user, 0, 0, middle, INPUT_0 + INPUT_1);
    }
    for (i = 0u; i < OUTPUT_1; i++) {
        middle[INPUT_0 + INPUT_1 + i] = (uint8_t)(middle[i] ^ middle[INPUT_0 + i % INPUT_1]);
    }
    for (i = 0u; i < OUTPUT_0; i++) {
        arena[i] = (uint8_t)(middle[i % 1507u] + i);
    }
    for (i = 0u; i < OUTPUT_1; i++) {
        arena[OUTPUT_0 + i] = middle[INPUT_0 + INPUT_1 + i];
    }
    if (hook != NULL) {
        hook(hook_user, 1, 0, arena, OUTPUT_0);
        hook(hook_user, 1, 1, arena + OUTPUT_0, OUTPUT_1);
    }
    return EP_OK;
}

static void stub_set_hook(ep_layer_hook new_hook, void *user) {
    hook = new_hook;
    hook_user = user;
}

/* The linker puts these in front of the port's: a socket has no rate, but the device may think so.
 * At EP_DEAF_BAUD the line is as good as cut, as when an adapter cannot do the rate. */
#define EP_DEAF_BAUD 500000u

static bool deaf;
int __real_ep_port_getc(void);
int __wrap_ep_port_getc(void);
uint32_t __wrap_ep_port_max_baud(void);
void __wrap_ep_port_set_baud(uint32_t baud);

int __wrap_ep_port_getc(void) {
    int byte = __real_ep_port_getc();
    return deaf ? -1 : byte;
}

uint32_t __wrap_ep_port_max_baud(void) {
    return 1000000u;
}

void __wrap_ep_port_set_baud(uint32_t baud) {
    deaf = baud == EP_DEAF_BAUD;
}

const char ep_build_id[17] = "0123456789abcdef";

const ep_bench_text ep_bench_text_instance = {NULL, NULL, EP_TEXT_INPUT_RAW, NULL};

const ep_bench_model ep_bench_model_instance = {
    .name = "stub",
    .task = "stub01",
    .arena = arena,
    .arena_bytes = ARENA,
    .input_count = 2u,
    .output_count = 2u,
    .layer_count = 2u,
    .input_bytes = input_bytes,
    .output_bytes = output_bytes,
    .init = stub_init,
    .invoke = stub_invoke,
    .input = stub_input,
    .output = stub_output,
    .set_hook = stub_set_hook,
};
