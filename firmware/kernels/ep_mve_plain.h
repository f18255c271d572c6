/* The vectors of ep_mve.h in plain C, for cores without Helium and for tests on any host; what the
 * functions do is said there. */
#ifndef EP_MVE_PLAIN_H
#define EP_MVE_PLAIN_H

#include <string.h>

#include "ep_fixed.h"

typedef struct {
    int8_t lane[16];
} ep_v16;
typedef struct {
    int32_t lane[4];
} ep_v4;
typedef struct {
    uint16_t lane[8];
} ep_pairs;

#define EP_V4(LANE)                                                                                \
    ep_v4 r;                                                                                       \
    for (int32_t i = 0; i < 4; ++i) {                                                              \
        r.lane[i] = (int32_t)(LANE);                                                               \
    }                                                                                              \
    return r

EP_INLINE ep_v16 ep_v16_load(const int8_t *from) {
    ep_v16 r;
    memcpy(r.lane, from, 16);
    return r;
}
EP_INLINE void ep_v16_store(int8_t *to, ep_v16 x) {
    memcpy(to, x.lane, 16);
}
EP_INLINE ep_v16 ep_v16_set(int32_t x) {
    ep_v16 r;
    memset(r.lane, x, 16);
    return r;
}
EP_INLINE ep_v16 ep_v16_load_some(const int8_t *from, int32_t count) {
    ep_v16 r = ep_v16_set(0);
    memcpy(r.lane, from, (size_t)count);
    return r;
}
EP_INLINE void ep_v16_store_some(int8_t *to, ep_v16 x, int32_t count) {
    memcpy(to, x.lane, (size_t)count);
}
EP_INLINE ep_v16 ep_v16_max(ep_v16 a, ep_v16 b) {
    for (int32_t i = 0; i < 16; ++i) {
        a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
    }
    return a;
}
EP_INLINE ep_v16 ep_v16_min(ep_v16 a, ep_v16 b) {
    for (int32_t i = 0; i < 16; ++i) {
        a.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
    }
    return a;
}
EP_INLINE ep_v16 ep_v16_pick(const int8_t *from, const uint8_t *index) {
    ep_v16 r;
    for (int32_t i = 0; i < 16; ++i) {
        r.lane[i] = from[index[i]];
    }
    return r;
}
EP_INLINE ep_pairs ep_pairs_load(const uint16_t *from) {
    ep_pairs r;
    memcpy(r.lane, from, sizeof r.lane);
    return r;
}
EP_INLINE ep_v16 ep_v16_gather(const int8_t *from, ep_pairs offsets) {
    ep_v16 r;
    for (int32_t i = 0; i < 8; ++i) {
        memcpy(r.lane + 2 * i, from + offsets.lane[i], 2);
    }
    return r;
}
EP_INLINE int32_t ep_v16_dot(int32_t acc, ep_v16 a, ep_v16 b) {
    for (int32_t i = 0; i < 16; ++i) {
        acc = ep_wrap_mac(acc, a.lane[i], b.lane[i]);
    }
    return acc;
}
EP_INLINE int32_t ep_v16_dot_first(ep_v16 a, ep_v16 b) {
    return ep_v16_dot(0, a, b);
}
EP_INLINE ep_v4 ep_v4_load(const int8_t *from) {
    ep_v4 r;
    memcpy(r.lane, from, sizeof r.lane);
    return r;
}
EP_INLINE ep_v4 ep_v4_load_s8(const int8_t *from) {
    EP_V4(from[i]);
}
EP_INLINE ep_v4 ep_v4_load_s8_some(const int8_t *from, int32_t count) {
    EP_V4(i < count ? from[i] : 0);
}
EP_INLINE void ep_v4_store(int32_t *to, ep_v4 x) {
    memcpy(to, x.lane, sizeof x.lane);
}
EP_INLINE ep_v4 ep_v4_set(int32_t x) {
    EP_V4(x);
}
EP_INLINE ep_v4 ep_v4_of(int32_t a, int32_t b, int32_t c, int32_t d) {
    return (ep_v4){{a, b, c, d}};
}
EP_INLINE ep_v4 ep_v4_dots(ep_v16 x, ep_v16 w0, ep_v16 w1, ep_v16 w2, ep_v16 w3) {
    return ep_v4_of(ep_v16_dot(0, x, w0), ep_v16_dot(0, x, w1), ep_v16_dot(0, x, w2),
                    ep_v16_dot(0, x, w3));
}
EP_INLINE ep_v4 ep_v4_add(ep_v4 a, ep_v4 b) {
    EP_V4(ep_wrap_add(a.lane[i], b.lane[i]));
}
EP_INLINE ep_v4 ep_v4_add_n(ep_v4 a, int32_t b) {
    EP_V4(ep_wrap_add(a.lane[i], b));
}
EP_INLINE ep_v4 ep_v4_mul_add_n(ep_v4 a, ep_v4 b, int32_t c) {
    EP_V4(ep_wrap_add(ep_wrap_mul(a.lane[i], b.lane[i]), c));
}
EP_INLINE ep_v4 ep_v4_and(ep_v4 a, ep_v4 b) {
    EP_V4(a.lane[i] & b.lane[i]);
}
EP_INLINE ep_v4 ep_v4_max(ep_v4 a, ep_v4 b) {
    EP_V4(ep_max32(a.lane[i], b.lane[i]));
}
EP_INLINE ep_v4 ep_v4_min(ep_v4 a, ep_v4 b) {
    EP_V4(ep_min32(a.lane[i], b.lane[i]));
}
EP_INLINE ep_v4 ep_v4_sign(ep_v4 x) {
    EP_V4(x.lane[i] < 0 ? -1 : 0);
}
EP_INLINE ep_v4 ep_v4_high_mul(ep_v4 a, ep_v4 b) {
    EP_V4(ep_doubling_high_mul(a.lane[i], b.lane[i]));
}
EP_INLINE ep_v4 ep_v4_high_mul_n(ep_v4 a, int32_t b) {
    EP_V4(ep_doubling_high_mul(a.lane[i], b));
}
EP_INLINE int32_t ep_mve_shift_one(int32_t x, int32_t bits) {
    if (bits >= 0) {
        return ep_shift_left(x, bits);
    }
    return (int32_t)(((int64_t)x + ((int64_t)1 << (-bits - 1))) >> -bits);
}
EP_INLINE ep_v4 ep_v4_shift(ep_v4 x, ep_v4 bits) {
    EP_V4(ep_mve_shift_one(x.lane[i], bits.lane[i]));
}
EP_INLINE ep_v4 ep_v4_shift_n(ep_v4 x, int32_t bits) {
    EP_V4(ep_mve_shift_one(x.lane[i], bits));
}
EP_INLINE ep_v4 ep_v4_saturate(ep_v4 x) {
    EP_V4(ep_clamp32(x.lane[i], -128, 127));
}
EP_INLINE void ep_v4_store_s8_some(int8_t *to, ep_v4 x, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
        to[i] = (int8_t)x.lane[i];
    }
}
EP_INLINE void ep_v4_store_s8(int8_t *to, ep_v4 x) {
    ep_v4_store_s8_some(to, x, 4);
}
EP_INLINE void ep_v4_scatter_s8_some(int8_t *to, ep_v4 at, ep_v4 x, uint32_t lanes) {
    for (int32_t i = 0; i < 4; ++i) {
        if ((lanes >> (4 * i)) & 1u) {
            to[at.lane[i]] = (int8_t)x.lane[i];
        }
    }
}
EP_INLINE void ep_v4_scatter_s8(int8_t *to, ep_v4 at, ep_v4 x) {
    ep_v4_scatter_s8_some(to, at, x, 0xFFFFu);
}
EP_INLINE void ep_mve_copy(int8_t *to, const int8_t *from, int32_t count) {
    memcpy(to, from, (size_t)count);
}
EP_INLINE void ep_mve_fill(int8_t *to, int32_t value, int32_t count) {
    memset(to, value, (size_t)count);
}
EP_INLINE void ep_mve_collect(int8_t *to, const int8_t *from, int32_t step, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
        to[i] = from[i * step];
    }
}

EP_INLINE void ep_mve_collect_rows(int8_t *to, const int8_t *from, int32_t step, int32_t count,
                                   int32_t rows, int32_t to_line, int32_t from_line) {
    for (int32_t y = 0; y < rows; ++y) {
        ep_mve_collect(to + y * to_line, from + y * from_line, step, count);
    }
}

#endif
