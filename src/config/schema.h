/* JSON Schema (draft 2020-12) of the twin, from the table: `portcullis docs schema`. */
#ifndef PC_CONFIG_SCHEMA_H
#define PC_CONFIG_SCHEMA_H

#include "base/text.h"
#include "config/directive.h"

void schema_print(const struct directive *table, size_t count, struct text *out);

#endif
