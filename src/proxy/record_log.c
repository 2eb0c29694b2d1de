#include "proxy/record_log.h"

#include "observe/access_log.h"
#include "observe/log_thread.h"
#include "observe/recall.h"
#include "observe/tail.h"
#include "proxy/front_state.h"

/* How often connections that got no record of their own are looked through for a summary. */
enum { SUMMARY_TICK_MS = 1000 };

void record_keep(struct front *front, const struct access_record *record)
{
    recall_put(front->recall, record);
    for (unsigned i = 0; i < front->tail_count; i++)
        tail_offer(front->tails[i], front->thread, record);
}

void record_log(struct front *front, const struct log_conf *conf, struct access_record *record)
{
    static _Thread_local char line[ACCESS_LOG_LINE_MAX];
    size_t i = 0;
    if (conf->target == 0 || front->log == NULL)
        return;
    while (i < front->log_count && front->logs[i].id != conf->target)
        i++;
    if (i == front->log_count)
        return;
    record->show = (uint8_t)((conf->show_query ? ACCESS_SHOW_QUERY : 0) |
                             (conf->show_cookies ? ACCESS_SHOW_COOKIES : 0) |
                             (conf->show_authorization ? ACCESS_SHOW_AUTHORIZATION : 0));
    struct text text = text_over(line, sizeof line);
    access_log_add(&text, record, conf->combined ? ACCESS_LOG_COMBINED : ACCESS_LOG_JSON);
    if (text.len != 0)
        (void)!log_ring_put(front->log, front->logs[i].slot, text_str(&text));
}

void record_log_connection(struct front *front, const struct log_conf *conf,
                           struct access_record *record)
{
    if (front->summary_timer.at_ms == 0)
        timer_set(front->loop, &front->summary_timer, SUMMARY_TICK_MS);
    if (!conn_limiter_admit(front->limiter, &record->peer, loop_now_ms(front->loop)))
        return;
    record_keep(front, record);
    record_log(front, conf, record);
}

/* Summaries go where records of the first site of the first listener go. */
static const struct log_conf *summary_log(const struct front *front)
{
    const struct snapshot *snapshot = front->snapshot;
    return snapshot->site_count ? &snapshot->sites[0]->conf->log : NULL;
}

static void log_summaries(struct front *front, bool all)
{
    struct conn_summary summary;
    while (front->snapshot != NULL && summary_log(front) != NULL &&
           conn_limiter_summary(front->limiter, loop_now_ms(front->loop), all, &summary)) {
        struct access_record record;
        access_record_init(&record, ACCESS_SUMMARY);
        record.client = summary.addr;
        record.count = summary.count;
        record_log(front, summary_log(front), &record);
    }
}

static void on_summary_timer(struct loop_timer *timer)
{
    struct front *front = LIST_OF(timer, struct front, summary_timer);
    log_summaries(front, false);
    timer_set(front->loop, &front->summary_timer, SUMMARY_TICK_MS);
}

void record_log_start(struct front *front)
{
    front->summary_timer.on_fire = on_summary_timer;
}

void record_log_end(struct front *front)
{
    timer_clear(&front->summary_timer);
    log_summaries(front, true);
}
