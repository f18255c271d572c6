/* How the bench firmware sees a model, whichever runtime is behind it. */
#ifndef EP_BENCH_MODEL_H
#define EP_BENCH_MODEL_H

#include "ep_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *name;         /* the model's c_name */
    const char *task;         /* MLPerf Tiny model id for name%: "kws01", or the c_name */
    uint8_t *arena;           /* EP_ARENA_ALIGN aligned */
    size_t arena_bytes;
    uint32_t input_count;
    uint32_t output_count;
    uint32_t layer_count;     /* 0 when the runtime cannot report layers */
    const uint32_t *input_bytes;  /* input_count entries */
    const uint32_t *output_bytes; /* output_count entries */
    ep_status (*init)(void);      /* (re)initialises, clearing state variables */
    ep_status (*invoke)(void);
    void *(*input)(uint32_t index);
    const void *(*output)(uint32_t index);
    void (*set_hook)(ep_layer_hook hook, void *user); /* NULL hook: none */
} ep_bench_model;

extern const ep_bench_model ep_bench_model_instance;
extern const char ep_build_id[17]; /* 16 hex digits and a NUL */

#ifdef __cplusplus
}
#endif

#endif
