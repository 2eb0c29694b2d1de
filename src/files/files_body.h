/*
 * The body of an answer out of a file: pieces of memory and of the file, one after the other. Its
 * length is the sum of its pieces, counted as they are added.
 */
#ifndef PC_FILES_FILES_BODY_H
#define PC_FILES_FILES_BODY_H

#include "base/str.h"

#include <sys/types.h>

struct files_body;
struct open_file;

/*
 * In the arena, with room for `pieces_max` pieces. Takes over `fd` (-1: memory only), or where that
 * is a shared file's our use of it; both end with the arena at the latest, at the arena's cap at
 * once, and NULL is answered.
 */
struct files_body *files_body_new(struct arena *arena, int fd, struct open_file *shared,
                                  unsigned pieces_max) __attribute__((warn_unused_result));
/* The bytes of `memory` are not copied. Both answer false above pieces_max. */
bool files_body_add(struct files_body *body, struct str memory) __attribute__((warn_unused_result));
bool files_body_add_file(struct files_body *body, uint64_t from, uint64_t len)
    __attribute__((warn_unused_result));
uint64_t files_body_length(const struct files_body *body);

/*
 * The next bytes, at most `len` and at least one unless `len` is 0; 0 at the end, when as many as
 * files_body_length() have been read; -1 when the file has become shorter or cannot be read: then
 * the answer is not complete and its connection (or stream) must be reset.
 */
ssize_t files_body_read(struct files_body *body, void *into, size_t len);

/* Closes the file at once. NULL, and a second time, are allowed. */
void files_body_close(struct files_body *body);

#endif
