/* The functions of <string.h> that edgepack's firmware and compilers use, for compilers that come
 * without a C library. Semantics: C99 7.21. */
#ifndef EP_LIBC_STRING_H
#define EP_LIBC_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t most);

#endif
