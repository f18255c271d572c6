/* A stand-in: see README.md. */
#ifndef STUB_QUEUE_H
#define STUB_QUEUE_H
#include "freertos/FreeRTOS.h"
typedef struct queue *QueueHandle_t;
BaseType_t xQueueReceive(QueueHandle_t queue, void *item, TickType_t wait);
#endif
