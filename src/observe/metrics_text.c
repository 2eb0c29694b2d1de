#include "observe/metrics_text.h"

#include "base/utf8.h"

#include <inttypes.h>

void metrics_text_head(struct text *text, const char *name, enum metrics_type type,
                       const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    text_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, types[type]);
}

/* Label values are UTF-8 with backslash, quote and line feed escaped; what is no UTF-8 becomes
 * U+FFFD, since one bad byte would make the reader refuse the whole answer. */
static void add_value(struct text *text, struct str s)
{
    while (!str_empty(s)) {
        size_t len = utf8_length(s);
        if (len == 0)
            text_add_z(text, "\xef\xbf\xbd");
        else if (s.at[0] == '\\' || s.at[0] == '"')
            text_printf(text, "\\%c", s.at[0]);
        else if (s.at[0] == '\n')
            text_add_z(text, "\\n");
        else
            text_add(text, str_sub(s, 0, len));
        s = str_skip(s, len == 0 ? 1 : len);
    }
}

/* "{a="b",c="d"", open: the caller may add one more and closes. Answers whether any was added. */
static bool add_labels(struct text *text, const struct metrics_label *labels, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (str_empty(labels[i].value))
            continue;
        text_printf(text, "%c%s=\"", any ? ',' : '{', labels[i].name);
        add_value(text, labels[i].value);
        text_add_byte(text, '"');
        any = true;
    }
    return any;
}

static void add_name(struct text *text, const char *name, const char *suffix,
                     const struct metrics_label *labels, size_t count)
{
    text_add_z(text, name);
    text_add_z(text, suffix);
    if (add_labels(text, labels, count))
        text_add_byte(text, '}');
    text_add_byte(text, ' ');
}

static void add_seconds(struct text *text, uint64_t us)
{
    text_printf(text, "%" PRIu64 ".%06u", us / 1000000, (unsigned)(us % 1000000));
}

void metrics_text_sample(struct text *text, const char *name, const struct metrics_label *labels,
                         size_t label_count, uint64_t value)
{
    add_name(text, name, "", labels, label_count);
    text_add_u64(text, value);
    text_add_byte(text, '\n');
}

void metrics_text_seconds(struct text *text, const char *name, const struct metrics_label *labels,
                          size_t label_count, uint64_t us)
{
    add_name(text, name, "", labels, label_count);
    add_seconds(text, us);
    text_add_byte(text, '\n');
}

/* Bounds as short as they can be, since readers compare them as text: 0.005, 1, 2.5. */
static void add_bound(struct text *text, uint32_t us)
{
    char fraction[8];
    struct text digits = text_over(fraction, sizeof fraction);
    text_printf(&digits, "%06u", (unsigned)(us % 1000000));
    while (digits.len > 0 && fraction[digits.len - 1] == '0')
        digits.len--;
    text_add_u64(text, us / 1000000);
    if (digits.len > 0)
        text_add_byte(text, '.');
    text_add(text, text_str(&digits));
}

static void add_bucket(struct text *text, const char *name, const struct metrics_label *labels,
                       size_t label_count, unsigned bucket, uint64_t count)
{
    text_add_z(text, name);
    text_add_z(text, "_bucket");
    text_add_z(text, add_labels(text, labels, label_count) ? ",le=\"" : "{le=\"");
    if (bucket == METRICS_BUCKETS - 1)
        text_add_z(text, "+Inf");
    else
        add_bound(text, metrics_bounds_us[bucket]);
    text_add_z(text, "\"} ");
    text_add_u64(text, count);
    text_add_byte(text, '\n');
}

void metrics_text_histogram(struct text *text, const char *name, const struct metrics_label *labels,
                            size_t label_count, const struct metrics_histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
        count += histogram->buckets[i];
        add_bucket(text, name, labels, label_count, i, count);
    }
    add_name(text, name, "_sum", labels, label_count);
    add_seconds(text, histogram->sum_us);
    text_add_byte(text, '\n');
    add_name(text, name, "_count", labels, label_count);
    text_add_u64(text, count);
    text_add_byte(text, '\n');
}
