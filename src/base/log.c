#include "base/log.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int log_fd = 2;
static bool for_journal;

void log_init(int fd)
{
    log_fd = fd;
    for_journal = getenv("JOURNAL_STREAM") != NULL;
}

__attribute__((format(printf, 3, 0))) static void log_line(int priority, const char *word,
                                                           const char *format, va_list args)
{
    int saved = errno;
    char line[2048];
    int start = for_journal ? snprintf(line, sizeof line, "<%d>%s", priority, word)
                            : snprintf(line, sizeof line, "portcullis: %s", word);
    size_t at = (size_t)start;
    int len = vsnprintf(line + at, sizeof line - at - 1, format, args);
    size_t end = len < 0 ? at : at + (size_t)len;
    if (end > sizeof line - 2)
        end = sizeof line - 2;
    for (size_t i = at; i < end; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[end++] = '\n';
    /* A log that cannot be written has nowhere to complain. */
    if (write(log_fd, line, end) < 0)
        errno = saved;
    errno = saved;
}

void log_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(3, "error: ", format, args);
    va_end(args);
}

void log_warning(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(4, "warning: ", format, args);
    va_end(args);
}

void log_notice(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(5, "", format, args);
    va_end(args);
}

const char *log_escape(struct str s)
{
    static _Thread_local char ring[4][512];
    static _Thread_local unsigned next;
    char *out = ring[next++ % 4];
    struct text text = text_over(out, sizeof ring[0] - 1);
    text_add_escaped(&text, s);
    out[text.len] = '\0';
    return out;
}
