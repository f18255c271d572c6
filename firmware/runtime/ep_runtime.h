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

#ifdef __cplusplus
}
#endif

#endif
