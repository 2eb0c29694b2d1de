/*
 * Media types: of a file by its name's extension, and what a type says about its bytes. Types are
 * compared without their parameters and without case (RFC 9110 8.3.1).
 */
#ifndef PC_FILES_MIME_H
#define PC_FILES_MIME_H

#include "base/str.h"

/* By the part of the last segment behind its last dot, without case; text types come with their
 * charset. "application/octet-stream" for all that is not known. The bytes are constant. */
struct str mime_of_path(struct str path);

/* "text/html" of "Text/HTML; charset=utf-8": trimmed, without parameters, case as it was. */
struct str mime_essence(struct str content_type);

/* True for what shrinks when it is compressed: text in the wide sense, also fonts and images that
 * are not compressed in themselves. */
bool mime_is_text(struct str content_type);
/* True for streams of events that must arrive as they are sent (text/event-stream and the like). */
bool mime_is_event_stream(struct str content_type);

#endif
