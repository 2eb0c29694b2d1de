#include "proxy/exchange.h"

#include "base/clock.h"
#include "files/encoder.h"
#include "proxy/front_state.h"

struct exchange *exchange_new(struct front *front, struct session *session)
{
    struct arena *arena = arena_new(EXCHANGE_ARENA_BYTES, EXCHANGE_CHUNK_BYTES);
    struct exchange *x = arena ? ARENA_NEW(arena, struct exchange) : NULL;
    if (x == NULL) {
        arena_end(arena);
        return NULL;
    }
    x->arena = arena;
    x->front = front;
    x->session = session;
    message_init(&x->message, arena);
    x->request.message = &x->message;
    buf_init(&x->body, EXCHANGE_BODY_KEPT_MAX);
    x->start_us = clock_mono_us();
    access_record_init(&x->record, ACCESS_REQUEST);
    if (front->snapshot != NULL) {
        x->snapshot = front->snapshot;
        atomic_fetch_add_explicit(&x->snapshot->pins[front->thread], 1, memory_order_relaxed);
    }
    front_count(&front->counters.exchanges, 1);
    return x;
}

void exchange_lost_field(struct exchange *x)
{
    access_record_decide(&x->record, ACCESS_STAGE_RESPOND, STR("field left out"),
                         STR("the exchange's memory is at its cap"), NULL);
}

void exchange_set_site(struct exchange *x, struct site *site)
{
    if (x->site == site)
        return;
    if (x->site != NULL)
        part_unpin(&x->site->part, x->front->thread);
    x->site = site;
    if (site != NULL)
        part_pin(&site->part, x->front->thread);
}

void exchange_unpin_snapshot(struct exchange *x)
{
    if (x->snapshot == NULL)
        return;
    atomic_fetch_sub_explicit(&x->snapshot->pins[x->front->thread], 1, memory_order_release);
    x->snapshot = NULL;
    x->listener = NULL;
}

void exchange_free(struct exchange *x)
{
    arena_end(x->arena);
}

static void free_arena(struct loop_task *task)
{
    exchange_free(LIST_OF(task, struct exchange, free_task));
}

void exchange_release(struct exchange *x)
{
    timer_clear(&x->timer);
    buf_fini(&x->body);
    encoder_end(x->encoder);
    x->encoder = NULL;
    exchange_unpin_snapshot(x);
    exchange_set_site(x, NULL);
    front_count(&x->front->counters.exchanges, UINT64_MAX); /* minus one */
}

void exchange_end(struct exchange *x)
{
    exchange_release(x);
    x->free_task.run = free_arena;
    if (!x->more_posted)
        loop_defer(x->front->loop, &x->free_task);
}
