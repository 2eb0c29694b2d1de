#include "net/resolver.h"

#include "base/hash.h"
#include "net/hosts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 256 };

/* What is known of a name. */
struct entry {
    struct entry *next;
    struct resolver *resolver;
    char name[RESOLVER_NAME_MAX + 1];
    size_t name_len;
    struct link waits;
    struct resolver_answer good; /* the last one; count 0: none */
    const char *why;             /* of the last failure */
    uint64_t good_until_ms, failed_until_ms;
    unsigned generation; /* of the hub, when it was asked last */
    bool asking;         /* a question is on its way */
    bool late;           /* it has been for RESOLVER_STALE_MS */
    bool failing;        /* the last one got no answer: the next need not wait to find that out */
    struct loop_timer timer;
};

struct resolver {
    struct loop *loop;
    struct resolver_hub *hub;
    atomic_uint references;
    pthread_mutex_t lock; /* guards `ended`, and posting against it */
    bool ended;
    struct entry *buckets[BUCKETS];
    unsigned count;
};

static void resolver_release(struct resolver *resolver)
{
    if (atomic_fetch_sub_explicit(&resolver->references, 1, memory_order_acq_rel) != 1)
        return;
    resolver_hub_release(resolver->hub);
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

static void resolver_hold(struct resolver *resolver)
{
    atomic_fetch_add_explicit(&resolver->references, 1, memory_order_relaxed);
}

/* --- telling
 * ------------------------------------------------------------------------------------------ */

/* The asker may do anything in there: ask again, cancel others, end the resolver. */
static void tell(struct resolver_wait *wait, const struct resolver_answer *answer)
{
    list_remove(&wait->link);
    wait->on_answer(wait, answer);
}

static void fail(struct resolver_wait *wait, const char *why)
{
    const struct resolver_answer answer = {.why = why};
    tell(wait, &answer);
}

/* Those who come while they are told wait for the next answer. Neither the entry nor the resolver
 * is touched after the first was told, but for the reference that is held. */
static void tell_all(struct entry *entry, const struct resolver_answer *answer)
{
    struct resolver *resolver = entry->resolver;
    struct resolver_answer copy = *answer;
    struct link told, *link;
    list_init(&told);
    while ((link = list_first(&entry->waits)) != NULL) {
        list_remove(link);
        list_add(&told, link);
    }
    resolver_hold(resolver);
    while ((link = list_first(&told)) != NULL) {
        if (resolver->ended)
            list_remove(link);
        else
            tell(LIST_OF(link, struct resolver_wait, link), &copy);
    }
    resolver_release(resolver);
}

/* --- what is known
 * ------------------------------------------------------------------------------------- */

static struct entry **bucket_of(struct resolver *resolver, struct str name)
{
    return &resolver->buckets[hash_bytes(name) % BUCKETS];
}

static bool may_be_forgotten(const struct entry *entry, uint64_t now)
{
    return !entry->asking && list_empty(&entry->waits) && entry->good_until_ms <= now &&
           entry->failed_until_ms <= now;
}

static void forget_expired(struct resolver *resolver)
{
    uint64_t now = loop_now_ms(resolver->loop);
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct entry **at = &resolver->buckets[i]; *at != NULL;) {
            struct entry *entry = *at;
            if (!may_be_forgotten(entry, now)) {
                at = &entry->next;
                continue;
            }
            *at = entry->next;
            timer_clear(&entry->timer);
            free(entry);
            resolver->count--;
        }
}

/* The answer is slow: what was good before is better than nothing. */
static void on_late(struct loop_timer *timer)
{
    struct entry *entry = LIST_OF(timer, struct entry, timer);
    entry->late = true;
    if (entry->good.count != 0)
        tell_all(entry, &entry->good);
}

static struct entry *entry_new(struct resolver *resolver, struct str name)
{
    if (resolver->count >= RESOLVER_NAMES_MAX)
        forget_expired(resolver);
    if (resolver->count >= RESOLVER_NAMES_MAX)
        return NULL;
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    entry->resolver = resolver;
    entry->name_len = name.len;
    memcpy(entry->name, name.at, name.len);
    list_init(&entry->waits);
    entry->timer.on_fire = on_late;
    struct entry **bucket = bucket_of(resolver, name);
    entry->next = *bucket;
    *bucket = entry;
    resolver->count++;
    return entry;
}

static struct entry *entry_find(struct resolver *resolver, struct str name)
{
    struct entry *entry = *bucket_of(resolver, name);
    while (entry != NULL && !str_eq(str_from(entry->name, entry->name_len), name))
        entry = entry->next;
    return entry;
}

/* --- asking the hub
 * -------------------------------------------------------------------------------------- */

static void learn(struct entry *entry, const struct hub_question *question)
{
    uint64_t now = loop_now_ms(entry->resolver->loop);
    entry->asking = entry->late = false;
    timer_clear(&entry->timer);
    if (question->answer.count != 0) {
        uint64_t ttl_ms = (uint64_t)question->ttl_s * 1000;
        if (ttl_ms < RESOLVER_TTL_MIN_MS)
            ttl_ms = RESOLVER_TTL_MIN_MS;
        if (ttl_ms > RESOLVER_TTL_MAX_MS)
            ttl_ms = RESOLVER_TTL_MAX_MS;
        entry->good = question->answer;
        entry->good_until_ms = now + ttl_ms;
        entry->failed_until_ms = 0;
        entry->failing = false;
        return;
    }
    if (question->lasting)
        entry->good.count = 0;
    entry->good_until_ms = 0;
    entry->failing = true;
    entry->failed_until_ms = now + RESOLVER_FAILED_MS;
    entry->why = question->answer.why;
}

