/*
 * Joins a head with the body that follows it in the same turn into one send. What is added waits in
 * memory of the thread, at latest until the end of the turn; bodies are never copied here.
 */
#ifndef PC_HTTP_GATHER_H
#define PC_HTTP_GATHER_H

#include "net/stream.h"

struct text;

/* Room to write into; bytes become the stream's with gather_add(). At least GATHER_ROOM. */
#define GATHER_ROOM ((size_t)72 * 1024)
struct text gather_room(struct stream *stream);
/* Keeps what was written into the room for the stream; it goes with its next send. */
void gather_add(struct stream *stream, const struct text *written);
/*
 * Sends what is kept for this stream, then `piece`, then `tail`. Small pieces are kept too, until a
 * larger one, gather_flush() or the end of the turn: a body of one-byte chunks is no send for each.
 */
#define GATHER_SMALL ((size_t)2 * 1024) /* copying it is cheaper than a second piece in a send */
void gather_send(struct stream *stream, struct str piece, struct str tail);
/* Before a stream is closed: sends what is kept for it. */
void gather_flush(struct stream *stream);

#endif
