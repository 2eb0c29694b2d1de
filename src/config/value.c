#include "config/value.h"

#include "base/arena.h"

#include <string.h>

/* --- numbers ------------------------------------------------------------------------------------
 */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 86400 * 1000}, {NULL, 0},
};

static const struct unit size_units[] = {
    {"b", 1},
    {"k", (uint64_t)1 << 10},
    {"m", (uint64_t)1 << 20},
    {"g", (uint64_t)1 << 30},
    {"t", (uint64_t)1 << 40},
    {NULL, 0},
};

static size_t digits_of(struct str s)
{
    size_t n = 0;
    while (n < s.len && char_is_digit(s.at[n]))
        n++;
    return n;
}

static bool plain_number(struct str s, uint64_t max, uint64_t *n)
{
    if (s.len > 1 && s.at[0] == '0')
        return false;
    return str_to_u64(s, max, n);
}

static bool number_with_unit(struct str s, const struct unit *units, uint64_t max, uint64_t *value)
{
    uint64_t n;
    size_t digits = digits_of(s);
    if (!plain_number(str_sub(s, 0, digits), max, &n))
        return false;
    struct str name = str_skip(s, digits);
    for (const struct unit *unit = units; unit->name != NULL; unit++) {
        if (!str_eq(name, str_from_z(unit->name)))
            continue;
        if (n > max / unit->factor)
            return false;
        *value = n * unit->factor;
        return true;
    }
    return false;
}

bool value_duration(struct str s, uint64_t *ms)
{
    return number_with_unit(s, duration_units, VALUE_DURATION_MAX_MS, ms);
}

bool value_size(struct str s, uint64_t *bytes)
{
    return number_with_unit(s, size_units, VALUE_SIZE_MAX, bytes);
}

bool value_number(struct str s, uint64_t *n)
{
    return plain_number(s, VALUE_NUMBER_MAX, n);
}

bool value_switch(struct str s, bool *on)
{
    *on = str_eq(s, STR("on"));
    return *on || str_eq(s, STR("off"));
}

bool value_port(struct str s, uint16_t *port)
{
    uint64_t n;
    if (!plain_number(s, 65535, &n) || n == 0)
        return false;
    *port = (uint16_t)n;
    return true;
}

bool value_status(struct str s, unsigned *status)
{
    uint64_t n;
    if (!plain_number(s, 599, &n) || n < 100)
        return false;
    *status = (unsigned)n;
    return true;
}

bool value_statuses(struct str s, unsigned *first, unsigned *last)
{
    size_t dash = str_find_byte(s, '-');
    if (dash == SIZE_MAX)
        return value_status(s, first) && value_status(s, last);
    return value_status(str_sub(s, 0, dash), first) && value_status(str_skip(s, dash + 1), last) &&
           *first <= *last;
}

/* --- names and addresses ------------------------------------------------------------------------
 */

static bool is_name_byte(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || c == '_' || c == '-' || c == '.';
}

bool value_name(struct str s)
{
    if (s.len == 0 || (!char_is_alpha(s.at[0]) && !char_is_digit(s.at[0])))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_name_byte(s.at[i]))
            return false;
    return true;
}

bool value_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (c == '\0' ||
            (!char_is_alpha(c) && !char_is_digit(c) && strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return s.len != 0;
}

/* Letters, digits, `-` and, since names inside a house have it, `_`; RFC 1123 2.1 for the lengths.
 */
static bool is_dns_name(struct str s)
{
    struct str label;
    if (s.len == 0 || s.len > 253 || s.at[s.len - 1] == '.')
        return false;
    while (str_split(&s, '.', &label)) {
        if (label.len == 0 || label.len > 63 || label.at[0] == '-' ||
            label.at[label.len - 1] == '-')
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!is_name_byte(label.at[i]))
                return false;
    }
    return true;
}

