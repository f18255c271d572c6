/* The inner products of the `mve` kernels: VMLADAVA multiplies sixteen pairs of int8 and adds them to
 * one general register; weights are read front to back.
 *
 * Weights of four filters stand together: for every sixteen inputs (a chunk), sixteen bytes of each
 * filter in turn. Inputs are padded to whole chunks, where weights are zero. */
#ifndef EP_DOT_MVE_H
#define EP_DOT_MVE_H

#include "ep_mve.h"

#define EP_CHUNK 16 /* inputs of one vector */

#if EP_MVE_ASM && defined(__OPTIMIZE__)

/* One chunk: sums of position 0 in r0, r2, r4, r6 and of position 1 in r8, r10, r12, lr (VMLADAVA
 * only takes even registers). X: where the inputs are. 14 instructions, 128 multiplications. */
#define EP_MVE_DOT_CHUNK(MAC, X)                                                                   \
    "vldrb.8 q0, [%[x0]" X "\n\tvldrb.8 q2, [%[w]], #16\n\t"                                       \
    "vldrb.8 q1, [%[x1]" X "\n\t" MAC " r0, q0, q2\n\t"                                            \
    "vldrb.8 q3, [%[w]], #16\n\t" MAC " r8, q1, q2\n\t" MAC " r2, q0, q3\n\t"                      \
    "vldrb.8 q2, [%[w]], #16\n\t" MAC " r10, q1, q3\n\t" MAC " r4, q0, q2\n\t"                     \
    "vldrb.8 q3, [%[w]], #16\n\t" MAC " r12, q1, q2\n\t" MAC " r6, q0, q3\n\t" MAC                 \
    " lr, q1, q3\n\t"
#define EP_MVE_DOT_AT(X) EP_MVE_DOT_CHUNK("vmladava.s8", ", #" #X "]")
#define EP_MVE_DOT_STEP EP_MVE_DOT_CHUNK("vmladava.s8", "], #16")
#define EP_MVE_DOT_2 EP_MVE_DOT_CHUNK("vmladav.s8", "]") EP_MVE_DOT_AT(16)
#define EP_MVE_DOT_4 EP_MVE_DOT_2 EP_MVE_DOT_AT(32) EP_MVE_DOT_AT(48)

/* The sums as two vectors. */
#define EP_MVE_DOT_END                                                                             \
    "vmov %q[s0][2], %q[s0][0], r0, r4\n\tvmov %q[s0][3], %q[s0][1], r2, r6\n\t"                   \
    "vmov %q[s1][2], %q[s1][0], r8, r12\n\tvmov %q[s1][3], %q[s1][1], r10, lr"
#define EP_MVE_DOT_CLOBBERS                                                                        \
    "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "q0", "q1", "q2", "q3", "memory"
#define EP_MVE_DOT_ASM(CODE)                                                                       \
    __asm__ volatile(CODE EP_MVE_DOT_END                                                           \
                     : [w] "+r"(w), [s0] "=w"(*s0), [s1] "=w"(*s1)                                 \
                     : [x0] "r"(x0), [x1] "r"(x1)                                                  \
                     : EP_MVE_DOT_CLOBBERS)

/* Any number of chunks: the first, one if one is left over of two, two if two of four, then fours. */
EP_INLINE const int8_t *ep_dot_4x2_loop(ep_v4 *s0, ep_v4 *s1, const int8_t *w, const int8_t *x0,
                                        const int8_t *x1, int32_t chunks) {
    int32_t n = chunks - 1;
    __asm__ volatile(
        EP_MVE_DOT_CHUNK(
            "vmladav.s8",
            "], #16") "tst %[n], #1\n\tbeq 1f\n\t" EP_MVE_DOT_STEP
                      "1:\n\ttst %[n], #2\n\tbeq 2f\n\t" EP_MVE_DOT_STEP EP_MVE_DOT_STEP
                      "2:\n\tasrs %[n], %[n], #2\n\tbeq 4f\n\t"
                      "3:\n\t" EP_MVE_DOT_STEP EP_MVE_DOT_STEP EP_MVE_DOT_STEP EP_MVE_DOT_STEP
                      "subs %[n], %[n], #1\n\tbne 3b\n4:\n\t" EP_MVE_DOT_END
        : [w] "+r"(w), [x0] "+r"(x0), [x1] "+r"(x1), [n] "+r"(n), [s0] "=w"(*s0), [s1] "=w"(*s1)
        :
        : EP_MVE_DOT_CLOBBERS, "cc");
    return w;
}

