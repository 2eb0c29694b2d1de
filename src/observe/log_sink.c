#include "observe/log_sink.h"

#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum {
    REPORT_MS = 60 * 1000,
    REOPEN_MS = 5 * 1000, /* a syslog daemon that restarts is back within seconds */
    ROTATE_MS = 2 * 1000, /* whoever renames looks once a second, and may have just looked */
};

void log_sink_init(struct log_sink *sink)
{
    memset(sink, 0, sizeof *sink);
    sink->fd = -1;
}

static void count_dropped(struct log_sink *sink, uint64_t lines, int error)
{
    sink->error = error;
    atomic_fetch_add_explicit(&sink->counters.dropped, lines, memory_order_relaxed);
}

static uint64_t lines_in(const char *at, size_t len)
{
    uint64_t lines = 0;
    const char *end = at + len;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        lines++;
        at++;
    }
    return lines;
}

/* Gives up what waits. */
static void drop_waiting(struct log_sink *sink, int error)
{
    count_dropped(sink, lines_in(sink->buffer + sink->start, sink->end - sink->start), error);
    sink->mend |= sink->mid_line;
    sink->mid_line = false;
    sink->start = sink->end = 0;
}

void log_sink_close(struct log_sink *sink)
{
    if (log_sink_waiting(sink))
        drop_waiting(sink, EBADF);
    if (sink->fd >= 0)
        close(sink->fd);
    free(sink->buffer);
    sink->buffer = NULL;
    sink->fd = -1;
    sink->used = sink->mend = sink->broken = false;
}

bool log_sink_open(struct log_sink *sink, const struct log_sink_conf *conf)
{
    if (sink->buffer == NULL)
        sink->buffer = malloc(LOG_SINK_BUFFER);
    if (sink->buffer == NULL)
        return false;
    size_t len = conf->name.len < sizeof sink->name ? conf->name.len : sizeof sink->name - 1;
    if (len != 0)
        memcpy(sink->name, conf->name.at, len);
    sink->name[len] = '\0';
    sink->syslog = conf->syslog;
    sink->rotate_bytes = conf->rotate_bytes;
    sink->used = true;
    return true;
}

/* A new file must not begin with the rest of a line; the same one must not go on with half of it.
 */
static void leave_half_line(struct log_sink *sink, bool same_file)
{
    if (sink->mid_line) {
        const char *at = sink->buffer + sink->start;
        const char *newline = memchr(at, '\n', sink->end - sink->start);
        sink->start = newline == NULL ? sink->end : (size_t)(newline + 1 - sink->buffer);
        count_dropped(sink, 1, EIO);
        sink->mend = true;
        sink->mid_line = false;
    }
    sink->mend = sink->mend && same_file;
}

void log_sink_set_fd(struct log_sink *sink, int fd)
{
    struct stat old = {0}, now = {0};
    bool had = sink->fd >= 0 && fstat(sink->fd, &old) == 0;
    bool has = fd >= 0 && fstat(fd, &now) == 0;
    leave_half_line(sink, had && has && old.st_dev == now.st_dev && old.st_ino == now.st_ino);
    if (sink->fd >= 0)
        close(sink->fd);
    sink->fd = fd;
    sink->regular = has && S_ISREG(now.st_mode);
    sink->socket = has && S_ISSOCK(now.st_mode);
    sink->file_bytes = sink->regular ? (uint64_t)now.st_size : 0;
    sink->asked_ms = 0;
    sink->blocked = sink->broken = false;
}

/* --- writing ------------------------------------------------------------------------------- */

/* Whole lines of at most PIPE_BUF bytes: a pipe takes that much at once when it is writable. */
static size_t piece_of(const struct log_sink *sink)
{
    size_t len = sink->end - sink->start;
    if (len <= PIPE_BUF)
        return len;
    for (size_t n = PIPE_BUF; n != 0; n--)
        if (sink->buffer[sink->start + n - 1] == '\n')
            return n;
    return PIPE_BUF;
}

