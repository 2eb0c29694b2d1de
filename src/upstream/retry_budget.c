#include "upstream/retry_budget.h"

#include <stdlib.h>

/* All counts but the two of requests are in fifths of a retry. */
struct retry_budget {
    struct retry_budget *next;
    uint64_t identity;
    uint64_t saved;
    uint64_t floor_ms;            /* the floor has been regained up to then */
    uint64_t second_ms;           /* when the present second began */
    uint32_t requests, last_rate; /* of the present second, of the one before */
};

void retry_budgets_init(struct retry_budgets *budgets)
{
    *budgets = (struct retry_budgets){0};
}

void retry_budgets_fini(struct retry_budgets *budgets)
{
    for (unsigned i = 0; i < RETRY_BUCKETS; i++)
        while (budgets->buckets[i] != NULL) {
            struct retry_budget *budget = budgets->buckets[i];
            budgets->buckets[i] = budget->next;
            free(budget);
        }
    budgets->count = 0;
}

static struct retry_budget *budget_of(struct retry_budgets *budgets, uint64_t identity,
                                      uint64_t now_ms)
{
    struct retry_budget **bucket = &budgets->buckets[identity % RETRY_BUCKETS];
    for (struct retry_budget *budget = *bucket; budget != NULL; budget = budget->next)
        if (budget->identity == identity)
            return budget;
    if (budgets->count >= RETRY_BUDGETS_MAX)
        retry_budgets_fini(budgets);
    struct retry_budget *budget = malloc(sizeof *budget);
    if (budget == NULL)
        return NULL;
    *budget = (struct retry_budget){.next = *bucket,
                                    .identity = identity,
                                    .saved = (uint64_t)RETRY_FLOOR * RETRY_SHARE,
                                    .floor_ms = now_ms,
                                    .second_ms = now_ms};
    *bucket = budget;
    budgets->count++;
    return budget;
}

/* What may be saved: the floor, and a fifth of what five seconds bring. */
static uint64_t saved_max(const struct retry_budget *budget)
{
    uint64_t rate = budget->last_rate > budget->requests ? budget->last_rate : budget->requests;
    return ((uint64_t)RETRY_FLOOR + rate) * RETRY_SHARE;
}

void retry_budget_earn(struct retry_budgets *budgets, uint64_t identity, uint64_t now_ms)
{
    struct retry_budget *budget = budget_of(budgets, identity, now_ms);
    if (budget == NULL)
        return;
    if (now_ms - budget->second_ms >= 1000) {
        budget->last_rate = now_ms - budget->second_ms < 2000 ? budget->requests : 0;
        budget->requests = 0;
        budget->second_ms = now_ms;
    }
    budget->requests++;
    uint64_t most = saved_max(budget);
    budget->saved = budget->saved < most ? budget->saved + 1 : most;
}

/* The floor comes back with time alone, and never above itself. */
static void regain_floor(struct retry_budget *budget, uint64_t now_ms)
{
    const uint64_t floor = (uint64_t)RETRY_FLOOR * RETRY_SHARE;
    uint64_t gained = (now_ms - budget->floor_ms) * RETRY_FLOOR_PER_S * RETRY_SHARE / 1000;
    if (gained == 0)
        return;
    budget->floor_ms = now_ms;
    if (budget->saved >= floor)
        return;
    budget->saved = gained < floor - budget->saved ? budget->saved + gained : floor;
}

bool retry_budget_spend(struct retry_budgets *budgets, uint64_t identity, uint64_t now_ms)
{
    struct retry_budget *budget = budget_of(budgets, identity, now_ms);
    if (budget == NULL)
        return false;
    regain_floor(budget, now_ms);
    if (budget->saved < RETRY_SHARE)
        return false;
    budget->saved -= RETRY_SHARE;
    return true;
}
