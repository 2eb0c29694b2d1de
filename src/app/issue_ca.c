#include "app/issue_ca.h"

#include "app/machine.h"
#include "app/state_dir.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "tls/tls_ca.h"
#include "tls/tls_facts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A chain of one certificate, or a key, in PEM. */
#define PEM_BYTES_MAX ((size_t)64 * 1024)
/* Issued again when a third of its 30 days is left. */
#define RENEW_BEFORE_S ((int64_t)TLS_CA_LEAF_DAYS * 24 * 3600 / 3)
/* Names of one site and of this machine. */
#define NAMES_MAX 256

struct issued {
    struct issued *next;
    struct str cert_path, key_path, cert, key;
};

void issue_ca_init(struct issue_ca *ca, const struct prescan *prescan, struct arena *arena,
                   struct diag *diag, bool keep)
{
    *ca = (struct issue_ca){.prescan = prescan, .arena = arena, .diag = diag, .keep = keep};
}

static int64_t now_s(void)
{
    return (int64_t)(clock_wall_us() / 1000000);
}

/* ---- files ---- */

static struct str path_of(const struct issue_ca *ca, const char *name)
{
    return str_printf(ca->arena, "%.*s/ca/%s", STR_ARG(ca->prescan->state_dir), name);
}

struct str issue_ca_cert_path(struct arena *arena, struct str state_dir)
{
    return str_printf(arena, "%.*s/ca/ca.pem", STR_ARG(state_dir));
}

