/*
 * The file of `redirects`: lines `FROM TO [STATUS]`, FROM a whole path as patterns write it, TO a
 * path or a URL; 308 unless said; `#` begins a comment, empty lines are fine.
 */
#ifndef PC_CONFIG_COMPILE_REDIRECTS_H
#define PC_CONFIG_COMPILE_REDIRECTS_H

#include "config/compile_state.h"

/* FROM -> struct redirect_line. False after telling what is wrong, with line and column. */
bool compile_redirects_load(struct compile *c, const struct word *file, struct map *map);
/*
 * A path as the file writes it, decoded but for %2f: NULL, or what is wrong with it. Also for
 * patterns.
 */
const char *compile_redirects_path_fault(struct str path, size_t *at);

#endif
