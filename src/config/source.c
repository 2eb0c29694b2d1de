#include "config/source.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/text.h"
#include "net/addr.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* All texts of a load together. A limit against a folder of film, not against big sites. */
#define SET_BYTES_MAX ((size_t)512 * 1024 * 1024)
/* A folder or a pattern with more names is not one of certificates or sites. */
#define NAMES_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* Pages that go into no core file and are wiped before they are given back. */
struct secret {
    struct secret *next;
    void *at;
    size_t size;
};

struct source_set {
    struct arena *arena;
    struct map by_name; /* kind byte + name -> struct source */
    struct source *first, *last;
    struct secret *secrets;
    bool disk;
    void *mapped; /* the pack */
    size_t mapped_size;
};

/* --- the set ------------------------------------------------------------------------------------
 */

static struct source_set *set_new(bool disk)
{
    struct arena *arena = arena_new(SET_BYTES_MAX, 16384);
    if (arena == NULL)
        return NULL;
    struct source_set *set = ARENA_NEW(arena, struct source_set);
    if (set == NULL) {
        arena_end(arena);
        return NULL;
    }
    set->arena = arena;
    set->disk = disk;
    map_init(&set->by_name, arena);
    return set;
}

struct source_set *source_set_disk(void)
{
    return set_new(true);
}

void source_set_end(struct source_set *set)
{
    if (set == NULL)
        return;
    for (struct secret *secret = set->secrets; secret != NULL; secret = secret->next) {
        explicit_bzero(secret->at, secret->size);
        munmap(secret->at, secret->size);
    }
    if (set->mapped)
        munmap(set->mapped, set->mapped_size);
    arena_end(set->arena);
}

bool source_is_disk(const struct source_set *set)
{
    return set->disk;
}

const struct source *source_first(const struct source_set *set)
{
    return set->first;
}

/* A NUL follows it, for system calls. */
static struct str key_of(struct arena *arena, enum source_kind kind, struct str name)
{
    char *key = arena_alloc(arena, name.len + 2);
    if (key == NULL)
        return (struct str){0};
    key[0] = (char)('A' + (int)kind);
    if (name.len)
        memcpy(key + 1, name.at, name.len);
    return str_from(key, name.len + 1);
}

static struct source *known(const struct source_set *set, enum source_kind kind, struct str name)
{
    char small[PATH_MAX + 64];
    struct text key = text_over(small, sizeof small);
    text_add_byte(&key, (char)('A' + (int)kind));
    text_add(&key, name);
    return text_ok(&key) ? map_get(&set->by_name, text_str(&key)) : NULL;
}

/* A new member without bytes, at the end. NULL without memory. */
static struct source *append(struct source_set *set, enum source_kind kind, struct str name)
{
    struct source *source = ARENA_NEW(set->arena, struct source);
    struct str key = key_of(set->arena, kind, name);
    if (source == NULL || key.at == NULL || !map_set(&set->by_name, key, source))
        return NULL;
    source->kind = kind;
    source->name = str_skip(key, 1);
    if (set->last)
        set->last->next = source;
    else
        set->first = source;
    set->last = source;
    return source;
}

static void fail(struct source_set *set, struct source *source, const char *why)
{
    source->bytes = (struct str){0};
    source->why = str_dup(set->arena, str_from_z(why));
    if (source->why.len == 0)
        source->why = STR("no memory");
}

/* Memory for a text: of the arena, for keys pages of their own. */
static char *room_for(struct source_set *set, enum source_kind kind, size_t bytes)
{
    if (kind != SOURCE_KEY)
        return arena_alloc(set->arena, bytes ? bytes : 1);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = (bytes / page + 1) * page;
    struct secret *secret = ARENA_NEW(set->arena, struct secret);
    if (secret == NULL)
        return NULL;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    madvise(at, size, MADV_DONTDUMP);
    *secret = (struct secret){.next = set->secrets, .at = at, .size = size};
    set->secrets = secret;
    return at;
}

/* --- from disk ----------------------------------------------------------------------------------
 */

static const char *strange_file(const struct stat *st)
{
    if (S_ISDIR(st->st_mode))
        return "is a folder";
    if (!S_ISREG(st->st_mode))
        return "is no regular file";
    if ((uint64_t)st->st_size > SOURCE_BYTES_MAX)
        return "is larger than 16 MiB";
    return NULL;
}

/* All bytes up to the end; the file may have changed its size since fstat(). */
static void read_all(struct source_set *set, struct source *source, int fd, size_t expected)
{
    size_t room = expected + 1; /* the extra byte tells whether it has grown */
    char *at = room_for(set, source->kind, room);
    if (at == NULL) {
        fail(set, source, "no memory");
        return;
    }
    size_t len = 0;
    while (len < room) {
        ssize_t n = read(fd, at + len, room - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fail(set, source, strerrordesc_np(errno));
            return;
        }
        if (n == 0)
            break;
        len += (size_t)n;
    }
    if (len == room)
        fail(set, source, "changed while it was read");
    else
        source->bytes = str_from(at, len);
}

