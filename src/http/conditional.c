#include "http/conditional.h"

#include "http/date.h"

/* "*" or a list of tags, which may stand on several lines. */
static bool list_matches(const struct message *request, enum header_id id,
                         const struct conditional_now *now, bool (*same)(struct etag, struct etag))
{
    uint32_t at = 0;
    for (const struct field *field; (field = message_next(request, id, &at)) != NULL;) {
        struct str rest = field->value;
        if (str_eq(str_trim(rest), STR("*")))
            return now->exists;
        struct etag etag;
        bool bad;
        while (etag_next(&rest, &etag, &bad))
            if (now->exists && now->has_etag && same(etag, now->etag))
                return true;
    }
    return false;
}

/* The date of a field that must stand once; false where there is none to go by. */
static bool date_of(const struct message *request, enum header_id id, int64_t now_s, int64_t *s)
{
    const struct field *field = message_get(request, id);
    return field != NULL && date_parse(field->value, now_s, s);
}

/* RFC 9110 13.1.5: a strong comparison; a date counts only if it is surely strong (8.8.2.2). */
static bool if_range_holds(struct str value, const struct conditional_now *now)
{
    struct etag etag;
    if (etag_parse(value, &etag))
        return now->has_etag && etag_same_strong(etag, now->etag);
    int64_t date_s;
    return date_parse(value, now->now_s, &date_s) && now->has_modified &&
           date_s == now->modified_s && now->modified_s < now->now_s;
}

/* Steps 1 and 2 of RFC 9110 13.2.2: the state the client means is still the one there is. */
static bool state_holds(const struct message *request, const struct conditional_now *now)
{
    if (message_get(request, HEADER_IF_MATCH) != NULL)
        return list_matches(request, HEADER_IF_MATCH, now, etag_same_strong);
    int64_t date_s;
    return !now->has_modified ||
           !date_of(request, HEADER_IF_UNMODIFIED_SINCE, now->now_s, &date_s) ||
           now->modified_s <= date_s;
}

enum conditional conditional_evaluate(const struct message *request,
                                      const struct conditional_now *now)
{
    bool reads = request->method == METHOD_GET || request->method == METHOD_HEAD;
    if (!state_holds(request, now))
        return CONDITIONAL_FAILED;
    int64_t date_s;
    if (message_get(request, HEADER_IF_NONE_MATCH) != NULL) { /* step 3 */
        if (list_matches(request, HEADER_IF_NONE_MATCH, now, etag_same_weak))
            return reads ? CONDITIONAL_NOT_MODIFIED : CONDITIONAL_FAILED;
    } else if (reads && now->has_modified && /* step 4 */
               date_of(request, HEADER_IF_MODIFIED_SINCE, now->now_s, &date_s) &&
               now->modified_s <= date_s) {
        return CONDITIONAL_NOT_MODIFIED;
    }
    const struct field *if_range = message_get(request, HEADER_IF_RANGE); /* step 5 */
    if (if_range != NULL && request->method == METHOD_GET &&
        message_get(request, HEADER_RANGE) != NULL && !if_range_holds(if_range->value, now))
        return CONDITIONAL_WHOLE;
    return CONDITIONAL_PROCEED;
}
