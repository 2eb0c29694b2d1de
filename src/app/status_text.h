/*
 * The JSON of `status` laid out for people: each name and value on a line, what is nested indented.
 * It needs no knowledge of the names, so nothing can be missing in one of the two forms.
 */
#ifndef PC_APP_STATUS_TEXT_H
#define PC_APP_STATUS_TEXT_H

#include "base/str.h"

struct text;

void status_text_add(struct text *out, struct str json);

#endif