static void read_file(struct source_set *set, struct source *source)
{
    const char *path = source->name.at; /* key_of() ends it with a NUL */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        fail(set, source, strerrordesc_np(errno));
        return;
    }
    struct stat st;
    const char *strange = fstat(fd, &st) < 0 ? strerrordesc_np(errno) : strange_file(&st);
    if (strange != NULL) {
        fail(set, source, strange);
    } else {
        source->mode = (uint32_t)st.st_mode;
        source->uid = (uint32_t)st.st_uid;
        read_all(set, source, fd, (size_t)st.st_size);
    }
    close(fd);
}

/* The member of that name, or a new one for the caller to fill (`*fresh`). */
static struct source *look_up(struct source_set *set, enum source_kind kind, struct str name,
                              bool *fresh)
{
    *fresh = false;
    struct source *source = known(set, kind, name);
    if (source != NULL)
        return source;
    source = append(set, kind, name);
    if (source == NULL)
        return NULL;
    if (!set->disk)
        fail(set, source, "is not among the texts of this load");
    else if (name.len == 0 || name.len > PATH_MAX || str_find_byte(name, '\0') != SIZE_MAX)
        fail(set, source, "is no file name");
    else
        *fresh = true;
    return source;
}

static void add_interface_addresses(struct text *list)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) < 0)
        return;
    for (const struct ifaddrs *at = all; at != NULL; at = at->ifa_next) {
        struct addr addr;
        if (at->ifa_addr == NULL || (at->ifa_flags & IFF_UP) == 0)
            continue;
        sa_family_t family = at->ifa_addr->sa_family;
        socklen_t len = family == AF_INET    ? sizeof(struct sockaddr_in)
                        : family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                             : 0;
        if (len == 0 || !addr_from_sockaddr(&addr, at->ifa_addr, len))
            continue;
        addr.port = 0;
        addr_add_text(list, &addr);
        text_add_byte(list, '\n');
    }
    freeifaddrs(all);
}

static void ask_system(struct source_set *set, struct source *source)
{
    struct text answer = text_in(set->arena, NAMES_BYTES_MAX);
    if (str_starts(source->name, STR("env:"))) {
        const char *value = getenv(source->name.at + 4);
        if (value == NULL)
            fail(set, source, "is not set");
        text_add_z(&answer, value);
    } else if (str_eq(source->name, STR("hostname"))) {
        char name[HOST_NAME_MAX + 1] = "";
        if (gethostname(name, sizeof name - 1) < 0)
            fail(set, source, strerrordesc_np(errno));
        text_add_z(&answer, name);
    } else if (str_eq(source->name, STR("ipv6"))) {
        text_add_z(&answer, access("/proc/net/if_inet6", R_OK) == 0 ? "yes" : "no");
    } else if (str_eq(source->name, STR("addresses"))) {
        add_interface_addresses(&answer);
    } else {
        fail(set, source, "is no question to the system");
    }
    if (source->why.len == 0)
        source->bytes = text_str(&answer);
}

const struct source *source_get(struct source_set *set, enum source_kind kind, struct str name)
{
    bool fresh;
    struct source *source = look_up(set, kind, name, &fresh);
    if (!fresh)
        return source;
    if (kind == SOURCE_FACT)
        ask_system(set, source);
    else if (kind == SOURCE_LIST)
        fail(set, source, "is a list: nobody made it");
    else
        read_file(set, source);
    return source;
}

/* --- lists of names -----------------------------------------------------------------------------
 */

static void add_name(struct text *list, const char *name)
{
    if (strchr(name, '\n') != NULL) /* such a name cannot be one of a list of lines */
        return;
    text_add_z(list, name);
    text_add_byte(list, '\n');
}

static void finish_list(struct source_set *set, struct source *source, const struct text *list)
{
    if (text_ok(list))
        source->bytes = text_str(list);
    else
        fail(set, source, "has too many names");
}

/* A folder that is not there holds nothing; one that may not be read is a failure. */
static int stop_looking(const char *path, int error)
{
    (void)path;
    return error != ENOENT && error != ENOTDIR;
}

