/* The two string functions that the bench firmware needs, in a few bytes: the C library's are made
 * for speed and take a kilobyte of flash. */
#ifndef EP_STRING_H
#define EP_STRING_H

#include <stdbool.h>
#include <stddef.h>

static inline size_t ep_length(const char *text) {
    size_t n = 0u;
    while (text[n] != '\0') {
        ++n;
    }
    return n;
}

static inline bool ep_same(const char *a, const char *b) {
    while (*a != '\0' && *a == *b) {
        ++a;
        ++b;
    }
    return *a == *b;
}

#endif