/* "1.2.3", "127.1", "300.1.1.1": a name whose last label is a number is no name (RFC 3696 2). */
static bool ends_in_number(struct str s)
{
    size_t from = s.len;
    while (from != 0 && char_is_digit(s.at[from - 1]))
        from--;
    return from != s.len && (from == 0 || s.at[from - 1] == '.');
}

static bool is_dns_host(struct str s)
{
    return is_dns_name(s) && !ends_in_number(s);
}

bool value_host(struct str s)
{
    struct addr addr;
    if (str_eq(s, STR("*")) || addr_parse_ip(s, &addr))
        return true;
    if (s.len != 0 && s.at[s.len - 1] == '.')
        s.len--;
    if (str_starts(s, STR("*.")))
        s = str_skip(s, 2);
    return is_dns_host(s);
}

struct str value_host_canonical(struct arena *arena, struct str host)
{
    if (host.len > 1 && host.at[host.len - 1] == '.')
        host.len--;
    return str_lower(arena, host);
}

/* "host", "host:80", ":80", "[::1]:80"; empty parts stay empty. */
static bool split_host_port(struct str s, struct value_address *out)
{
    struct addr addr;
    struct str port = {0};
    if (str_starts(s, STR("["))) {
        size_t end = str_find_byte(s, ']');
        if (end == SIZE_MAX)
            return false;
        out->host = str_sub(s, 1, end - 1);
        port = str_skip(s, end + 1);
        if (!addr_parse_ip(out->host, &addr) || addr.family != ADDR_IP6 ||
            (port.len != 0 && port.at[0] != ':'))
            return false;
    } else {
        size_t colon = str_find_byte(s, ':');
        out->host = str_sub(s, 0, colon);
        port = str_skip(s, out->host.len);
        if (out->host.len != 0 && !is_dns_host(out->host) && !addr_parse_ip(out->host, &addr))
            return false;
    }
    return port.len == 0 || value_port(str_skip(port, 1), &out->port);
}

/* Takes "scheme://" from the front; false when there is one that is not in `schemes`. */
static bool take_scheme(struct str *s, const char *const *schemes, struct str *scheme)
{
    size_t at = str_find(*s, STR("://"));
    if (at == SIZE_MAX)
        return true;
    *scheme = str_sub(*s, 0, at);
    *s = str_skip(*s, at + 3);
    for (; *schemes != NULL; schemes++)
        if (str_eq(*scheme, str_from_z(*schemes)))
            return true;
    return false;
}

bool value_address(struct str s, struct value_address *address)
{
    static const char *const schemes[] = {"http", "https", NULL};
    *address = (struct value_address){0};
    if (!take_scheme(&s, schemes, &address->scheme))
        return false;
    if (address->scheme.len == 0) /* only the two well-known ports say what they speak */
        return value_port(s, &address->port) && (address->port == 80 || address->port == 443);
    struct addr addr;
    return split_host_port(s, address) && address->port != 0 &&
           (address->host.len == 0 || addr_parse_ip(address->host, &addr));
}

bool value_origin(struct str s, struct value_address *origin)
{
    static const char *const schemes[] = {"http", "https", NULL};
    *origin = (struct value_address){0};
    if (str_starts(s, STR("unix:"))) {
        origin->scheme = str_sub(s, 0, 4);
        origin->host = str_skip(s, 5);
        return origin->host.len > 1 && (origin->host.at[0] == '/' || origin->host.at[0] == '@') &&
               str_find_byte(origin->host, '\0') == SIZE_MAX;
    }
    if (!take_scheme(&s, schemes, &origin->scheme) || !split_host_port(s, origin))
        return false;
    return origin->host.len != 0 && (origin->port != 0 || origin->scheme.len != 0);
}

/* --- the types of the table ---------------------------------------------------------------------
 */

static bool fits_duration(struct str s)
{
    uint64_t n;
    return value_duration(s, &n);
}

static bool fits_size(struct str s)
{
    uint64_t n;
    return value_size(s, &n);
}

static bool fits_number(struct str s)
{
    uint64_t n;
    return value_number(s, &n);
}

