/*
 * What TensorFlow Lite Micro expects of a C and C++ library and a board has no use for. Without
 * these, its log and its aborts would pull in stdio, and that a file system and a heap.
 */
#include <stddef.h>

extern "C" {

/* TFLM's log. Build the model for the host target to read it. */
void DebugLog(const char *) {}

int DebugVsnprintf(char *text, size_t bytes, const char *, ...) {
    if (bytes > 0u) {
        text[0] = '\0';
    }
    return 0;
}

/* A failed check of TFLM: the fault handler reports where, and restarts. */
__attribute__((noreturn)) void abort(void) {
    __builtin_trap();
}

__attribute__((noreturn)) void __cxa_pure_virtual(void) {
    __builtin_trap();
}

} /* extern "C" */

/* Every virtual destructor mentions delete; nothing is ever allocated on a heap. */
void operator delete(void *) noexcept {}
void operator delete(void *, size_t) noexcept {}