/* One write that does not wait for a reader: its answer, or -1 with EAGAIN. */
static ssize_t write_some(struct log_sink *sink, const char *at, size_t len)
{
    if (sink->regular)
        return write(sink->fd, at, len);
    if (sink->socket)
        return send(sink->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    /* The descriptor is shared with other processes: its O_NONBLOCK is not ours to set. */
    struct pollfd ready = {.fd = sink->fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(sink->fd, at, len);
}

/* True when it may go on; else it is blocked, or what waited is lost. */
static bool after_write(struct log_sink *sink, ssize_t wrote)
{
    if (wrote >= 0)
        return true;
    if (errno == EINTR)
        return true;
    if (errno == EAGAIN)
        sink->blocked = true;
    else
        drop_waiting(sink, errno);
    return false;
}

static void flush_stream(struct log_sink *sink)
{
    while (sink->mend && log_sink_waiting(sink)) {
        ssize_t wrote = write_some(sink, "\n", 1);
        if (!after_write(sink, wrote))
            return;
        sink->mend = wrote != 1;
    }
    while (log_sink_waiting(sink)) {
        size_t len = sink->regular ? sink->end - sink->start : piece_of(sink);
        ssize_t wrote = write_some(sink, sink->buffer + sink->start, len);
        if (!after_write(sink, wrote))
            return;
        if (wrote <= 0)
            continue;
        size_t n = (size_t)wrote;
        atomic_fetch_add_explicit(&sink->counters.lines, lines_in(sink->buffer + sink->start, n),
                                  memory_order_relaxed);
        atomic_fetch_add_explicit(&sink->counters.bytes, n, memory_order_relaxed);
        sink->mid_line = sink->buffer[sink->start + n - 1] != '\n';
        sink->start += n;
        sink->file_bytes += n;
    }
}

/* "<30>Nov 21 12:34:56 portcullis[812]: " (RFC 3164 4.1, without host, as syslog(3) writes it). */
static void add_syslog_head(struct text *text)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    struct tm tm = {0};
    localtime_r(&now, &tm);
    text_printf(text, "<%d>%s %2d %02d:%02d:%02d portcullis[%d]: ", LOG_DAEMON | LOG_INFO,
                months[tm.tm_mon % 12], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                (int)getpid());
}

static void send_syslog_line(struct log_sink *sink, struct str line)
{
    char bytes[128];
    struct text head = text_over(bytes, sizeof bytes);
    add_syslog_head(&head);
    /* @UNSAFE: an iovec has no const, sendmsg() only reads */
    struct iovec iov[2] = {{.iov_base = head.at, .iov_len = head.len},
                           {.iov_base = (void *)(uintptr_t)line.at, .iov_len = line.len}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    if (sendmsg(sink->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        atomic_fetch_add_explicit(&sink->counters.lines, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&sink->counters.bytes, head.len + line.len, memory_order_relaxed);
    } else if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) {
        sink->blocked = true;
    } else if (errno == EMSGSIZE) {
        count_dropped(sink, 1, errno);
    } else {
        sink->broken = true; /* the daemon restarts: lines wait for a new descriptor */
        sink->error = errno;
    }
}

static void flush_syslog(struct log_sink *sink)
{
    while (log_sink_waiting(sink)) {
        const char *at = sink->buffer + sink->start;
        const char *newline = memchr(at, '\n', sink->end - sink->start);
        size_t len = newline == NULL ? sink->end - sink->start : (size_t)(newline - at);
        send_syslog_line(sink, str_from(at, len));
        if (sink->blocked || sink->broken)
            return;
        sink->start += len + (newline != NULL);
    }
}

void log_sink_flush(struct log_sink *sink)
{
    sink->blocked = false;
    if (!sink->used || sink->fd < 0 || sink->broken)
        return;
    if (sink->syslog)
        flush_syslog(sink);
    else
        flush_stream(sink);
    if (!log_sink_waiting(sink))
        sink->start = sink->end = 0;
}

/* Room for `need` bytes behind `end`, by writing or by moving what waits to the front. */
static bool make_room(struct log_sink *sink, size_t need)
{
    if (need <= LOG_SINK_BUFFER - sink->end)
        return true;
    if (!sink->blocked)
        log_sink_flush(sink);
    if (sink->start != 0 && need > LOG_SINK_BUFFER - sink->end) {
        memmove(sink->buffer, sink->buffer + sink->start, sink->end - sink->start);
        sink->end -= sink->start;
        sink->start = 0;
    }
    return need <= LOG_SINK_BUFFER - sink->end;
}

static void add_bytes(struct log_sink *sink, struct str s)
{
    if (s.len != 0)
        memcpy(sink->buffer + sink->end, s.at, s.len);
    sink->end += s.len;
}

void log_sink_add(struct log_sink *sink, struct str a, struct str b)
{
    if (!sink->used) {
        count_dropped(sink, 1, EBADF);
    } else if (!make_room(sink, a.len + b.len + 1)) {
        count_dropped(sink, 1, EAGAIN);
    } else {
        add_bytes(sink, a);
        add_bytes(sink, b);
        add_bytes(sink, STR("\n"));
    }
}

/* --- what is said upwards ------------------------------------------------------------------- */

enum log_want log_sink_wants(struct log_sink *sink, uint64_t now_ms)
{
    bool full = sink->regular && sink->rotate_bytes != 0 && sink->file_bytes >= sink->rotate_bytes;
    if (!sink->used || (!full && !sink->broken))
        return LOG_WANT_NOTHING;
    uint64_t patience_ms = full ? ROTATE_MS : REOPEN_MS;
    if (sink->asked_ms != 0 && now_ms - sink->asked_ms < patience_ms)
        return LOG_WANT_NOTHING;
    sink->asked_ms = now_ms != 0 ? now_ms : 1;
    return full ? LOG_WANT_ROTATE : LOG_WANT_REOPEN;
}

static const char *reason_of(int error)
{
    if (error == EAGAIN)
        return "its reader is too slow";
    return error == EBADF ? "it is closed" : strerror(error);
}

bool log_sink_report(struct log_sink *sink, uint64_t now_ms)
{
    uint64_t dropped = atomic_load_explicit(&sink->counters.dropped, memory_order_relaxed);
    if (dropped == sink->reported)
        return false;
    if (now_ms < sink->report_at_ms)
        return true;
    log_warning("log %s: %llu lines lost: %s", log_escape(str_from_z(sink->name)),
                (unsigned long long)(dropped - sink->reported), reason_of(sink->error));
    sink->reported = dropped;
    sink->report_at_ms = now_ms + REPORT_MS;
    return false;
}