static bool fits_port(struct str s)
{
    uint16_t port;
    return value_port(s, &port);
}

static bool fits_status(struct str s)
{
    unsigned status;
    return value_status(s, &status);
}

static bool fits_statuses(struct str s)
{
    unsigned first, last;
    return value_statuses(s, &first, &last);
}

static bool fits_cidr(struct str s)
{
    struct cidr cidr;
    return cidr_parse(s, &cidr) == CIDR_OK;
}

static bool fits_ip(struct str s)
{
    struct addr addr;
    return addr_parse_ip(s, &addr);
}

static bool fits_address(struct str s)
{
    struct value_address address;
    return value_address(s, &address);
}

static bool fits_origin(struct str s)
{
    struct value_address origin;
    return value_origin(s, &origin);
}

static bool fits_path(struct str s)
{
    return str_starts(s, STR("/"));
}

static bool fits_pattern(struct str s)
{
    return str_starts(s, STR("/"));
}

static bool fits_file(struct str s)
{
    return s.len != 0 && str_find_byte(s, '\0') == SIZE_MAX;
}

/* One line of text, since it goes into a header or a page. */
static bool fits_text(struct str s)
{
    (void)s;
    return true;
}

static bool fits_word(struct str s)
{
    return s.len != 0;
}

static bool fits_url(struct str s)
{
    return str_starts(s, STR("/")) || str_starts(s, STR("http://")) ||
           str_starts(s, STR("https://")) || str_starts(s, STR("$"));
}

/* type/subtype, or type / * (RFC 9110 8.3.1) */
static bool fits_mime(struct str s)
{
    size_t slash = str_find_byte(s, '/');
    return slash != SIZE_MAX && value_token(str_sub(s, 0, slash)) &&
           value_token(str_skip(s, slash + 1));
}

/* --- remedies -----------------------------------------------------------------------------------
 */

/* "030" as "30": what is left of a number when its zeros are gone. */
static struct str without_zeros(struct str s)
{
    while (s.len > 1 && s.at[0] == '0' && char_is_digit(s.at[1]))
        s = str_skip(s, 1);
    return s;
}

static bool all_digits(struct str s)
{
    return s.len != 0 && digits_of(s) == s.len;
}

struct spelling {
    const char *theirs, *ours;
};

static const struct spelling duration_spellings[] = {
    {"sec", "s"},     {"secs", "s"},   {"second", "s"},  {"seconds", "s"}, {"min", "m"},
    {"mins", "m"},    {"minute", "m"}, {"minutes", "m"}, {"hour", "h"},    {"hours", "h"},
    {"hr", "h"},      {"hrs", "h"},    {"day", "d"},     {"days", "d"},    {"msec", "ms"},
    {"millis", "ms"}, {NULL, NULL},
};

static const struct spelling size_spellings[] = {
    {"kb", "k"},  {"kib", "k"}, {"mb", "m"},  {"mib", "m"},   {"gb", "g"},
    {"gib", "g"}, {"tb", "t"},  {"tib", "t"}, {"bytes", "b"}, {NULL, NULL},
};

/* Number and unit as we spell it, in lower case, if that then is a value. */
static void respell(struct str s, const struct spelling *spellings, bool (*fits)(struct str),
                    struct text *hint)
{
    char memory[64];
    struct text guess = text_over(memory, sizeof memory);
    s = without_zeros(s);
    size_t digits = digits_of(s);
    text_add(&guess, str_sub(s, 0, digits));
    struct str unit = str_skip(s, digits);
    for (; spellings->theirs != NULL; spellings++)
        if (str_eq_nocase(unit, str_from_z(spellings->theirs)))
            unit = str_from_z(spellings->ours);
    for (size_t i = 0; i < unit.len; i++)
        text_add_byte(&guess, char_lower(unit.at[i]));
    if (text_ok(&guess) && fits(text_str(&guess)))
        text_printf(hint, "did you mean '%.*s'?", STR_ARG(text_str(&guess)));
}

