/* The model's inputs and outputs as byte streams, and one timed inference. Both protocols use it.
 */
#ifndef EP_RUN_H
#define EP_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "ep_bench_model.h"

typedef struct {
    uint64_t ticks;    /* of the last inference, the counter's own overhead included */
    uint32_t verified; /* input bytes from offset 0 that are known to be right */
    ep_status status;  /* of the last inference, or of the initialisation before the first */
    int16_t pending;   /* a byte that came during the last inference, or -1 */
    bool result;       /* the output tensors hold the result of a whole, verified input */
} ep_run_state;

extern ep_run_state ep_run;

/* Paints memory when asked, then initialises the model; forgets input and result. */
void ep_run_init(bool paint);

uint32_t ep_input_total(void);
uint32_t ep_output_total(void);
/* Positions the input stream; the result is forgotten, for inputs and outputs may share memory. */
void ep_input_seek(uint32_t offset);
/* Stores one byte and moves on; bytes after the last input are dropped. */
void ep_input_put(uint8_t byte);
/* The byte at an offset below ep_input_total(), for `db print`. */
uint8_t ep_input_get(uint32_t offset);
/* CRC-32 of all inputs as they stand in memory. */
uint32_t ep_input_crc(void);
/* CRC-32 of all outputs. */
uint32_t ep_output_crc(void);
/* Hands `length` output bytes from `offset` on to `sink`, in pieces. */
void ep_output_read(uint32_t offset, uint32_t length, void (*sink)(const void *, size_t));

/* One inference between two readings of the counter. It uses up the input: the arena is shared. */
void ep_run_once(void);
/* The next received byte, or -1: the one kept during an inference first. */
int ep_run_getc(void);
/* Ticks that an empty call takes between two readings of the counter: to be subtracted. */
uint32_t ep_run_overhead(void);

#endif