const struct source *source_glob(struct source_set *set, struct str pattern)
{
    char name[PATH_MAX + 32];
    struct text question = text_over(name, sizeof name);
    text_add_z(&question, "glob:");
    text_add(&question, pattern);
    bool fresh;
    struct source *source = look_up(set, SOURCE_LIST, text_str(&question), &fresh);
    if (!fresh)
        return source;
    glob_t found = {0};
    int result = glob(source->name.at + 5, 0, stop_looking, &found); /* sorted by name */
    struct text list = text_in(set->arena, NAMES_BYTES_MAX);
    if (result == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            add_name(&list, found.gl_pathv[i]);
        finish_list(set, source, &list);
    } else if (result != GLOB_NOMATCH) {
        fail(set, source,
             result == GLOB_NOSPACE ? "no memory" : "a folder on the way cannot be read");
    }
    globfree(&found);
    return source;
}

static int regular_files_only(const struct dirent *entry)
{
    return entry->d_name[0] != '.' &&
           (entry->d_type == DT_REG || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN);
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

const struct source *source_folder(struct source_set *set, struct str path)
{
    char name[PATH_MAX + 32];
    struct text question = text_over(name, sizeof name);
    text_add_z(&question, "folder:");
    text_add(&question, path);
    bool fresh;
    struct source *source = look_up(set, SOURCE_LIST, text_str(&question), &fresh);
    if (!fresh)
        return source;
    struct dirent **entries = NULL;
    int count = scandir(source->name.at + 7, &entries, regular_files_only, by_bytes);
    if (count < 0) {
        fail(set, source, strerrordesc_np(errno));
        return source;
    }
    struct text list = text_in(set->arena, NAMES_BYTES_MAX);
    int folder = open(source->name.at + 7, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < count; i++) {
        struct stat st; /* links are followed: what they lead to is what counts */
        if (fstatat(folder, entries[i]->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
            add_name(&list, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    if (folder >= 0)
        close(folder);
    finish_list(set, source, &list);
    return source;
}

const struct source *source_env(struct source_set *set, struct str name)
{
    char question[PATH_MAX + 32];
    struct text text = text_over(question, sizeof question);
    text_add_z(&text, "env:");
    text_add(&text, name);
    return source_get(set, SOURCE_FACT, text_str(&text));
}

bool source_put(struct source_set *set, enum source_kind kind, struct str name, struct str bytes)
{
    if (bytes.len > SOURCE_BYTES_MAX)
        return false;
    struct source *source = known(set, kind, name);
    if (source == NULL)
        source = append(set, kind, name);
    char *at = source ? room_for(set, kind, bytes.len) : NULL;
    if (at == NULL)
        return false;
    if (bytes.len)
        memcpy(at, bytes.at, bytes.len);
    source->why = (struct str){0};
    source->bytes = str_from(at, bytes.len);
    return true;
}

bool source_adopt(struct source_set *set, const struct source *from)
{
    if (!source_put(set, from->kind, from->name, from->bytes))
        return false;
    struct source *source = known(set, from->kind, from->name);
    source->mode = from->mode;
    source->uid = from->uid;
    return true;
}

/* --- packs --------------------------------------------------------------------------------------
 */

/*
 * A pack: its front, then for each text its head, its name, its failure, its bytes. The bytes of
 * keys stand in the pack of keys, which has the same form and holds nothing else, in the same
 * order.
 */
struct pack_front {
    char magic[8];
    uint64_t count; /* of texts */
};

static const char pack_magic[8] = "PCPACK1\n";

struct pack_head {
    uint32_t kind, mode, uid, name_len, why_len, bytes_len;
};

/* Nobody can change or shorten a pack under its reader. */
#define PACK_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static bool write_all(int fd, const void *at, size_t len)
{
    const char *from = at;
    while (len != 0) {
        ssize_t n = write(fd, from, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        from += n;
        len -= (size_t)n;
    }
    return true;
}

static bool write_source(int fd, const struct source *source, bool with_bytes)
{
    struct str bytes = with_bytes ? source->bytes : (struct str){0};
    struct pack_head head = {.kind = (uint32_t)source->kind,
                             .mode = source->mode,
                             .uid = source->uid,
                             .name_len = (uint32_t)source->name.len,
                             .why_len = (uint32_t)source->why.len,
                             .bytes_len = (uint32_t)bytes.len};
    return write_all(fd, &head, sizeof head) && write_all(fd, source->name.at, source->name.len) &&
           write_all(fd, source->why.at, source->why.len) && write_all(fd, bytes.at, bytes.len);
}

static bool belongs(const struct source *source, bool keys)
{
    return !keys || (source->kind == SOURCE_KEY && source->why.len == 0);
}

/* A sealed memfd, or -1. */
static int write_pack(const struct source_set *set, const char *label, bool keys)
{
    int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    struct pack_front front = {.count = 0};
    memcpy(front.magic, pack_magic, sizeof pack_magic);
    for (const struct source *source = set->first; source; source = source->next)
        front.count += belongs(source, keys);
    bool ok = write_all(fd, &front, sizeof front);
    for (const struct source *source = set->first; ok && source; source = source->next)
        if (belongs(source, keys))
            ok = write_source(fd, source, keys == (source->kind == SOURCE_KEY));
    ok = ok && fcntl(fd, F_ADD_SEALS, PACK_SEALS) == 0;
    if (!ok) {
        close(fd);
        return -1;
    }
    return fd;
}

bool source_set_pack(struct source_set *set, int *fd, int *keys_fd)
{
    *fd = write_pack(set, "portcullis-texts", false);
    *keys_fd = *fd < 0 ? -1 : write_pack(set, "portcullis-keys", true);
    if (*keys_fd >= 0)
        return true;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return false;
}

/* The whole of a sealed memfd; NULL when it is none. */
static void *map_pack(int fd, size_t *size)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & PACK_SEALS) != PACK_SEALS || fstat(fd, &st) < 0)
        return NULL;
    *size = (size_t)st.st_size;
    if (*size < sizeof(struct pack_front) || *size > SET_BYTES_MAX)
        return NULL;
    void *at = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        return NULL;
    madvise(at, *size, MADV_DONTDUMP);
    return at;
}

struct packed {
    struct pack_head head;
    struct str name, why, bytes;
};

static bool take_part(struct str *rest, size_t len, struct str *part)
{
    if (len > rest->len)
        return false;
    *part = str_sub(*rest, 0, len);
    *rest = str_skip(*rest, len);
    return true;
}

static bool take_packed(struct str *rest, struct packed *out)
{
    struct str head;
    if (!take_part(rest, sizeof out->head, &head))
        return false;
    memcpy(&out->head, head.at, sizeof out->head);
    return out->head.kind <= SOURCE_FACT && out->head.bytes_len <= SOURCE_BYTES_MAX &&
           take_part(rest, out->head.name_len, &out->name) &&
           take_part(rest, out->head.why_len, &out->why) &&
           take_part(rest, out->head.bytes_len, &out->bytes);
}

/* The bytes of the key whose place in the main pack was just read. */
static bool take_key(struct source_set *set, struct str *keys, const struct packed *place,
                     struct source *source)
{
    struct packed key;
    if (place->bytes.len != 0 || place->why.len != 0 || !take_packed(keys, &key) ||
        key.head.kind != SOURCE_KEY || !str_eq(key.name, place->name) || key.why.len != 0)
        return false;
    char *at = room_for(set, SOURCE_KEY, key.bytes.len);
    if (at == NULL)
        return false;
    if (key.bytes.len)
        memcpy(at, key.bytes.at, key.bytes.len);
    source->bytes = str_from(at, key.bytes.len);
    return true;
}

static bool take_front(struct str *rest, uint64_t *count)
{
    struct str part;
    struct pack_front front;
    if (!take_part(rest, sizeof front, &part))
        return false;
    memcpy(&front, part.at, sizeof front);
    *count = front.count;
    return memcmp(front.magic, pack_magic, sizeof pack_magic) == 0;
}

static bool unpack(struct source_set *set, struct str rest, struct str keys, bool with_keys)
{
    uint64_t left, keys_left = 0;
    if (!take_front(&rest, &left) || (with_keys && !take_front(&keys, &keys_left)))
        return false;
    for (; left != 0; left--) {
        struct packed packed;
        if (!take_packed(&rest, &packed) ||
            known(set, (enum source_kind)packed.head.kind, packed.name) != NULL)
            return false;
        struct source *source = append(set, (enum source_kind)packed.head.kind, packed.name);
        if (source == NULL)
            return false;
        source->mode = packed.head.mode;
        source->uid = packed.head.uid;
        source->why = packed.why;
        source->bytes = packed.bytes;
        if (source->kind != SOURCE_KEY || source->why.len != 0)
            continue;
        if (!with_keys)
            fail(set, source, "keys are not handed over");
        else if (keys_left-- == 0 || !take_key(set, &keys, &packed, source))
            return false;
    }
    return rest.len == 0 && keys.len == 0;
}

struct source_set *source_set_unpack(int fd, int keys_fd)
{
    struct source_set *set = set_new(false);
    if (set == NULL)
        return NULL;
    size_t keys_size = 0;
    void *keys = keys_fd >= 0 ? map_pack(keys_fd, &keys_size) : NULL;
    set->mapped = map_pack(fd, &set->mapped_size);
    bool ok = set->mapped != NULL && (keys_fd < 0 || keys != NULL) &&
              unpack(set, str_from(set->mapped, set->mapped_size), str_from(keys, keys_size),
                     keys_fd >= 0);
    if (keys != NULL)
        munmap(keys, keys_size);
    if (ok)
        return set;
    source_set_end(set);
    return NULL;
}
