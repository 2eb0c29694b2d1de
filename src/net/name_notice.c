#include "net/name_notice.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum name_state { NAME_GOOD, NAME_FAILING, NAME_GONE };

struct name_notice {
    struct name_notice *next;
    enum name_state state;
    size_t len;
    char name[];
};

void name_notices_fini(struct name_notices *notices)
{
    while (notices->names != NULL) {
        struct name_notice *notice = notices->names;
        notices->names = notice->next;
        free(notice);
    }
    notices->count = 0;
}

/* A look-up went over the network: a walk through some names costs nothing beside it. */
static struct name_notice *find(const struct name_notices *notices, struct str name)
{
    struct name_notice *notice = notices->names;
    while (notice != NULL && !str_eq(str_from(notice->name, notice->len), name))
        notice = notice->next;
    return notice;
}

static void add(struct name_notices *notices, struct str name)
{
    if (notices->count == NAME_NOTICE_MAX)
        return;
    struct name_notice *notice = calloc(1, sizeof *notice + name.len);
    if (notice == NULL)
        return;
    memcpy(notice->name, name.at, name.len);
    notice->len = name.len;
    notice->next = notices->names;
    notices->names = notice;
    notices->count++;
}

void name_found(struct name_notices *notices, struct str name)
{
    struct name_notice *notice = find(notices, name);
    if (notice == NULL) {
        add(notices, name);
    } else if (notice->state != NAME_GOOD) {
        notice->state = NAME_GOOD;
        log_notice("%s resolves again", log_escape(name));
    }
}

void name_failed(struct name_notices *notices, struct str name, const char *why, bool gone)
{
    struct name_notice *notice = find(notices, name);
    enum name_state state = gone ? NAME_GONE : NAME_FAILING;
    /* What is gone stays so while nobody says otherwise. */
    if (notice == NULL || notice->state == state || notice->state == NAME_GONE)
        return;
    notice->state = state;
    if (gone)
        log_warning("%s is gone: %s; requests for it get a 502 until it is back", log_escape(name),
                    why);
    else
        log_warning("%s cannot be looked up: %s; its last addresses are used on", log_escape(name),
                    why);
}
