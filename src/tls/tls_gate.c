#include "tls/tls_gate.h"

#include <stdlib.h>

struct tls_gate {
    struct loop *loop;
    uint64_t turn;   /* in which `passed` were let through */
    unsigned passed; /* at most TLS_HANDSHAKES_PER_TURN */
    struct link waiting;
    struct loop_task task;
    bool posted, ended;
};

struct tls_gate *tls_gate_new(void)
{
    struct tls_gate *gate = calloc(1, sizeof *gate);
    if (gate != NULL)
        list_init(&gate->waiting);
    return gate;
}

void tls_gate_end(struct tls_gate *gate)
{
    if (gate == NULL)
        return;
    while (!list_empty(&gate->waiting))
        list_remove(gate->waiting.next);
    gate->ended = true;
    if (!gate->posted) /* else the task frees it */
        free(gate);
}

static bool has_room(struct tls_gate *gate)
{
    uint64_t turn = loop_turns(gate->loop);
    if (gate->turn != turn)
        gate->passed = 0;
    gate->turn = turn;
    return gate->passed < TLS_HANDSHAKES_PER_TURN;
}

static void call_next(struct loop_task *task);

/* Posted, not deferred: what is deferred belongs to this turn. */
static void post(struct tls_gate *gate)
{
    if (gate->posted)
        return;
    gate->posted = true;
    gate->task.run = call_next;
    loop_post(gate->loop, &gate->task);
}

static void call_next(struct loop_task *task)
{
    struct tls_gate *gate = LIST_OF(task, struct tls_gate, task);
    gate->posted = false;
    if (gate->ended) {
        free(gate);
        return;
    }
    while (!list_empty(&gate->waiting) && has_room(gate)) {
        struct tls_gate_place *place = LIST_OF(gate->waiting.next, struct tls_gate_place, link);
        list_remove(&place->link);
        place->called = true;
        place->go_on(place);
    }
    if (!list_empty(&gate->waiting))
        post(gate);
}

bool tls_gate_pass(struct tls_gate *gate, struct loop *loop, struct tls_gate_place *place)
{
    gate->loop = loop;
    if (place->link.next != NULL)
        return false;
    if (has_room(gate) && (place->called || list_empty(&gate->waiting))) {
        place->called = false;
        gate->passed++;
        return true;
    }
    list_add(&gate->waiting, &place->link);
    post(gate);
    return false;
}

void tls_gate_leave(struct tls_gate_place *place)
{
    list_remove(&place->link);
}
