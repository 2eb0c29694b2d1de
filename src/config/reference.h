/* docs/configuration.md from the table: `portcullis docs configuration`. */
#ifndef PC_CONFIG_REFERENCE_H
#define PC_CONFIG_REFERENCE_H

#include "base/text.h"
#include "config/directive.h"

void reference_print(const struct directive *table, size_t count, struct text *out);

#endif
