/* How the bench firmware sees a model, whichever runtime is behind it. */
#ifndef EP_BENCH_MODEL_H
#define EP_BENCH_MODEL_H

#include "ep_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *name; /* the model's c_name */
    const char *task; /* MLPerf Tiny's id for profile%: "kws01", or the c_name */
    uint8_t *arena;   /* EP_ARENA_ALIGN aligned */
    size_t arena_bytes;
    uint32_t input_count;
    uint32_t output_count;
    uint32_t layer_count;         /* 0 when the runtime cannot report layers */
    const uint32_t *input_bytes;  /* input_count entries */
    const uint32_t *output_bytes; /* output_count entries */
    ep_status (*init)(void);      /* (re)initialises, clearing state variables */
    ep_status (*invoke)(void);
    void *(*input)(uint32_t index);
    const void *(*output)(uint32_t index);
    void (*set_hook)(ep_layer_hook hook, void *user); /* NULL hook: none */
} ep_bench_model;

/* Element types that the text protocol's results% can print. */
typedef enum {
    EP_TYPE_S8 = 0,
    EP_TYPE_U8 = 1,
    EP_TYPE_S16 = 2,
    EP_TYPE_S32 = 3,
    EP_TYPE_F32 = 4
} ep_bench_type;

/* One tensor as the text protocol sees it; a scale of 0 means that it is not quantized. */
typedef struct {
    ep_bench_type type;
    float scale;
    int32_t zero_point;
} ep_bench_tensor;

/* What db% carries for the input tensors. */
typedef enum {
    EP_TEXT_INPUT_RAW = 0, /* their own bytes */
    EP_TEXT_INPUT_U8 = 1   /* unsigned bytes for an int8 input: each has 128 taken off (images) */
} ep_text_input;

/* A model whose samples are floats, and whose result is one number: how far the output is from the
 * sample. They are kept outside the arena, where the inference does not reach them. */
typedef struct {
    float *sample; /* what db% carries instead, little-endian */
    uint32_t count;
    void (*load)(void);   /* the sample into the input tensor */
    float (*score)(void); /* of the output against the sample */
} ep_bench_score;

/* How the text protocol presents the model; generated code defines the instance. */
typedef struct {
    const ep_bench_tensor *inputs;  /* input_count entries, or NULL: raw int8 values */
    const ep_bench_tensor *outputs; /* output_count entries, or NULL: raw int8 values */
    ep_text_input input;
    const ep_bench_score *score; /* NULL: results% prints the outputs */
} ep_bench_text;

extern const ep_bench_text ep_bench_text_instance;

extern const ep_bench_model ep_bench_model_instance;

/* 1: the runtime tells how much of the arena it uses, because its planner writes all over it while
 * the model is initialised, and what stayed untouched says nothing. */
#ifndef EP_BENCH_ARENA_USED
#define EP_BENCH_ARENA_USED 0
#endif
#if EP_BENCH_ARENA_USED
uint32_t ep_bench_arena_used(void); /* bytes; 0 when the model did not initialise */
#endif

extern const char ep_build_id[17]; /* 16 hex digits and a NUL */

#ifdef __cplusplus
}
#endif

#endif
