/* ep_anomaly.c by itself: loads samples and prints what became of them, one line each. */
#include <math.h>
#include <stdio.h>

#include "ep_anomaly.h"
#include "ep_bench_model.h"

#define VALUES 7u

static int8_t input_values[VALUES];
static int8_t output_values[VALUES];
static float sample[VALUES];

static void *stub_input(uint32_t index) {
    (void)index;
    return input_values;
}

static const void *stub_output(uint32_t index) {
    (void)index;
    return output_values;
}

const ep_bench_model ep_bench_model_instance = {
    .input_count = 1u, .output_count = 1u, .input = stub_input, .output = stub_output};

static const ep_bench_tensor tensor = {EP_TYPE_S8, 0.5f, 10};
static const ep_bench_score score = {sample, VALUES, ep_anomaly_load, ep_anomaly_score};
const ep_bench_text ep_bench_text_instance = {&tensor, &tensor, EP_TEXT_INPUT_RAW, &score};

int main(void) {
    static const float samples[][VALUES] = {
        {0.0f, 0.24f, 0.25f, -0.25f, -0.26f, 58.5f, -69.0f},
        {59.0f, -70.0f, 1e30f, -1e30f, INFINITY, -INFINITY, NAN},
    };
    uint32_t row;
    uint32_t i;
    for (row = 0u; row < 2u; row++) {
        for (i = 0u; i < VALUES; i++) {
            sample[i] = samples[row][i];
        }
        ep_anomaly_load();
        for (i = 0u; i < VALUES; i++) {
            printf("%d ", input_values[i]);
            output_values[i] = input_values[i];
        }
        printf("%.6f\n", (double)ep_anomaly_score());
    }
    return 0;
}
