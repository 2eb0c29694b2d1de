/*
 * Where the texts of a load come from. On disk (loader, `check`, `explain`): read, and remembered
 * in the order they were asked for, failures too. From a pack (worker): what the loader read, and
 * nothing else, so that both compile the same texts and the worker opens no file. A pack is one
 * memfd, or two: keys go into one of their own.
 */
#ifndef PC_CONFIG_SOURCE_H
#define PC_CONFIG_SOURCE_H

#include "base/str.h"

enum source_kind {
    SOURCE_CONF, /* configuration */
    SOURCE_CERT, /* certificates, CA bundles */
    SOURCE_KEY,  /* private keys: wiped when the set ends */
    SOURCE_DATA, /* error pages, redirects, … */
    SOURCE_LIST, /* names, one a line: the result of a glob, the files of a folder */
    SOURCE_FACT, /* what was asked of the system: ${ENV}, the host's name, is there IPv6 … */
};

struct source {
    struct source *next;
    enum source_kind kind;
    struct str name;  /* path or question */
    struct str bytes; /* valid where `why` is empty */
    struct str why;   /* the failure: "No such file or directory" */
    uint32_t mode;    /* of the file; 0 where it is none */
    uint32_t uid;
};

struct source_set;

/* Files of more than this are no configuration. */
#define SOURCE_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct source_set *source_set_disk(void) __attribute__((warn_unused_result));
/* The descriptors stay the caller's. NULL when the pack is damaged. `keys_fd` may be -1. */
struct source_set *source_set_unpack(int fd, int keys_fd) __attribute__((warn_unused_result));
void source_set_end(struct source_set *set);
/* Writes what was read so far into two new sealed memfds. */
bool source_set_pack(struct source_set *set, int *fd, int *keys_fd)
    __attribute__((warn_unused_result));

/*
 * The text, or its failure; never NULL but without memory. The same name is read once. Facts of the
 * system that are known on disk: "env:NAME", "hostname", "ipv6" (yes, no), "addresses" (of this
 * machine, one a line); others are put in by the loader.
 */
const struct source *source_get(struct source_set *set, enum source_kind kind, struct str name);
/* Paths that match, sorted, one a line; remembered as "glob:PATTERN". None is no failure. */
const struct source *source_glob(struct source_set *set, struct str pattern);
/* Names of the regular files in a folder but dotfiles, sorted, one a line; as "folder:PATH". */
const struct source *source_folder(struct source_set *set, struct str path);
/* ${NAME}; `why` is set when it is unset. */
const struct source *source_env(struct source_set *set, struct str name);
/* Adds a text that is no file (an issued certificate), or replaces one: as if it had been read. */
bool source_put(struct source_set *set, enum source_kind kind, struct str name, struct str bytes)
    __attribute__((warn_unused_result));
/* The same of a text that another set has read, with the mode and owner of its file. */
bool source_adopt(struct source_set *set, const struct source *from)
    __attribute__((warn_unused_result));
/* True on disk: the loader may read and issue; false: replaying a pack. */
bool source_is_disk(const struct source_set *set);
/* All, in order: for hashing and for watching the files of the last load. */
const struct source *source_first(const struct source_set *set);

#endif
