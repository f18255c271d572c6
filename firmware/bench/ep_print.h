/* Text out of numbers, without stdio, floating point or the compiler's 64-bit division. */
#ifndef EP_PRINT_H
#define EP_PRINT_H

#include <stdint.h>

void ep_say(const char *text);
/* At least `digits` decimal digits. */
void ep_say_decimal(uint64_t value, uint32_t digits);
/* m-results-[...]: all outputs as numbers, dequantized where ep_bench_text_instance tells how. */
void ep_say_results(void);
/* The quotient of value and divisor. */
uint64_t ep_divide(uint64_t value, uint32_t divisor, uint32_t *remainder);

#endif
