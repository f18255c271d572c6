/* A stand-in: see README.md. */
#include "freertos/FreeRTOS.h"
