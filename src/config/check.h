/*
 * A tree against the table of directives: unknown and misplaced directives, forbidden repetitions,
 * words that do not fit, blocks that miss or may not be. What the words mean is compile's business.
 */
#ifndef PC_CONFIG_CHECK_H
#define PC_CONFIG_CHECK_H

#include "config/directive.h"

/*
 * Sets `directive` of each statement that is in order; compile skips those without. False when
 * there was an error. The table is handed in, so that tests may bring a small one. A directive with
 * a block says by its row in which place the statements inside stand: `site` opens PLACE_SITE, `->`
 * PLACE_ROUTE.
 */
bool check_tree(struct tree *tree, const struct directive *table, size_t count, struct diag *diag)
    __attribute__((warn_unused_result));

#endif
