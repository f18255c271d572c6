#include "ep_anomaly.h"

#include <string.h>

#include "ep_bench_model.h"

static const ep_bench_text *const ep_text = &ep_bench_text_instance;

void ep_anomaly_load(void) {
    const ep_bench_score *score = ep_text->score;
    const ep_bench_tensor *tensor = &ep_text->inputs[0];
    void *input = ep_bench_model_instance.input(0u);
    uint32_t i;
    if (tensor->type == EP_TYPE_F32) {
        memcpy(input, score->sample, score->count * sizeof(float));
        return;
    }
    for (i = 0u; i < score->count; i++) {
        ((int8_t *)input)[i] =
            (int8_t)ep_quantize(score->sample[i], tensor->scale, tensor->zero_point, -128, 127);
    }
}

float ep_anomaly_score(void) {
    const ep_bench_score *score = ep_text->score;
    const ep_bench_tensor *tensor = &ep_text->outputs[0];
    const void *output = ep_bench_model_instance.output(0u);
    float sum = 0.0f;
    uint32_t i;
    for (i = 0u; i < score->count; i++) {
        float value;
        if (tensor->type == EP_TYPE_F32) {
            memcpy(&value, (const uint8_t *)output + i * sizeof value, sizeof value);
        } else {
            int32_t steps = ((const int8_t *)output)[i] - tensor->zero_point;
            value = (float)steps * tensor->scale;
        }
        sum += (value - score->sample[i]) * (value - score->sample[i]);
    }
    return sum / (float)score->count;
}
