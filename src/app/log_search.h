/*
 * Looks for records in log files: JSON lines that name a reference, or refusals of an address. Also
 * in what `rotate` has put aside (FILE.1, FILE.2, …), the latest file first. Compressed files are
 * not read.
 */
#ifndef PC_APP_LOG_SEARCH_H
#define PC_APP_LOG_SEARCH_H

#include "base/str.h"

struct arena;

enum {
    LOG_SEARCH_MOST = 20,
    /* The log has each thread's lines in batches: the latest are among so many of the last. */
    LOG_SEARCH_KEPT = 1000,
};

struct log_search {
    struct str reference;              /* or */
    struct str client;                 /* as the log writes addresses */
    struct str lines[LOG_SEARCH_KEPT]; /* found, the latest first; of the arena */
    unsigned count;
    unsigned most;  /* enough: no elder file is opened beyond this */
    unsigned files; /* that could be read */
};

/* Goes through a log and its elders until enough is found. False when the log itself cannot be
 * read (errno). */
bool log_search_file(struct log_search *search, struct arena *arena, const char *path)
    __attribute__((warn_unused_result));

/* Is the line what is sought? For tests and the fuzzer; `line` has no newline. */
bool log_search_fits(const struct log_search *search, struct str line);

#endif
