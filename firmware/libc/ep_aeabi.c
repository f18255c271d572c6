/* The memory functions that clang calls on Arm by the names of its ABI's run-time library: IHI 0043,
 * "Run-time ABI for the Arm Architecture", 4.3.4. The argument order of the fills is that of the
 * ABI; the aligned forms may be called where they are known to fit. */
#include <string.h>

#ifdef __arm__

#define COPY(name, function)                                                                       \
    void name(void *to, const void *from, size_t bytes);                                           \
    void name(void *to, const void *from, size_t bytes) {                                          \
        (void)function(to, from, bytes);                                                           \
    }
#define FILL(name)                                                                                 \
    void name(void *to, size_t bytes, int value);                                                  \
    void name(void *to, size_t bytes, int value) {                                                 \
        (void)memset(to, value, bytes);                                                            \
    }
#define CLEAR(name)                                                                                \
    void name(void *to, size_t bytes);                                                             \
    void name(void *to, size_t bytes) {                                                            \
        (void)memset(to, 0, bytes);                                                                \
    }

COPY(__aeabi_memcpy, memcpy)
COPY(__aeabi_memcpy4, memcpy)
COPY(__aeabi_memcpy8, memcpy)
COPY(__aeabi_memmove, memmove)
COPY(__aeabi_memmove4, memmove)
COPY(__aeabi_memmove8, memmove)
FILL(__aeabi_memset)
FILL(__aeabi_memset4)
FILL(__aeabi_memset8)
CLEAR(__aeabi_memclr)
CLEAR(__aeabi_memclr4)
CLEAR(__aeabi_memclr8)

#else

typedef int ep_nothing; /* C99 wants a declaration in every file */

#endif
