#include "app/instance.h"

#include "app/prescan.h"
#include "base/arena.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct str instance_control_path(struct arena *arena, const char *config_path)
{
    struct source_set *sources = source_set_disk();
    struct prescan found = {0};
    if (sources != NULL)
        prescan_read(&found, arena, sources, config_path);
    source_set_end(sources);
    return found.control_path;
}

static int connect_to(struct str path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (path.len >= sizeof sa.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sa.sun_path, path.at, path.len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static struct str read_answer(struct arena *arena, int fd)
{
    struct text text = text_in(arena, ANSWER_BYTES_MAX);
    char bytes[4096];
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0 || (got < 0 && errno == EINTR))
        if (got > 0)
            text_add(&text, str_from(bytes, (size_t)got));
    return text_str(&text);
}

static bool send_all(int fd, struct str s)
{
    while (s.len > 0) {
        ssize_t sent = send(fd, s.at, s.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        s = str_skip(s, (size_t)sent);
    }
    return true;
}

/* A connection on which `line` was said; -1: nobody answers, `*why` says so. */
static int begin(struct arena *arena, struct str control_path, struct str line, struct str *why)
{
    int fd = connect_to(control_path);
    if (fd < 0) {
        *why = str_printf(arena, "no instance answers at %.*s: %s", STR_ARG(control_path),
                          strerror(errno));
        return -1;
    }
    /* A refusal may be there before the command was sent: it is read in any case. */
    if (send_all(fd, line))
        shutdown(fd, SHUT_WR);
    return fd;
}

static int end(struct arena *arena, int fd, struct str *answer)
{
    struct str all = read_answer(arena, fd), first;
    close(fd);
    if (!str_split(&all, '\n', &first)) {
        *answer = STR("the instance ended without an answer");
        return -1;
    }
    *answer = all;
    return str_eq(first, STR("ok")) ? 0 : 1;
}

int instance_command(struct arena *arena, struct str control_path, const char *command,
                     struct str *answer)
{
    int fd = begin(arena, control_path, str_printf(arena, "%s\n", command), answer);
    return fd < 0 ? -1 : end(arena, fd, answer);
}

/* "ask", and each word with a NUL behind it. */
static struct str question(struct arena *arena, const struct str *words, unsigned word_count)
{
    struct text text = text_in(arena, ANSWER_BYTES_MAX);
    text_add_z(&text, "ask\n");
    for (unsigned i = 0; i < word_count; i++) {
        text_add(&text, words[i]);
        text_add_byte(&text, '\0');
    }
    return text_str(&text);
}

int instance_ask(struct arena *arena, struct str control_path, const struct str *words,
                 unsigned word_count, struct str *answer)
{
    int fd = begin(arena, control_path, question(arena, words, word_count), answer);
    return fd < 0 ? -1 : end(arena, fd, answer);
}

/* The first line of an answer, without what comes behind it. */
static bool read_first_line(int fd, bool *ok)
{
    char line[16];
    for (size_t len = 0; len < sizeof line; len++) {
        ssize_t got = recv(fd, line + len, 1, 0);
        if (got <= 0)
            return false;
        if (line[len] != '\n')
            continue;
        *ok = str_eq(str_from(line, len), STR("ok"));
        return true;
    }
    return false;
}

int instance_follow(struct arena *arena, struct str control_path, const struct str *words,
                    unsigned word_count, bool (*on_text)(void *user, struct str text), void *user,
                    struct str *why)
{
    char bytes[16384];
    bool ok = false;
    int fd = begin(arena, control_path, question(arena, words, word_count), why);
    if (fd < 0)
        return -1;
    bool told = read_first_line(fd, &ok);
    if (!told)
        *why = STR("the instance ended without an answer");
    else if (!ok)
        *why = read_answer(arena, fd);
    ssize_t got = 0;
    while (ok && ((got = recv(fd, bytes, sizeof bytes, 0)) > 0 || (got < 0 && errno == EINTR)))
        if (got > 0 && !on_text(user, str_from(bytes, (size_t)got)))
            break;
    close(fd);
    return !told ? -1 : ok ? 0 : 1;
}
