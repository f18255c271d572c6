/* A stand-in: see README.md. */
#include <stdint.h>
uint32_t esp_cpu_get_cycle_count(void);
void *esp_cpu_get_sp(void);
