/* A stand-in: see README.md. */
void esp_restart(void) __attribute__((noreturn));
