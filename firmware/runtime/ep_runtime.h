/* edgepack runtime: status codes, the layer hook and the few macros that generated code uses. */
#ifndef EP_RUNTIME_H
#define EP_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Alignment in bytes that every arena needs. */
#define EP_ARENA_ALIGN 16u

typedef enum {
    EP_OK = 0,
    EP_ERR_NULL = 1,        /* a pointer argument was NULL */
    EP_ERR_ARENA_SIZE = 2,  /* the arena is smaller than <MODEL>_ARENA_BYTES */
    EP_ERR_ARENA_ALIGN = 3, /* the arena is not aligned to EP_ARENA_ALIGN */
    EP_ERR_INDEX = 4,       /* a runtime index (gather, loop bound) is out of range */
    EP_ERR_RUNTIME = 5      /* the wrapped runtime (TensorFlow Lite Micro) failed */
} ep_status;

/* Called after each layer, once per output tensor, while the data is still live. */
typedef void (*ep_layer_hook)(void *user, int layer, int output, const void *data, size_t bytes);

#if defined(__GNUC__) || defined(__clang__)
#define EP_ALIGNED(n) __attribute__((aligned(n)))
#define EP_INLINE static inline __attribute__((always_inline, unused))
#define EP_NOINLINE static __attribute__((noinline, unused))
#else
#define EP_ALIGNED(n)
#define EP_INLINE static inline
#define EP_NOINLINE static
#endif

/* Unrolls the loop that follows; only a hint. */
#if defined(__GNUC__) && !defined(__clang__)
#define EP_PRAGMA(text) _Pragma(#text)
#define EP_UNROLL(n) EP_PRAGMA(GCC unroll n)
#else
#define EP_UNROLL(n)
#endif

/* Where the linker puts the model's weights and edgepack's tables, so that sizes can tell them apart. */
#if defined(__ELF__) && (defined(__GNUC__) || defined(__clang__))
#define EP_WEIGHTS __attribute__((section(".rodata.ep_weights")))
#define EP_TABLES __attribute__((section(".rodata.ep_tables")))
#else
#define EP_WEIGHTS
#define EP_TABLES
#endif

/* real / scale + zero_point, rounded to nearest (halves away from zero) and clamped to [low, high]. */
static inline int32_t ep_quantize(float real, float scale, int32_t zero_point, int32_t low,
                                  int32_t high) {
    const float scaled = real / scale;
    const float span = (float)(high - low) + 1.0f;
    if (!(scaled > -2.0f * span)) { /* also catches NaN */
        return low;
    }
    if (scaled > 2.0f * span) {
        return high;
    }
    const int32_t q = zero_point + (int32_t)(scaled < 0.0f ? scaled - 0.5f : scaled + 0.5f);
    return q < low ? low : q > high ? high : q;
}

#ifdef __cplusplus
}
#endif

#endif
