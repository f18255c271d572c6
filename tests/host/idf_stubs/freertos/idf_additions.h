/* A stand-in: see README.md. */
#include <stdint.h>
typedef struct task *TaskHandle_t;
uint8_t *pxTaskGetStackStart(TaskHandle_t task);
