/* MLPerf Tiny's anomaly detection: the sample arrives as floats, and the result is the mean of the
 * squared differences between them and the dequantized output. Linked where generated code asks. */
#ifndef EP_ANOMALY_H
#define EP_ANOMALY_H

/* ep_bench_text_instance.score's sample into the model's first input. */
void ep_anomaly_load(void);
/* The error of the model's first output against the sample. */
float ep_anomaly_score(void);

#endif