static void hint_duration(struct str s, struct text *hint)
{
    if (all_digits(s))
        text_printf(hint, "did you mean '%.*ss'? ms, s, m, h or d belongs to it",
                    STR_ARG(without_zeros(s)));
    else
        respell(s, duration_spellings, fits_duration, hint);
}

static void hint_size(struct str s, struct text *hint)
{
    s = without_zeros(s);
    if (all_digits(s))
        text_printf(hint, "did you mean '%.*sb' or '%.*sk'? b, k, m, g or t belongs to it",
                    STR_ARG(s), STR_ARG(s));
    else
        respell(s, size_spellings, fits_size, hint);
}

static void hint_number(struct str s, struct text *hint)
{
    if (all_digits(s) && s.len > 1 && s.at[0] == '0')
        text_printf(hint, "did you mean '%.*s'? numbers have no leading zero",
                    STR_ARG(without_zeros(s)));
}

static void hint_cidr(struct str s, struct text *hint)
{
    struct cidr cidr;
    if (cidr_parse(s, &cidr) != CIDR_HOST_BITS)
        return;
    for (unsigned bit = cidr.bits; bit < 8 * sizeof cidr.net.ip; bit++)
        cidr.net.ip[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
    text_add_z(hint, "bits are set behind the prefix: did you mean '");
    addr_add_text(hint, &cidr.net);
    text_printf(hint, "/%u'?", cidr.bits);
}

static void hint_address(struct str s, struct text *hint)
{
    uint16_t port;
    struct value_address origin;
    if (value_port(s, &port) || (str_starts(s, STR(":")) && value_port(str_skip(s, 1), &port)))
        text_printf(hint, "say what it speaks: http://:%u or https://:%u", port, port);
    else if (str_starts(s, STR("*:")) && value_port(str_skip(s, 2), &port))
        text_printf(hint, "all addresses: http://:%u or https://:%u", port, port);
    else if (value_origin(s, &origin) && !fits_ip(origin.host))
        text_add_z(hint, "an address stands here, no name: http://127.0.0.1:8080");
    else if (value_origin(s, &origin) && origin.scheme.len == 0)
        text_printf(hint, "say what it speaks: http://%.*s or https://%.*s", STR_ARG(s),
                    STR_ARG(s));
    else if (value_origin(s, &origin) && origin.port == 0)
        text_printf(hint, "say the port: %.*s:%s", STR_ARG(s),
                    str_eq(origin.scheme, STR("https")) ? "443" : "80");
    else if (str_starts(s, STR("h2c://")))
        text_add_z(hint, "HTTP/2 without TLS is not spoken here: http:// and https:// are");
}

static void hint_origin(struct str s, struct text *hint)
{
    size_t scheme = str_find(s, STR("://"));
    struct str rest = scheme == SIZE_MAX ? s : str_skip(s, scheme + 3);
    size_t slash = str_find_byte(rest, '/');
    if (str_starts(s, STR("fastcgi://")) || str_starts(s, STR("uwsgi://")) ||
        str_starts(s, STR("scgi://")) || str_starts(s, STR("ajp://")))
        text_add_z(hint, "origins speak HTTP: put a small HTTP server in front of the application");
    else if (str_starts(s, STR("ws://")) || str_starts(s, STR("wss://")))
        text_printf(hint, "WebSocket needs no scheme of its own: http%s://%.*s",
                    s.at[2] == 's' ? "s" : "", STR_ARG(rest));
    else if (slash != SIZE_MAX && scheme != SIZE_MAX)
        text_printf(hint, "an origin has no path: '%.*s' and a 'rewrite'",
                    STR_ARG(str_sub(s, 0, scheme + 3 + slash)));
    else if (str_starts(s, STR("/")))
        text_printf(hint, "a socket is 'unix:%.*s', a folder 'files %.*s'", STR_ARG(s), STR_ARG(s));
    else if (value_host(s))
        text_printf(hint, "an origin names its port, such as '%.*s:80'", STR_ARG(s));
}

static void hint_host(struct str s, struct text *hint)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] >= 0x80) {
            text_add_z(hint, "write a name with such letters as its A-label, xn--…");
            return;
        }
    size_t scheme = str_find(s, STR("://"));
    if (scheme != SIZE_MAX)
        s = str_skip(s, scheme + 3);
    struct str host = str_sub(s, 0, str_find_byte(s, '/'));
    host = str_sub(host, 0, str_find_byte(host, ':'));
    if (host.len != 0 && value_host(host) && host.len < s.len + (scheme != SIZE_MAX))
        text_printf(hint, "a site is named by its host alone: '%.*s'; ports stand in 'listen'",
                    STR_ARG(host));
}