/* A good answer, even an old one, or the failure. */
static struct resolver_answer what_is_known(const struct entry *entry)
{
    if (entry->good.count != 0)
        return entry->good;
    return (struct resolver_answer){.why = entry->why};
}

/* Back on the resolver's loop. */
static void on_answered(struct loop_task *task)
{
    struct hub_question *question = LIST_OF(task, struct hub_question, task);
    struct resolver *resolver = question->asker;
    if (!resolver->ended) {
        struct entry *entry = entry_find(resolver, str_from(question->name, question->name_len));
        if (entry != NULL) {
            learn(entry, question);
            struct resolver_answer answer = what_is_known(entry);
            tell_all(entry, &answer);
        }
    }
    free(question);
    resolver_release(resolver);
}

/* On the hub's loop. */
static void send_back(struct hub_question *question)
{
    struct resolver *resolver = question->asker;
    question->task.run = on_answered;
    pthread_mutex_lock(&resolver->lock);
    bool alive = !resolver->ended;
    if (alive)
        loop_post(resolver->loop, &question->task);
    pthread_mutex_unlock(&resolver->lock);
    if (alive)
        return;
    free(question);
    resolver_release(resolver);
}

static bool ask_hub(struct entry *entry)
{
    struct resolver *resolver = entry->resolver;
    struct hub_question *question = calloc(1, sizeof *question);
    if (question == NULL)
        return false;
    memcpy(question->name, entry->name, entry->name_len);
    question->name_len = entry->name_len;
    question->asker = resolver;
    question->on_answer = send_back;
    entry->generation = resolver_hub_generation(resolver->hub);
    resolver_hold(resolver);
    if (resolver_hub_ask(resolver->hub, question)) {
        entry->asking = true;
        timer_set(resolver->loop, &entry->timer, RESOLVER_STALE_MS);
        return true;
    }
    free(question);
    resolver_release(resolver);
    return false;
}

/* --- the face
 * ---------------------------------------------------------------------------------------------- */

static bool answer_at_once(struct resolver_wait *wait)
{
    struct resolver_answer answer = {0};
    if (hosts_is_localhost(wait->name))
        answer.count = hosts_localhost(answer.addrs);
    else if (addr_parse_ip(wait->name, &answer.addrs[0]))
        answer.count = 1;
    else
        return false;
    tell(wait, &answer);
    return true;
}

static bool is_fresh(const struct entry *entry)
{
    uint64_t now = loop_now_ms(entry->resolver->loop);
    if (entry->generation != resolver_hub_generation(entry->resolver->hub))
        return false;
    return entry->good_until_ms > now || entry->failed_until_ms > now;
}

static void ask_entry(struct entry *entry, struct resolver_wait *wait)
{
    if (!entry->asking && is_fresh(entry)) {
        struct resolver_answer answer = what_is_known(entry);
        tell(wait, &answer);
        return;
    }
    if (!entry->asking && !ask_hub(entry)) {
        struct resolver_answer answer = what_is_known(entry);
        if (answer.count == 0)
            answer.why = "no memory, or the resolver has ended";
        tell(wait, &answer);
        return;
    }
    if ((entry->late || entry->failing) && entry->good.count != 0) {
        struct resolver_answer answer = entry->good;
        tell(wait, &answer);
        return;
    }
    list_add(&entry->waits, &wait->link);
}

void resolver_ask(struct resolver *resolver, struct resolver_wait *wait)
{
    char lower[RESOLVER_NAME_MAX];
    struct str name = wait->name;
    wait->link = (struct link){0};
    if (answer_at_once(wait))
        return;
    if (name.len == 0 || name.len > sizeof lower || str_find_byte(name, '\0') != SIZE_MAX) {
        fail(wait, "not a host name");
        return;
    }
    for (size_t i = 0; i < name.len; i++)
        lower[i] = char_lower(name.at[i]);
    name = str_from(lower, name.len);
    struct entry *entry = entry_find(resolver, name);
    if (entry == NULL)
        entry = entry_new(resolver, name);
    if (entry == NULL)
        fail(wait, "no memory, or too many names");
    else
        ask_entry(entry, wait);
}

void resolver_cancel(struct resolver_wait *wait)
{
    list_remove(&wait->link);
}

struct resolver *resolver_new(struct resolver_hub *hub, struct loop *loop)
{
    struct resolver *resolver = calloc(1, sizeof *resolver);
    if (resolver == NULL)
        return NULL;
    resolver->loop = loop;
    resolver->hub = hub;
    resolver_hub_hold(hub);
    atomic_store(&resolver->references, 1);
    pthread_mutex_init(&resolver->lock, NULL);
    return resolver;
}

static void entry_end(struct entry *entry)
{
    struct link *link;
    while ((link = list_first(&entry->waits)) != NULL)
        list_remove(link);
    timer_clear(&entry->timer);
    free(entry);
}

void resolver_end(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    pthread_mutex_lock(&resolver->lock);
    resolver->ended = true;
    pthread_mutex_unlock(&resolver->lock);
    for (unsigned i = 0; i < BUCKETS; i++)
        while (resolver->buckets[i] != NULL) {
            struct entry *entry = resolver->buckets[i];
            resolver->buckets[i] = entry->next;
            entry_end(entry);
        }
    resolver_release(resolver);
}
