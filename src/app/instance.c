#include "app/instance.h"

#include "app/prescan.h"
#include "base/arena.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX ((size_t)1024 * 1024)

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

int instance_command(struct arena *arena, struct str control_path, const char *command,
                     struct str *answer)
{
    int fd = connect_to(control_path);
    if (fd < 0) {
        *answer = str_printf(arena, "no instance answers at %.*s: %s", STR_ARG(control_path),
                             strerror(errno));
        return -1;
    }
    struct str line = str_printf(arena, "%s\n", command);
    struct str all = STR("");
    /* A refusal may be there before the command was sent. */
    if (send(fd, line.at, line.len, MSG_NOSIGNAL) >= 0 || errno == EPIPE)
        all = read_answer(arena, fd);
    close(fd);
    struct str first;
    if (!str_split(&all, '\n', &first)) {
        *answer = STR("the instance ended without an answer");
        return -1;
    }
    *answer = all;
    return str_eq(first, STR("ok")) ? 0 : 1;
}
