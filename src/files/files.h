/*
 * Static files: finds what a path means below a root, decides on conditions and ranges (RFC 9110
 * 13, 14), fills in the head of the answer and reads its body piece by piece. Only GET and HEAD
 * look for files.
 *
 * A path is found in this order: the file; of a folder its first index file, or its listing; the
 * fallback (the page of a single-page application, for every path that is not hidden). A folder
 * asked for without its slash gets a 308 to itself with one. Where the client takes it and it is
 * not older than the file, a compressed sibling (app.js.br, .zst, .gz) of a text file goes out
 * instead.
 *
 * Never handed out: what lies outside the root (files/beneath.h), names that begin with a dot but
 * for the folder /.well-known, and anything that is no regular file.
 *
 * The entity tag is made of size and time of change (nanoseconds), so that several servers with
 * equal copies of a file (rsync -t) agree; it is strong, since whoever changes a file changes that
 * time. Files are to be replaced by renaming, not written in place: what is written in place while
 * it is being sent may go out mixed.
 *
 * Everything is done without waiting but for the disk itself.
 */
#ifndef PC_FILES_FILES_H
#define PC_FILES_FILES_H

#include "files/files_body.h"
#include "http/message.h"

struct files_conf {
    struct str root;         /* absolute path; looked up for each request */
    const struct str *index; /* names, tried in this order */
    unsigned index_count;
    struct str fallback; /* path below the root, or empty */
    bool listing;
    int64_t cache_max_age_s; /* of Cache-Control; -1: none is sent */
};

/* What was found, for explanations. */
struct files_note {
    struct str path; /* below the root; empty: nothing */
    bool fallback;
};

struct open_files; /* files/open_files.h */

enum files_result {
    FILES_ANSWERED, /* response->status says what with; from 400 the caller adds a page */
    FILES_ABSENT,   /* 404 no such file, or 405 not GET or HEAD: `else` may go on */
};

/*
 * `files` are those kept open in this thread (open_files.h), or NULL: none are.
 * `note` may be NULL. `path` is the canonical decoded path and begins with a slash. `response` is
 * initialized and empty; this sets status, method, framing, length and the fields Content-Type,
 * Content-Encoding, Vary, ETag, Last-Modified, Accept-Ranges, Content-Range, Cache-Control,
 * Location and Allow as they belong there. Location is made of the path of request->target as the
 * client wrote it, with its query. Content-Length is in response->content_length only.
 *
 *     200, 206        *body hands out the body; NULL for HEAD and an empty file
 *     304, 308        no body
 *     403             may not be read, or is no regular file
 *     404, 405        FILES_ABSENT; response has Allow for 405
 *     412             a condition failed
 *     416             response has Content-Range
 *     500, 503        reading failed; no descriptors or memory
 */
enum files_result files_open(const struct files_conf *conf, struct open_files *files,
                             struct str path, const struct message *request,
                             struct message *response, struct files_body **body,
                             struct files_note *note);

#endif
