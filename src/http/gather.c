#include "http/gather.h"

#include "base/text.h"
#include "net/loop.h"

/* One stream at a time has bytes here: asking for room for another one sends them. */
struct gather {
    struct stream *owner;
    size_t len;
    bool queued;
    struct loop_task task;
    char bytes[2 * GATHER_ROOM];
};

static _Thread_local struct gather gather;

static void send_kept(void)
{
    struct stream *owner = gather.owner;
    size_t len = gather.len;
    gather.owner = NULL;
    gather.len = 0;
    if (owner != NULL && len != 0)
        stream_send_str(owner, str_from(gather.bytes, len));
}

static void at_end_of_turn(struct loop_task *task)
{
    (void)task;
    gather.queued = false;
    send_kept();
}

struct text gather_room(struct stream *stream)
{
    if (gather.owner != stream || sizeof gather.bytes - gather.len < GATHER_ROOM)
        send_kept();
    return text_over(gather.bytes + gather.len, sizeof gather.bytes - gather.len);
}

void gather_add(struct stream *stream, const struct text *written)
{
    gather.owner = stream;
    gather.len += written->len;
    if (gather.queued)
        return;
    gather.queued = true;
    gather.task.run = at_end_of_turn;
    loop_defer(stream_loop(stream), &gather.task);
}

/* False when there is no room. */
static bool keep_small(struct stream *stream, struct str piece, struct str tail)
{
    struct text room = gather_room(stream);
    text_add(&room, piece);
    text_add(&room, tail);
    if (!text_ok(&room))
        return false;
    gather_add(stream, &room);
    return true;
}

void gather_send(struct stream *stream, struct str piece, struct str tail)
{
    struct iovec iov[3];
    int count = 0;
    if (piece.len + tail.len <= GATHER_SMALL && keep_small(stream, piece, tail))
        return;
    if (gather.owner == stream && gather.len != 0) {
        iov[count++] = (struct iovec){.iov_base = gather.bytes, .iov_len = gather.len};
        gather.owner = NULL;
        gather.len = 0;
    }
    /* @UNSAFE: an iovec has no const; send() only reads */
    if (piece.len != 0)
        iov[count++] =
            (struct iovec){.iov_base = (void *)(uintptr_t)piece.at, .iov_len = piece.len};
    if (tail.len != 0)
        iov[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)tail.at, .iov_len = tail.len};
    if (count != 0)
        stream_send(stream, iov, count);
}

void gather_flush(struct stream *stream)
{
    if (gather.owner == stream)
        send_kept();
}
