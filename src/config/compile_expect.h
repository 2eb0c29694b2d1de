/* `expect`: requests that are tried before a configuration serves. */
#ifndef PC_CONFIG_COMPILE_EXPECT_H
#define PC_CONFIG_COMPILE_EXPECT_H

#include "config/compile_state.h"

void compile_expect(struct compile *c, const struct statement *s);
/* Tries all of them through the serving code, on the linked snapshot; tells those that do not hold.
 */
void compile_expect_try(struct compile *c);

#endif