/* The whole of a small file; empty when it cannot be read. */
static struct str read_pem(const struct issue_ca *ca, struct str path)
{
    struct text text = text_in(ca->arena, PEM_BYTES_MAX);
    char bytes[4096];
    ssize_t got;
    int fd = path.at == NULL ? -1 : open(path.at, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return STR("");
    while ((got = read(fd, bytes, sizeof bytes)) > 0)
        text_add(&text, str_from(bytes, (size_t)got));
    close(fd);
    explicit_bzero(bytes, sizeof bytes);
    return got == 0 && text_ok(&text) ? text_str(&text) : STR("");
}

static bool write_all(int fd, struct str s)
{
    while (!str_empty(s)) {
        ssize_t n = write(fd, s.at, s.len);
        if (n < 0 && errno != EINTR)
            return false;
        s = str_skip(s, n > 0 ? (size_t)n : 0);
    }
    return fsync(fd) == 0;
}

/* Beside the old one, then in its place: a crash leaves one or the other. */
static bool write_pem(const struct issue_ca *ca, struct str path, struct str pem, mode_t mode,
                      struct text *why)
{
    struct str beside = str_printf(ca->arena, "%.*s.new", STR_ARG(path));
    if (path.at == NULL || beside.at == NULL)
        return false;
    unlink(beside.at);
    int fd = open(beside.at, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool ok = fd >= 0 && write_all(fd, pem);
    if (fd >= 0)
        close(fd);
    if (ok && rename(beside.at, path.at) == 0)
        return true;
    text_printf(why, "%s cannot be written: %s", path.at, strerror(errno));
    unlink(beside.at);
    return false;
}

static bool make_folder(const struct issue_ca *ca, struct text *why)
{
    char reason[512];
    struct str folder = str_printf(ca->arena, "%.*s/ca", STR_ARG(ca->prescan->state_dir));
    const char *state = str_to_z(ca->arena, ca->prescan->state_dir);
    if (folder.at == NULL || state == NULL)
        return false;
    if (!state_dir_prepare(state, reason, sizeof reason) ||
        !state_dir_prepare(folder.at, reason, sizeof reason)) {
        text_add_z(why, reason);
        return false;
    }
    return true;
}

/* ---- the CA ---- */

/* Is `name` below `base` (or the same)? "*.a.b" counts as "a.b". */
static bool is_below(struct str name, struct str base)
{
    if (str_starts(name, STR("*.")))
        name = str_skip(name, 2);
    if (str_starts(base, STR("*.")))
        base = str_skip(base, 2);
    return str_eq(name, base) ||
           (str_ends(name, base) && name.len > base.len && name.at[name.len - base.len - 1] == '.');
}

static void add_name(struct str *names, size_t *count, struct str name)
{
    for (size_t i = 0; i < *count; i++)
        if (is_below(name, names[i]))
            return;
    if (*count < TLS_CA_NAMES_MAX)
        names[(*count)++] = name;
}

/* Everything that the new CA shall be good for. */
static size_t all_names(const struct issue_ca *ca, const struct str *extra, size_t extra_count,
                        struct str *names)
{
    struct str machine[NAMES_MAX];
    size_t machine_count = machine_names(ca->arena, machine, NAMES_MAX), count = 0;
    for (size_t i = 0; i < extra_count; i++)
        add_name(names, &count, extra[i]);
    for (size_t i = 0; i < machine_count; i++)
        add_name(names, &count, machine[i]);
    for (size_t i = 0; i < ca->prescan->host_count; i++)
        if (!str_eq(ca->prescan->hosts[i], STR("*")))
            add_name(names, &count, ca->prescan->hosts[i]);
    return count;
}

/* What the old CA issued is of no use any more. */
static void remove_issued(const struct issue_ca *ca)
{
    struct str folder = str_printf(ca->arena, "%.*s/ca", STR_ARG(ca->prescan->state_dir));
    DIR *dir = folder.at == NULL ? NULL : opendir(folder.at);
    if (dir == NULL)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (strncmp(e->d_name, "leaf-", 5) == 0)
            unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
}

static bool make_ca(struct issue_ca *ca, const struct str *extra, size_t extra_count,
                    struct text *why)
{
    struct str *names = arena_array(ca->arena, TLS_CA_NAMES_MAX, sizeof *names);
    struct text cert = text_in(ca->arena, PEM_BYTES_MAX), key = text_in(ca->arena, PEM_BYTES_MAX);
    if (names == NULL)
        return false;
    size_t count = all_names(ca, extra, extra_count, names);
    if (!tls_ca_create(names, count, now_s(), &cert, &key, why))
        return false;
    ca->ca_cert = text_str(&cert);
    ca->ca_key = text_str(&key);
    return ca->fresh = true;
}

/*
 * The first name that the CA may not sign for, or empty: of those asked for now, and of all that
 * the file will ask for, so that no certificate is issued by a CA that the next site replaces.
 */
static struct str forbidden(const struct issue_ca *ca, const struct str *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!tls_ca_permits(ca->ca_cert, names[i]))
            return names[i];
    for (size_t i = 0; !ca->fits_file && i < ca->prescan->host_count; i++) {
        struct str host = ca->prescan->hosts[i];
        if (!str_eq(host, STR("*")) && !tls_ca_permits(ca->ca_cert, host))
            return host;
    }
    return STR("");
}

static bool ca_lives(const struct issue_ca *ca)
{
    struct tls_facts facts;
    char memory[256];
    struct text why = text_over(memory, sizeof memory);
    return tls_facts_inspect(ca->arena, ca->ca_cert, STR("ca.pem"), &facts, &why) &&
           facts.not_after > now_s() + (int64_t)TLS_CA_LEAF_DAYS * 24 * 3600;
}

/* What is kept is told when it is. */
static void tell(struct issue_ca *ca, struct str notice)
{
    if (ca->keep)
        ca->notice = notice;
    else
        diag_notice(ca->diag, NULL, "%.*s", STR_ARG(notice));
}

/* The CA on disk if it will do for these names, else a new one. */
static bool have_ca(struct issue_ca *ca, const struct str *names, size_t count, struct text *why)
{
    if (!ca->opened) {
        ca->ca_cert = read_pem(ca, path_of(ca, "ca.pem"));
        ca->ca_key = read_pem(ca, path_of(ca, "ca.key"));
        ca->opened = true;
    }
    const char *verb = ca->keep ? "was made" : "will be made";
    if (str_empty(ca->ca_cert) || str_empty(ca->ca_key)) {
        tell(ca, str_printf(ca->arena,
                            "a local CA %s: %.*s/ca/ca.pem (portcullis cert trust installs "
                            "it in this machine's store)",
                            verb, STR_ARG(ca->prescan->state_dir)));
        ca->fits_file = true;
        return make_ca(ca, names, count, why);
    }
    struct str name = forbidden(ca, names, count);
    if (!str_empty(name))
        tell(ca, str_printf(ca->arena,
                            "a new local CA %s, since the old one may not sign for %.*s: install "
                            "it again where the old one is trusted (portcullis cert trust)",
                            verb, STR_ARG(name)));
    else if (!ca->fits_file && !ca_lives(ca))
        tell(ca, str_printf(ca->arena, "a new local CA %s, since the old one expires", verb));
    else
        return ca->fits_file = true;
    ca->fits_file = true;
    return make_ca(ca, names, count, why);
}

/* ---- certificates ---- */

/* "a.b *.c" into its names; `*` is this machine. */
static size_t split_names(const struct issue_ca *ca, struct str list, struct str *names)
{
    size_t count = 0;
    struct str name;
    while (count < NAMES_MAX && str_split(&list, ' ', &name)) {
        if (str_eq(name, STR("*")))
            count += machine_names(ca->arena, names + count, NAMES_MAX - count);
        else if (!str_empty(name))
            names[count++] = name;
    }
    return count;
}

static bool still_good(const struct issue_ca *ca, struct str cert, const struct str *names,
                       size_t count)
{
    struct tls_facts facts;
    char memory[256];
    struct text why = text_over(memory, sizeof memory);
    if (str_empty(cert) ||
        !tls_facts_inspect(ca->arena, cert, STR("an issued certificate"), &facts, &why) ||
        facts.not_after < now_s() + RENEW_BEFORE_S)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!tls_facts_cover(&facts, names[i]) && !str_starts(names[i], STR("*.")))
            return false;
    return true;
}

