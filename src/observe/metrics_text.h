/*
 * The text format of Prometheus, version 0.0.4: families of samples with their help and type
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). All samples of a family stand
 * together, behind its head. Labels are pairs whose value may be anything: it is escaped; empty
 * ones are left out, as an empty label means none.
 */
#ifndef PC_OBSERVE_METRICS_TEXT_H
#define PC_OBSERVE_METRICS_TEXT_H

#include "base/text.h"
#include "observe/metrics.h"

struct metrics_label {
    const char *name;
    struct str value;
};

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

/* The head of a family; `help` is one line. */
void metrics_text_head(struct text *text, const char *name, enum metrics_type type,
                       const char *help);

/* One sample; `labels` may be NULL. */
void metrics_text_sample(struct text *text, const char *name, const struct metrics_label *labels,
                         size_t label_count, uint64_t value);
/* The same of microseconds, written as seconds. */
void metrics_text_seconds(struct text *text, const char *name, const struct metrics_label *labels,
                          size_t label_count, uint64_t us);
/* All samples of a histogram: cumulative buckets with their bound as `le`, sum and count. */
void metrics_text_histogram(struct text *text, const char *name, const struct metrics_label *labels,
                            size_t label_count, const struct metrics_histogram *histogram);

#endif