/* Four filters at two positions. Returns the weights that follow. */
EP_INLINE const int8_t *ep_dot_4x2(ep_v4 *s0, ep_v4 *s1, const int8_t *w, const int8_t *x0,
                                   const int8_t *x1, int32_t chunks) {
    if (!__builtin_constant_p(chunks) || chunks > 8) {
        return ep_dot_4x2_loop(s0, s1, w, x0, x1, chunks);
    } else if (chunks == 1) {
        EP_MVE_DOT_ASM(EP_MVE_DOT_CHUNK("vmladav.s8", "]"));
    } else if (chunks == 2) {
        EP_MVE_DOT_ASM(EP_MVE_DOT_2);
    } else if (chunks == 3) {
        EP_MVE_DOT_ASM(EP_MVE_DOT_2 EP_MVE_DOT_AT(32));
    } else if (chunks == 4) {
        EP_MVE_DOT_ASM(EP_MVE_DOT_4);
    } else if (chunks == 5) {
        EP_MVE_DOT_ASM(EP_MVE_DOT_4 EP_MVE_DOT_AT(64));
    } else if (chunks == 6) {
        EP_MVE_DOT_ASM(EP_MVE_DOT_4 EP_MVE_DOT_AT(64) EP_MVE_DOT_AT(80));
    } else if (chunks == 7) {
        EP_MVE_DOT_ASM(EP_MVE_DOT_4 EP_MVE_DOT_AT(64) EP_MVE_DOT_AT(80) EP_MVE_DOT_AT(96));
    } else {
        EP_MVE_DOT_ASM(EP_MVE_DOT_4 EP_MVE_DOT_AT(64) EP_MVE_DOT_AT(80) EP_MVE_DOT_AT(96)
                           EP_MVE_DOT_AT(112));
    }
    return w;
}

/* Four filters at one position; sums in r0, r2, r4, r6. 9 instructions, 64 multiplications. */
#define EP_MVE_DOT_CHUNK_1                                                                         \
    "vldrb.8 q0, [%[x]], #16\n\tvldrb.8 q1, [%[w]], #16\n\tvmladava.s8 r0, q0, q1\n\t"             \
    "vldrb.8 q2, [%[w]], #16\n\tvmladava.s8 r2, q0, q2\n\t"                                        \
    "vldrb.8 q1, [%[w]], #16\n\tvmladava.s8 r4, q0, q1\n\t"                                        \
    "vldrb.8 q2, [%[w]], #16\n\tvmladava.s8 r6, q0, q2\n\t"

/* `count` inputs, of which the last vector need not be whole. Returns the weights that follow. */
EP_INLINE const int8_t *ep_dot_4x1(ep_v4 *s, const int8_t *w, const int8_t *x, int32_t count) {
    const int32_t fours = count / (4 * EP_CHUNK), rest = count % (4 * EP_CHUNK);
    __asm__ volatile("movs r0, #0\n\tmovs r2, #0\n\tmovs r4, #0\n\tmovs r6, #0\n\t"
                     "wls lr, %[fours], 2f\n1:\n\t" EP_MVE_DOT_CHUNK_1 EP_MVE_DOT_CHUNK_1
                         EP_MVE_DOT_CHUNK_1 EP_MVE_DOT_CHUNK_1 "le lr, 1b\n2:\n\t"
                     "wlstp.8 lr, %[rest], 4f\n3:\n\t" EP_MVE_DOT_CHUNK_1 "letp lr, 3b\n4:\n\t"
                     "vmov %q[s][2], %q[s][0], r0, r4\n\tvmov %q[s][3], %q[s][1], r2, r6"
                     : [w] "+r"(w), [x] "+r"(x), [s] "=w"(*s)
                     : [fours] "r"(fours), [rest] "r"(rest)
                     : "r0", "r2", "r4", "r6", "lr", "q0", "q1", "q2", "cc", "memory");
    return w;
}

#else

EP_INLINE const int8_t *ep_dot_4x2(ep_v4 *s0, ep_v4 *s1, const int8_t *w, const int8_t *x0,
                                   const int8_t *x1, int32_t chunks) {
    int32_t a[4] = {0, 0, 0, 0}, b[4] = {0, 0, 0, 0};
    for (int32_t k = 0; k < chunks; ++k, x0 += EP_CHUNK, x1 += EP_CHUNK) {
        for (int32_t f = 0; f < 4; ++f, w += EP_CHUNK) {
            a[f] = ep_v16_dot(a[f], ep_v16_load(x0), ep_v16_load(w));
            b[f] = ep_v16_dot(b[f], ep_v16_load(x1), ep_v16_load(w));
        }
    }
    *s0 = ep_v4_of(a[0], a[1], a[2], a[3]);
    *s1 = ep_v4_of(b[0], b[1], b[2], b[3]);
    return w;
}

EP_INLINE const int8_t *ep_dot_4x1(ep_v4 *s, const int8_t *w, const int8_t *x, int32_t count) {
    int32_t sums[4] = {0, 0, 0, 0};
    for (int32_t k = 0; k < count; k += EP_CHUNK) {
        const ep_v16 inputs =
            k + EP_CHUNK <= count ? ep_v16_load(x + k) : ep_v16_load_some(x + k, count - k);
        for (int32_t f = 0; f < 4; ++f, w += EP_CHUNK) {
            sums[f] = ep_v16_dot(sums[f], inputs, ep_v16_load(w));
        }
    }
    *s = ep_v4_of(sums[0], sums[1], sums[2], sums[3]);
    return w;
}

#endif

#endif