static bool note_issued(struct issue_ca *ca, struct issued pair)
{
    struct issued *issued = ARENA_NEW(ca->arena, struct issued);
    if (issued == NULL)
        return false;
    *issued = pair;
    issued->cert = str_dup(ca->arena, pair.cert);
    issued->key = str_dup(ca->arena, pair.key);
    issued->next = ca->issued;
    ca->issued = issued;
    return issued->cert.at != NULL && issued->key.at != NULL;
}

static bool issue(void *user, struct str list, struct text *chain, struct text *key,
                  struct text *why)
{
    struct issue_ca *ca = user;
    struct str names[NAMES_MAX];
    size_t count = split_names(ca, list, names);
    if (!have_ca(ca, names, count, why))
        return false;
    char name[64];
    unsigned long long id = hash_stable(count, list);
    snprintf(name, sizeof name, "leaf-%016llx.pem", id);
    struct str cert_path = path_of(ca, name);
    snprintf(name, sizeof name, "leaf-%016llx.key", id);
    struct str key_path = path_of(ca, name);
    struct str old_cert = read_pem(ca, cert_path), old_key = read_pem(ca, key_path);
    if (!ca->fresh && !str_empty(old_key) && still_good(ca, old_cert, names, count)) {
        text_add(chain, old_cert);
        text_add(key, old_key);
        return text_ok(chain) && text_ok(key);
    }
    if (!tls_ca_issue(ca->ca_cert, ca->ca_key, names, count, now_s(), chain, key, why))
        return false;
    const struct issued pair = {.cert_path = cert_path,
                                .key_path = key_path,
                                .cert = text_str(chain),
                                .key = text_str(key)};
    return !ca->keep || note_issued(ca, pair);
}

/* ---- keeping ---- */

static bool write_issued(const struct issue_ca *ca, struct text *why)
{
    for (const struct issued *i = ca->issued; i != NULL; i = i->next)
        if (!write_pem(ca, i->key_path, i->key, 0600, why) ||
            !write_pem(ca, i->cert_path, i->cert, 0644, why))
            return false;
    return true;
}

static bool write_ca(const struct issue_ca *ca, struct text *why)
{
    remove_issued(ca);
    return write_pem(ca, path_of(ca, "ca.key"), ca->ca_key, 0600, why) &&
           write_pem(ca, path_of(ca, "ca.pem"), ca->ca_cert, 0644, why);
}

bool issue_ca_keep(struct issue_ca *ca)
{
    char memory[PATH_MAX + 256];
    struct text why = text_over(memory, sizeof memory);
    if (!ca->keep || (!ca->fresh && ca->issued == NULL))
        return true;
    if (!make_folder(ca, &why) || (ca->fresh && !write_ca(ca, &why)) || !write_issued(ca, &why)) {
        diag_error(ca->diag, NULL, "the local CA cannot be kept: %.*s", STR_ARG(text_str(&why)));
        return false;
    }
    if (!str_empty(ca->notice))
        diag_notice(ca->diag, NULL, "%.*s", STR_ARG(ca->notice));
    return true;
}

struct compile_hooks issue_ca_hooks(struct issue_ca *ca)
{
    return (struct compile_hooks){.user = ca, .issue = issue};
}
