/*
 * What `explain` found out, as stages of lines, each with the line of the configuration that
 * decided it: a noun. explain.c fills it in; it is written as JSON once, and people's text is made
 * from that (app/explain_text.h), so the two cannot differ. Everything is in one arena; what does
 * not fit is left out, and report_json() says so.
 */
#ifndef PC_PROXY_REPORT_H
#define PC_PROXY_REPORT_H

#include "base/text.h"
#include "base/where.h"

struct report_line {
    struct report_line *next;
    struct str what; /* one or two words */
    struct str text;
    struct str by; /* of a header: who put it there; else empty */
    struct where where;
};

struct report_stage {
    struct report_stage *next;
    struct str name;
    struct report_line *first, **end;
};

struct report {
    struct arena *arena;
    struct report_stage *first, **end, *last;
    bool cut;
    /* The end of it. */
    bool forwarded;
    unsigned status;                    /* of an answer of ours; 0: none */
    struct str refused_by, refused_why; /* empty: nobody refused */
    struct str layer;                   /* "route", "limit" */
    struct where refused_at;
    struct str site, route, location, origin; /* empty: none */
    struct where route_at;
};

void report_init(struct report *report, struct arena *arena);
/* Lines from now on belong to this stage. */
void report_stage(struct report *report, const char *name);
/* `where` may be NULL. */
__attribute__((format(printf, 4, 5))) struct report_line *report_add(struct report *report,
                                                                     const char *what,
                                                                     const struct where *where,
                                                                     const char *format, ...);
/* A header field; secrets are masked. */
void report_header(struct report *report, const char *what, struct str name, struct str value,
                   struct str by, const struct where *where);

/* One JSON object. False when something did not fit. */
bool report_json(const struct report *report, struct text *out) __attribute__((warn_unused_result));

#endif
