/*
 * How many requests of an upstream may be sent a second time: a fifth of them, so that retries
 * never make much of an outage worse. Each request saves a fifth of a retry; a site that is quiet
 * has RETRY_FLOOR at hand all the same, regained at RETRY_FLOOR_PER_S. What can be saved up is
 * bounded by the requests of five seconds: enough for all that was under way at an origin that
 * dies.
 *
 * Of one thread, kept per list of origins as the round-robin place is, so a reload forgets nothing.
 */
#ifndef PC_UPSTREAM_RETRY_BUDGET_H
#define PC_UPSTREAM_RETRY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RETRY_SHARE = 5, /* one retry for so many requests */
    RETRY_FLOOR = 16,
    RETRY_FLOOR_PER_S = 4,
    RETRY_BUCKETS = 256,
    /* Above it all are forgotten and begin with the floor: only reloads add more. */
    RETRY_BUDGETS_MAX = 64 * 1024,
};

struct retry_budget;

struct retry_budgets {
    struct retry_budget *buckets[RETRY_BUCKETS];
    unsigned count;
};

void retry_budgets_init(struct retry_budgets *budgets);
void retry_budgets_fini(struct retry_budgets *budgets);

/* A request begins (once per exchange). */
void retry_budget_earn(struct retry_budgets *budgets, uint64_t identity, uint64_t now_ms);
/* May one be sent again? Then it is spent. Without memory: no. */
bool retry_budget_spend(struct retry_budgets *budgets, uint64_t identity, uint64_t now_ms)
    __attribute__((warn_unused_result));

#endif
