/* BATCH_MATMUL, portable: matrices of two operands, either transposed, batches broadcast. */
#ifndef EP_BATCH_MATMUL_H
#define EP_BATCH_MATMUL_H

#include "ep_fixed.h"

#define EP_MATMUL_BATCH_DIMS 3

typedef struct {
    int32_t batch[EP_MATMUL_BATCH_DIMS];   /* outermost first, 1 where unused */
    int32_t a_batch[EP_MATMUL_BATCH_DIMS]; /* strides in elements, 0 where the operand repeats */
    int32_t b_batch[EP_MATMUL_BATCH_DIMS];
    int32_t rows, depth, columns;
    int32_t a_row, a_depth, b_depth, b_column; /* strides in elements */
} ep_matmul;

typedef struct {
    ep_matmul walk;
    int32_t a_offset, b_offset, output_offset; /* minus the operands' zero points; output's */
    int32_t multiplier, shift;
} ep_batch_matmul_params;

typedef struct {
    ep_matmul walk;
} ep_batch_matmul_f32_params;

#define EP_MATMUL_LOOPS(M, BEGIN, MAC, END)                                                        \
    int32_t to = 0;                                                                                \
    for (int32_t i0 = 0; i0 < (M)->batch[0]; ++i0) {                                               \
        for (int32_t i1 = 0; i1 < (M)->batch[1]; ++i1) {                                           \
            for (int32_t i2 = 0; i2 < (M)->batch[2]; ++i2) {                                       \
                const int32_t a_base =                                                             \
                    i0 * (M)->a_batch[0] + i1 * (M)->a_batch[1] + i2 * (M)->a_batch[2];            \
                const int32_t b_base =                                                             \
                    i0 * (M)->b_batch[0] + i1 * (M)->b_batch[1] + i2 * (M)->b_batch[2];            \
                for (int32_t row = 0; row < (M)->rows; ++row) {                                    \
                    for (int32_t column = 0; column < (M)->columns; ++column, ++to) {              \
                        BEGIN;                                                                     \
                        for (int32_t k = 0; k < (M)->depth; ++k) {                                 \
                            const int32_t a_at = a_base + row * (M)->a_row + k * (M)->a_depth;     \
                            const int32_t b_at =                                                   \
                                b_base + k * (M)->b_depth + column * (M)->b_column;                \
                            MAC;                                                                   \
                        }                                                                          \
                        END;                                                                       \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

EP_INLINE void ep_batch_matmul_s8(const ep_batch_matmul_params *p, const int8_t *a, const int8_t *b,
                                  int8_t *out){
    EP_MATMUL_LOOPS(&p -> walk, int32_t acc = 0,
                    acc = ep_wrap_mac(acc, a[a_at] + p->a_offset, b[b_at] + p->b_offset),
                    out[to] = (int8_t)ep_requantize_to(acc, p->multiplier, p->shift,
                                                       p->output_offset, INT8_MIN, INT8_MAX))}

/* Zero points are 0. */
EP_INLINE void ep_batch_matmul_s16(const ep_batch_matmul_params *p, const int16_t *a,
                                   const int16_t *b, int16_t *out){
    EP_MATMUL_LOOPS(&p->walk, int64_t acc = 0, acc += (int32_t)a[a_at] * b[b_at],
                    out[to] = (int16_t)ep_clamp32(ep_requantize64(acc, p->multiplier, p->shift),
                                                  INT16_MIN, INT16_MAX))}

EP_INLINE void ep_batch_matmul_f32(const ep_batch_matmul_f32_params *p, const float *a,
                                   const float *b, float *out) {
    EP_MATMUL_LOOPS(&p->walk, float acc = 0.0f, acc += a[a_at] * b[b_at], out[to] = acc)
}

#endif
