/*
 * Regular expressions (PCRE2 with JIT) under limits: a match that needs more steps than
 * REGEX_MATCH_LIMIT answers REGEX_LIMIT: nobody knows whether it matches, so whoever decides about
 * access by it refuses. A compiled expression is immutable and shared by threads.
 */
#ifndef PC_BASE_REGEX_H
#define PC_BASE_REGEX_H

#include "base/str.h"

struct regex;

enum { REGEX_GROUPS_MAX = 10 }; /* $0 to $9 */
/* About a millisecond of matching. */
#define REGEX_MATCH_LIMIT 100000

enum regex_result { REGEX_MATCH, REGEX_NO_MATCH, REGEX_LIMIT };

/*
 * Compiles; freed with the arena. NULL with the reason in `*why` (a static buffer of the thread)
 * and the offending byte in `*at`.
 */
struct regex *regex_new(struct arena *arena, struct str pattern, const char **why, size_t *at)
    __attribute__((warn_unused_result));
/* An expression that compiled before, now blind to the case of letters. NULL at the arena's cap. */
struct regex *regex_new_nocase(struct arena *arena, struct str pattern)
    __attribute__((warn_unused_result));
/* Unanchored. `groups` has REGEX_GROUPS_MAX members, those that took no part are empty; or NULL. */
enum regex_result regex_match(const struct regex *regex, struct str subject, struct str *groups);

#endif
