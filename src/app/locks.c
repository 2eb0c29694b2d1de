#include "app/locks.h"

#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* ---- /proc/PID/status (proc_pid_status(5)) ---- */

/* SECCOMP_MODE_FILTER, as the line "Seccomp:" says it. */
#define MODE_FILTER 2

static bool parse_hex(struct str s, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0 || i == 16)
            return false;
        *value = *value << 4 | (unsigned)digit;
    }
    return s.len > 0;
}

/* The first word behind "NAME:". */
static struct str word_of(struct str line, struct str name)
{
    if (!str_starts(line, name) || line.len == name.len || line.at[name.len] != ':')
        return (struct str){0};
    struct str rest = str_trim(str_skip(line, name.len + 1));
    size_t end = 0;
    while (end < rest.len && rest.at[end] != '\t' && rest.at[end] != ' ')
        end++;
    return str_sub(rest, 0, end);
}

struct locks_seen locks_parse(struct str status)
{
    static const struct str sets[] = {STR_INIT("CapInh"), STR_INIT("CapPrm"), STR_INIT("CapEff"),
                                      STR_INIT("CapAmb")};
    struct locks_seen seen = {0};
    struct str line;
    uint64_t n;
    unsigned found = 0;
    while (str_split(&status, '\n', &line)) {
        if (str_to_u64(word_of(line, STR("Uid")), UINT32_MAX, &n)) {
            seen.uid = (uint32_t)n;
            found++;
        } else if (str_to_u64(word_of(line, STR("NoNewPrivs")), 1, &n)) {
            seen.no_new_privs = n == 1;
            found++;
        } else if (str_to_u64(word_of(line, STR("Seccomp")), MODE_FILTER, &n)) {
            seen.filtered = n == MODE_FILTER;
        } else if (parse_hex(word_of(line, STR("CapBnd")), &n)) {
            seen.bounding = n;
            found++;
        }
        for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
            if (parse_hex(word_of(line, sets[i]), &n)) {
                seen.capabilities |= n;
                found++;
            }
    }
    seen.known = found == 3 + sizeof sets / sizeof sets[0];
    return seen;
}

struct locks_seen locks_look(pid_t pid)
{
    char path[64], bytes[8192];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    if (fd >= 0)
        close(fd);
    return locks_parse(str_from(bytes, got < 0 ? 0 : (size_t)got));
}

/* ---- telling ---- */

static void add(struct text *out, const char *what)
{
    text_printf(out, "%s%s", out->len == 0 ? "" : "; ", what);
}

void locks_add_missing(struct text *out, const struct locks_seen *seen,
                       const struct letter_locks *said)
{
    if (said == NULL) {
        add(out, "the worker has not said which locks hold");
        return;
    }
    if (said->missing[0] != '\0')
        add(out, said->missing);
    if (!seen->known) {
        add(out, "/proc does not show the worker");
        return;
    }
    if (seen->uid == 0)
        add(out, "user: it runs as root");
    if (!seen->no_new_privs)
        add(out, "no_new_privs");
    if (seen->capabilities != 0)
        add(out, "capabilities: it has some");
    if (said->seccomp && !seen->filtered)
        add(out, "seccomp: the kernel knows of no filter");
}

static void add_bool(struct text *out, const char *key, bool value)
{
    text_printf(out, ",\"%s\":%s", key, value ? "true" : "false");
}

void locks_add_json(struct text *out, const struct locks_seen *seen,
                    const struct letter_locks *said)
{
    char memory[1024];
    struct text missing = text_over(memory, sizeof memory);
    locks_add_missing(&missing, seen, said);
    text_printf(out, "{\"sandbox\":\"%s\"", said != NULL && said->wanted ? "on" : "off");
    if (seen->known) {
        text_printf(out, ",\"uid\":%" PRIu32, seen->uid);
        add_bool(out, "no_new_privs", seen->no_new_privs);
        text_printf(out, ",\"capabilities\":\"%" PRIx64 "\"", seen->capabilities);
        text_printf(out, ",\"bounding_set\":\"%" PRIx64 "\"", seen->bounding);
        add_bool(out, "seccomp", seen->filtered);
    }
    if (said != NULL)
        text_printf(out, ",\"landlock\":%" PRIu32, said->landlock_abi);
    if (missing.len > 0) {
        text_add_z(out, ",\"missing\":");
        text_add_json(out, text_str(&missing));
    }
    text_add_byte(out, '}');
}