static void hint_path(struct str s, struct text *hint)
{
    if (value_name(s) || str_ends(s, STR("/*")))
        text_printf(hint, "did you mean '/%.*s'?", STR_ARG(s));
}

static void hint_mime(struct str s, struct text *hint)
{
    if (value_token(s))
        text_printf(hint, "type/subtype, such as text/%.*s", STR_ARG(s));
}

const struct value_type value_types[] = {
    {"DURATION", "a duration such as 30s", fits_duration, hint_duration, "30s"},
    {"AGE", "a duration such as 365d", fits_duration, hint_duration, "365d"},
    {"SIZE", "a size such as 64k", fits_size, hint_size, "64k"},
    {"N", "a number", fits_number, hint_number, "4"},
    {"PORT", "a port from 1 to 65535", fits_port, hint_number, "8443"},
    {"STATUS", "a status from 100 to 599", fits_status, NULL, "404"},
    {"STATUSES", "a status, or two such as 200-399", fits_statuses, NULL, "200-399"},
    {"CIDR", "an address or network such as 10.0.0.0/8", fits_cidr, hint_cidr, "10.0.0.0/8"},
    {"IP", "an IP address", fits_ip, NULL, "10.0.0.1"},
    {"ADDRESS", "an address such as https://:8443", fits_address, hint_address, "https://:8443"},
    {"ORIGIN", "an origin such as localhost:3000", fits_origin, hint_origin, "localhost:3000"},
    {"HOST", "a host name such as www.example.com", value_host, hint_host, "www.example.com"},
    {"NAME", "a name", value_name, NULL, "name"},
    {"FIELD", "the name of a header field", value_token, NULL, "X-Name"},
    {"METHOD", "a method such as GET", value_token, NULL, "GET"},
    {"PATH", "a path that begins with /", fits_path, hint_path, "/path"},
    {"PATTERN", "a pattern such as /api/*", fits_pattern, hint_path, "/api/*"},
    {"URL", "a URL or a path", fits_url, NULL, "https://www.example.com/"},
    {"TYPE", "a media type such as text/html", fits_mime, hint_mime, "text/html"},
    {"REGEX", "a regular expression", fits_word, NULL, "'^/x/(.*)$'"},
    {"FILE", "a file", fits_file, NULL, "file.txt"},
    {"DIR", "a folder", fits_file, NULL, "./public"},
    {"CERT", "a file of certificates", fits_file, NULL, "cert.pem"},
    {"KEY", "a file with a private key", fits_file, NULL, "key.pem"},
    {"CA", "a file of CA certificates", fits_file, NULL, "ca.pem"},
    {"TARGET", "a target such as localhost:3000", fits_word, NULL, "localhost:3000"},
    {"VALUE", "a value", fits_text, NULL, "value"},
    {"TEXT", "a text", fits_text, NULL, "'a text'"},
};
const size_t value_type_count = sizeof value_types / sizeof value_types[0];

const struct value_type *value_type_find(struct str name)
{
    for (size_t i = 0; i < value_type_count; i++)
        if (str_eq(name, str_from_z(value_types[i].name)))
            return &value_types[i];
    return NULL;
}
