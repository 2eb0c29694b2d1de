/*
 * The JSON of `explain` laid out for people: numbered stages, their lines, each with the line of
 * the configuration that decided it, and a last sentence. What a stranger could have sent is
 * escaped.
 */
#ifndef PC_APP_EXPLAIN_TEXT_H
#define PC_APP_EXPLAIN_TEXT_H

#include "base/text.h"

/* False when the text is no such JSON. */
bool explain_text_add(struct arena *arena, struct str json, struct text *out)
    __attribute__((warn_unused_result));

#endif
