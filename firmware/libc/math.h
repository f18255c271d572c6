/* The functions of <math.h> that kernels may use, for compilers that come without a C library.
 * Semantics: C99 7.12, round to nearest, no errno, no floating-point exceptions. Errors are stated
 * in units of the last place of the result, against the exact value; tests/host/test_libc.py
 * checks them. */
#ifndef EP_LIBC_MATH_H
#define EP_LIBC_MATH_H

#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define HUGE_VALF __builtin_inff()
#define isnan(x) __builtin_isnan(x)
#define isinf(x) __builtin_isinf(x)

/* exact */
float fabsf(float x);
float floorf(float x);
float ceilf(float x);
float truncf(float x);
float rintf(float x);  /* halves to even */
float roundf(float x); /* halves away from zero */
long lroundf(float x); /* the same; beyond the range of long, the nearest long */
float fmodf(float x, float y);
float copysignf(float x, float y);
double fabs(double x);
double floor(double x);

/* correctly rounded */
float sqrtf(float x);

/* in float arithmetic, below 1.5 units */
float expf(float x);
float logf(float x);

/* in double arithmetic, below 0.51 units */
float sinf(float x);
float cosf(float x);
float tanhf(float x);
float expm1f(float x);
float log1pf(float x);
float powf(float x, float y);

/* below 2 units of a double */
double exp(double x);
double log(double x);

#define fabsf(x) __builtin_fabsf(x)
#if (defined(__ARM_FP) && (__ARM_FP & 4)) || defined(__riscv_flen)
#define sqrtf(x) __builtin_sqrtf(x) /* one instruction */
#endif

#endif
