/* UNIDIRECTIONAL_SEQUENCE_LSTM without peephole, projection and layer normalization. Gates lie in
 * the order forget, input, cell, output: weights [4 * units][inputs], recurrent [4 * units][units],
 * biases [4 * units]. hidden and cell, [batches][units], are state. */
#ifndef EP_LSTM_H
#define EP_LSTM_H

#include "ep_activation.h"

typedef struct {
    int32_t batches, steps, inputs, units;
    int32_t in_batch, in_step, out_batch, out_step; /* elements between neighbours */
    int32_t multiplier[4], shift[4];                /* sums over the input to Q3.12 */
    int32_t recurrent_multiplier[4], recurrent_shift[4];
    int32_t forget_multiplier, forget_shift; /* forget gate * cell to the cell's scale */
    int32_t update_multiplier, update_shift; /* input gate * cell gate to the cell's scale */
    int32_t hidden_multiplier, hidden_shift, hidden_offset;
    ep_sigmoid_s16_params squash; /* tanh of the cell state */
    ep_sigmoid_s16_params gate;   /* sigmoid and tanh of a gate */
    int32_t clip;                 /* limit of the cell state, 0: none */
} ep_lstm_params;

typedef struct {
    int32_t batches, steps, inputs, units;
    int32_t in_batch, in_step, out_batch, out_step;
    float clip;
} ep_lstm_f32_params;

EP_INLINE int16_t ep_lstm_saturate(int32_t x) {
    return (int16_t)ep_clamp32(x, -32768, 32767);
}

/* int8 sums take 32 bits, int16 sums 64. Biases hold what the zero points contribute. */
EP_INLINE int16_t ep_lstm_dense_s8(int32_t count, const int8_t *x, const int8_t *w, int32_t bias,
                                   int32_t multiplier, int32_t shift) {
    int32_t acc = bias;
    for (int32_t i = 0; i < count; ++i) {
        acc = ep_wrap_mac(acc, w[i], x[i]);
    }
    return ep_lstm_saturate(ep_requantize(acc, multiplier, shift));
}

EP_INLINE int16_t ep_lstm_dense_s16(int32_t count, const int16_t *x, const int8_t *w, int64_t bias,
                                    int32_t multiplier, int32_t shift) {
    int64_t acc = bias;
    for (int32_t i = 0; i < count; ++i) {
        acc += (int32_t)w[i] * x[i];
    }
    return ep_lstm_saturate(ep_requantize64(acc, multiplier, shift));
}

/* The new cell state from the activated gates of one batch; `gates` holds tanh of it afterwards. */
EP_INLINE void ep_lstm_cell(const ep_lstm_params *p, const uint16_t *table, int16_t *gates,
                            int16_t *cell) {
    const int32_t n = p->units;
    ep_logistic_s16(&p->gate, gates, table, gates);
    ep_logistic_s16(&p->gate, gates + n, table, gates + n);
    ep_tanh_s16(&p->gate, gates + 2 * n, table, gates + 2 * n);
    ep_logistic_s16(&p->gate, gates + 3 * n, table, gates + 3 * n);
    for (int32_t u = 0; u < n; ++u) {
        const int32_t kept = ep_lstm_saturate(
            ep_requantize((int32_t)gates[u] * cell[u], p->forget_multiplier, p->forget_shift));
        const int32_t added = ep_lstm_saturate(ep_requantize(
            (int32_t)gates[n + u] * gates[2 * n + u], p->update_multiplier, p->update_shift));
        int32_t sum = ep_lstm_saturate(kept + added);
        if (p->clip > 0) {
            sum = ep_clamp32(sum, -p->clip, p->clip);
        }
        cell[u] = (int16_t)sum;
    }
    ep_tanh_s16(&p->squash, cell, table, gates);
}

#define EP_LSTM(NAME, DENSE, T, BIAS_T, LOW, HIGH)                                                 \
    EP_INLINE void NAME(const ep_lstm_params *p, const T *in, const int8_t *weights,               \
                        const int8_t *recurrent, const BIAS_T *bias, const BIAS_T *recurrent_bias, \
                        const uint16_t *table, T *hidden, int16_t *cell, int16_t *gates, T *out) { \
        const int32_t n = p->units;                                                                \
        for (int32_t b = 0; b < p->batches; ++b) {                                                 \
            T *const h = hidden + b * n;                                                           \
            for (int32_t t = 0; t < p->steps; ++t) {                                               \
                const T *const x = in + b * p->in_batch + t * p->in_step;                          \
                T *const y = out + b * p->out_batch + t * p->out_step;                             \
                for (int32_t g = 0; g < 4; ++g) {                                                  \
                    for (int32_t u = g * n; u < (g + 1) * n; ++u) {                                \
                        const int16_t first = DENSE(p->inputs, x, weights + u * p->inputs,         \
                                                    bias[u], p->multiplier[g], p->shift[g]);       \
                        const int16_t second =                                                     \
                            DENSE(n, h, recurrent + u * n, recurrent_bias[u],                      \
                                  p->recurrent_multiplier[g], p->recurrent_shift[g]);              \
                        gates[u] = ep_lstm_saturate((int32_t)first + second);                      \
                    }                                                                              \
                }                                                                                  \
                ep_lstm_cell(p, table, gates, cell + b * n);                                       \
                for (int32_t u = 0; u < n; ++u) {                                                  \
                    const int32_t product = (int32_t)gates[u] * gates[3 * n + u];                  \
                    h[u] = (T)ep_requantize_to(product, p->hidden_multiplier, p->hidden_shift,     \
                                               p->hidden_offset, LOW, HIGH);                       \
                    y[u] = h[u];                                                                   \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

EP_LSTM(ep_lstm_s8, ep_lstm_dense_s8, int8_t, int32_t, -128, 127)
EP_LSTM(ep_lstm_s16, ep_lstm_dense_s16, int16_t, int64_t, -32768, 32767)

EP_INLINE void ep_lstm_f32(const ep_lstm_f32_params *p, const float *in, const float *weights,
                           const float *recurrent, const float *bias, float *hidden, float *cell,
                           float *gates, float *out) {
    const int32_t n = p->units;
    for (int32_t b = 0; b < p->batches; ++b) {
        float *const h = hidden + b * n, *const c = cell + b * n;
        for (int32_t t = 0; t < p->steps; ++t) {
            const float *const x = in + b * p->in_batch + t * p->in_step;
            float *const y = out + b * p->out_batch + t * p->out_step;
            for (int32_t u = 0; u < 4 * n; ++u) {
                float sum = 0.0f, again = 0.0f;
                for (int32_t i = 0; i < p->inputs; ++i) {
                    sum += weights[u * p->inputs + i] * x[i];
                }
                for (int32_t i = 0; i < n; ++i) {
                    again += recurrent[u * n + i] * h[i];
                }
                gates[u] = (sum + bias[u]) + again;
            }
            for (int32_t u = 0; u < n; ++u) {
                float sum = ep_logistic_f32(gates[u]) * c[u] +
                            ep_logistic_f32(gates[n + u]) * ep_tanh_f32(gates[2 * n + u]);
                if (p->clip > 0.0f) {
                    sum = sum < -p->clip ? -p->clip : sum;
                    sum = sum > p->clip ? p->clip : sum;
                }
                c[u] = sum;
                h[u] = ep_logistic_f32(gates[3 * n + u]) * ep_tanh_f32(sum);
                y[u] = h[u];
            }
        }
    }
}

#endif
