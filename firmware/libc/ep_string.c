/* Memory and text functions, small before fast, but by words where both sides allow it. */
#include <stdint.h>
#include <string.h>

#define WORD (sizeof(uint32_t))

/* Words of any object: the compiler must not conclude anything from their type. */
typedef uint32_t __attribute__((may_alias)) any_word;

static int aligned(const void *a, const void *b) {
    return (((uintptr_t)a | (uintptr_t)b) & (WORD - 1u)) == 0u;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    unsigned char *out = to;
    const unsigned char *in = from;

    if (aligned(out, in)) {
        while (bytes >= 4u * WORD) {
            const uint32_t w0 = ((const any_word *)in)[0];
            const uint32_t w1 = ((const any_word *)in)[1];
            const uint32_t w2 = ((const any_word *)in)[2];
            const uint32_t w3 = ((const any_word *)in)[3];

            ((any_word *)out)[0] = w0;
            ((any_word *)out)[1] = w1;
            ((any_word *)out)[2] = w2;
            ((any_word *)out)[3] = w3;
            in += 4u * WORD;
            out += 4u * WORD;
            bytes -= 4u * WORD;
        }
        while (bytes >= WORD) {
            *(any_word *)out = *(const any_word *)in;
            in += WORD;
            out += WORD;
            bytes -= WORD;
        }
    }
    while (bytes > 0u) {
        *out++ = *in++;
        bytes--;
    }
    return to;
}

void *memmove(void *to, const void *from, size_t bytes) {
    unsigned char *out = to;
    const unsigned char *in = from;

    if ((uintptr_t)out - (uintptr_t)in >= bytes) { /* front to back is safe */
        if (aligned(out, in)) {
            for (; bytes >= WORD; bytes -= WORD, in += WORD, out += WORD) {
                *(any_word *)out = *(const any_word *)in;
            }
        }
        for (; bytes > 0u; bytes--) {
            *out++ = *in++;
        }
        return to;
    }
    out += bytes;
    in += bytes;
    if (aligned(out, in)) {
        for (; bytes >= WORD; bytes -= WORD) {
            in -= WORD;
            out -= WORD;
            *(any_word *)out = *(const any_word *)in;
        }
    }
    for (; bytes > 0u; bytes--) {
        *--out = *--in;
    }
    return to;
}

void *memset(void *to, int value, size_t bytes) {
    unsigned char *out = to;
    const uint32_t word = (uint32_t)(unsigned char)value * 0x01010101u;

    if (aligned(out, out)) {
        for (; bytes >= WORD; bytes -= WORD, out += WORD) {
            *(any_word *)out = word;
        }
    }
    for (; bytes > 0u; bytes--) {
        *out++ = (unsigned char)value;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes) {
    const unsigned char *x = a;
    const unsigned char *y = b;

    for (; bytes > 0u; bytes--, x++, y++) {
        if (*x != *y) {
            return *x - *y;
        }
    }
    return 0;
}

size_t strlen(const char *text) {
    const char *end = text;

    while (*end != '\0') {
        end++;
    }
    return (size_t)(end - text);
}

int strcmp(const char *a, const char *b) {
    return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t most) {
    for (; most > 0u; most--, a++, b++) {
        if (*a != *b) {
            return (unsigned char)*a - (unsigned char)*b;
        }
        if (*a == '\0') {
            break;
        }
    }
    return 0;
}
