#include "config/hints.h"

/* In order of the server they come from; where two say the same word, the first is meant. */
static const struct hint hints[] = {
    /* nginx */
    {STR_INIT("server_name"), "here a site is named by its host: site HOST { … }",
     "here a site is named by its host: site $1 { … }"},
    {STR_INIT("server"), "here: site HOST { … }, and the ports in 'listen'", NULL},
    {STR_INIT("location"), "here a line of a site: /path/* -> TARGET", NULL},
    {STR_INIT("proxy_pass"), "here the target of a route: /path/* -> localhost:3000",
     "here the target of a route: /path/* -> $1"},
    {STR_INIT("root"), "here a target: /* -> files DIR", "here a target: /* -> files $1"},
    {STR_INIT("alias"), "here: /path/* -> files DIR { strip }",
     "here: /path/* -> files $1 { strip }"},
    {STR_INIT("try_files"), "here: /* -> files DIR else ORIGIN, or { fallback index.html }", NULL},
    {STR_INIT("return"), "here a target: /path -> redirect 301 URL, or /path -> respond 404", NULL},
    {STR_INIT("rewrite_log"), "'explain' says what happens to a request", NULL},
    {STR_INIT("ssl_certificate"), "here both in one line: tls CERT KEY",
     "here both in one line: tls $1 KEY"},
    {STR_INIT("ssl_certificate_key"), "here both in one line: tls CERT KEY",
     "here both in one line: tls CERT $1"},
    {STR_INIT("ssl_protocols"), "TLS 1.2 and 1.3 are spoken; there is nothing to choose", NULL},
    {STR_INIT("ssl_ciphers"), "only AEAD suites are offered; there is nothing to choose", NULL},
    {STR_INIT("ssl"), "here: tls CERT KEY", NULL},
    {STR_INIT("fastcgi_pass"), "origins speak HTTP: put a small HTTP server in front of it", NULL},
    {STR_INIT("uwsgi_pass"), "origins speak HTTP: start uWSGI with --http-socket", NULL},
    {STR_INIT("scgi_pass"), "origins speak HTTP: put a small HTTP server in front of it", NULL},
    {STR_INIT("grpc_pass"), "here the target of a route: /path/* -> https://HOST:PORT", NULL},
    {STR_INIT("proxy_set_header"),
     "here: header request set NAME VALUE; X-Forwarded-* are set anyway",
     "here: header request set $1 VALUE; X-Forwarded-* are set anyway"},
    {STR_INIT("proxy_hide_header"), "here: header response remove NAME",
     "here: header response remove $1"},
    {STR_INIT("add_header"), "here: header response add NAME VALUE", NULL},
    {STR_INIT("more_set_headers"), "here: header response set NAME VALUE", NULL},
    {STR_INIT("proxy_http_version"), "HTTP/1.1 is spoken to origins anyway", NULL},
    {STR_INIT("proxy_read_timeout"), "here: timeout answer 60s stream 60s", NULL},
    {STR_INIT("proxy_connect_timeout"), "here: timeout connect 3s", NULL},
    {STR_INIT("proxy_send_timeout"), "here: timeout send 30s", NULL},
    {STR_INIT("proxy_buffering"), "answers are never buffered whole", NULL},
    {STR_INIT("proxy_request_buffering"), "request bodies are never buffered whole", NULL},
    {STR_INIT("proxy_redirect"), "with 'strip' the Location of answers is put right anyway", NULL},
    {STR_INIT("proxy_ssl_verify"), "here on by default: verify CA, or insecure", NULL},
    {STR_INIT("proxy_ssl_trusted_certificate"), "here: verify CA", NULL},
    {STR_INIT("proxy_ssl_name"), "here: sni NAME", NULL},
    {STR_INIT("proxy_ssl_server_name"), "the name is sent anyway; another: sni NAME", NULL},
    {STR_INIT("least_conn"), "here: balance least-requests", NULL},
    {STR_INIT("ip_hash"), "here: balance hash client", NULL},
    {STR_INIT("max_conns"), "here a line of its own: connections N", NULL},
    {STR_INIT("zone"), "not needed: all threads know the same of an origin", NULL},
    {STR_INIT("proxy_next_upstream"), "here: retry N", NULL},
    {STR_INIT("proxy_bind"), "here: source ADDRESS", NULL},
    {STR_INIT("client_max_body_size"), "here: body SIZE", "here: body $1"},
    {STR_INIT("client_body_timeout"), "here: timeout body 30s", NULL},
    {STR_INIT("client_header_timeout"), "here: timeout head 10s", NULL},
    {STR_INIT("large_client_header_buffers"), "here: head_limit size 32k", NULL},
    {STR_INIT("keepalive_timeout"), "here: timeout idle 60s", NULL},
    {STR_INIT("send_timeout"), "here: timeout send 30s", NULL},
    {STR_INIT("worker_processes"), "here: workers auto", NULL},
    {STR_INIT("worker_connections"), "connections are bounded by the limit of open files", NULL},
    {STR_INIT("events"), "not needed: 'workers' says how many threads serve", NULL},
    {STR_INIT("http2"), "HTTP/1.1 is spoken to clients so far", NULL},
    {STR_INIT("access_log"), "here: log FILE", "here: log $1"},
    {STR_INIT("error_log"), "errors and notices go to stderr, the access log to: log FILE", NULL},
    {STR_INIT("log_format"), "here: log FILE json, or combined", NULL},
    {STR_INIT("error_page"), "here: error STATUS FILE", "here: error $1 FILE"},
    {STR_INIT("autoindex"), "here: listing on", NULL},
    {STR_INIT("expires"), "here: cache DURATION", NULL},
    {STR_INIT("gzip"), "here: compress on (gzip, brotli and zstd)", NULL},
    {STR_INIT("gzip_types"), "here: compress TYPE…", NULL},
    {STR_INIT("brotli"), "here: compress on (gzip, brotli and zstd)", NULL},
    {STR_INIT("set_real_ip_from"), "here: trusted_proxies CIDR…", "here: trusted_proxies $1"},
    {STR_INIT("real_ip_header"),
     "here: trusted_proxies CIDR…; X-Forwarded-For and Forwarded are read", NULL},
    {STR_INIT("resolver"), "names are resolved as the system does it", NULL},
    {STR_INIT("map"), "here: 'when' chooses between routes of one pattern", NULL},
    {STR_INIT("if"), "here: 'when' in a route chooses whether it holds", NULL},
    {STR_INIT("set"), "there are no variables; ${NAME} is the environment", NULL},
    {STR_INIT("pid"), "the control socket stands for it: control PATH", NULL},
    {STR_INIT("server_tokens"), "no version is ever sent", NULL},
    {STR_INIT("types"), "media types are built in", NULL},
    {STR_INIT("default_type"), "media types are built in", NULL},
    {STR_INIT("sendfile"), "not needed here", NULL},
    {STR_INIT("tcp_nodelay"), "not needed here: always on", NULL},
    {STR_INIT("tcp_nopush"), "not needed here", NULL},
    {STR_INIT("stub_status"), "here a command: portcullis status", NULL},
    {STR_INIT("satisfy"), "each level of allow and deny must let a request in", NULL},
    /* HAProxy */
    {STR_INIT("frontend"), "here: 'listen' for the ports, site HOST { … } for the rules", NULL},
    {STR_INIT("backend"), "here the origins stand in the route: /* -> a:80 b:80", NULL},
    {STR_INIT("bind"), "here: listen 80 443", NULL},
    {STR_INIT("default_backend"), "here the route of everything else: /* -> TARGET", NULL},
    {STR_INIT("use_backend"), "here a route: /path/* -> TARGET", NULL},
    {STR_INIT("acl"), "here a route's pattern, or 'when' inside it", NULL},
    {STR_INIT("option"), "not needed here: forwarded headers and keep-alive are on", NULL},
    {STR_INIT("defaults"), "what stands at top level is the default of every site", NULL},
    {STR_INIT("global"), "such directives stand at top level here, in no block", NULL},
    {STR_INIT("http-request"), "here: header request …, allow, deny, or a redirect as target",
     NULL},
    {STR_INIT("http-response"), "here: header response set NAME VALUE", NULL},
    {STR_INIT("maxconn"), "connections are bounded by the limit of open files", NULL},
    {STR_INIT("mode"), "HTTP is spoken; there is no other mode", NULL},
    {STR_INIT("stats"), "here a command: portcullis status", NULL},
    {STR_INIT("nbthread"), "here: workers N", NULL},
    {STR_INIT("errorfile"), "here: error STATUS FILE", NULL},
    {STR_INIT("option httpchk"), "a failing origin rests by itself: rest DURATION", NULL},
    /* Caddy */
    {STR_INIT("reverse_proxy"), "here the target of a route: /* -> localhost:3000",
     "here the target of a route: /* -> $1"},
    {STR_INIT("file_server"), "here a target: /* -> files DIR", NULL},
    {STR_INIT("handle"), "here a route: /path/* -> TARGET", "here a route: $1 -> TARGET"},
    {STR_INIT("handle_path"), "here: /path/* -> TARGET { strip }", "here: $1 -> TARGET { strip }"},
    {STR_INIT("redir"), "here a target: /old/* -> redirect /new/*",
     "here a target: $1 -> redirect $2"},
    {STR_INIT("encode"), "here: compress on (it is by default)", NULL},
    {STR_INIT("respond"), "here a target: /path -> respond 200 'text'", NULL},
    {STR_INIT("uri"), "here: strip, or rewrite PATH", NULL},
    {STR_INIT("route"), "here a line of a site: /path/* -> TARGET", NULL},
    {STR_INIT("php_fastcgi"), "origins speak HTTP: put a small HTTP server in front of it", NULL},
    {STR_INIT("basicauth"), "passwords are not asked for yet; allow and deny judge addresses",
     NULL},
    {STR_INIT("basic_auth"), "passwords are not asked for yet; allow and deny judge addresses",
     NULL},
    {STR_INIT("import"), "here: include PATTERN", "here: include $1"},
    {STR_INIT("transport"), "here: timeout connect, verify, sni in the route", NULL},
    {STR_INIT("header_up"), "here: header request set NAME VALUE", NULL},
    {STR_INIT("header_down"), "here: header response set NAME VALUE", NULL},
    {STR_INIT("email"),
     "certificates come from files or the internal CA: tls CERT KEY, tls internal", NULL},
    /* Apache */
    {STR_INIT("ProxyPass"), "here a route: /path/* -> localhost:3000", NULL},
    {STR_INIT("ProxyPassReverse"), "with 'strip' the Location of answers is put right anyway",
     NULL},
    {STR_INIT("ProxyPassMatch"), "here: ~ REGEX -> TARGET", NULL},
    {STR_INIT("ProxyPreserveHost"), "here: host keep (it is the default)", NULL},
    {STR_INIT("ProxyRequests"), "this is no forward proxy; there is nothing to switch off", NULL},
    {STR_INIT("ServerName"), "here a site is named by its host: site HOST { … }",
     "here a site is named by its host: site $1 { … }"},
    {STR_INIT("ServerAlias"), "here one site takes several hosts: site HOST HOST { … }", NULL},
    {STR_INIT("DocumentRoot"), "here a target: /* -> files DIR", "here a target: /* -> files $1"},
    {STR_INIT("DirectoryIndex"), "here: index NAME…", NULL},
    {STR_INIT("SSLEngine"), "here: tls CERT KEY", NULL},
    {STR_INIT("SSLCertificateFile"), "here both in one line: tls CERT KEY",
     "here both in one line: tls $1 KEY"},
    {STR_INIT("SSLCertificateKeyFile"), "here both in one line: tls CERT KEY",
     "here both in one line: tls CERT $1"},
    {STR_INIT("SSLCertificateChainFile"), "the chain stands in CERT, in any order: tls CERT KEY",
     NULL},
    {STR_INIT("SSLProxyEngine"), "here: https:// in the target", NULL},
    {STR_INIT("SSLProxyVerify"), "here on by default: verify CA, or insecure", NULL},
    {STR_INIT("RewriteRule"), "here: ~ REGEX -> redirect URL, or 'rewrite' in a route", NULL},
    {STR_INIT("RewriteCond"), "here: 'when' in a route", NULL},
    {STR_INIT("RewriteEngine"), "not needed: a route says 'rewrite' or is a redirect", NULL},
    {STR_INIT("Redirect"), "here a target: /old/* -> redirect /new/*", NULL},
    {STR_INIT("RedirectMatch"), "here: ~ REGEX -> redirect URL", NULL},
    {STR_INIT("RequestHeader"), "here: header request set NAME VALUE", NULL},
    {STR_INIT("ErrorDocument"), "here: error STATUS FILE", NULL},
    {STR_INIT("CustomLog"), "here: log FILE combined", NULL},
    {STR_INIT("ErrorLog"), "errors and notices go to stderr, the access log to: log FILE", NULL},
    {STR_INIT("LimitRequestBody"), "here: body SIZE", NULL},
    {STR_INIT("Require"), "here: allow from CIDR…", NULL},
    {STR_INIT("Order"), "here the first of the allow and deny lines that matches decides", NULL},
    {STR_INIT("AuthType"), "passwords are not asked for yet; allow and deny judge addresses", NULL},
    {STR_INIT("<VirtualHost"), "here: site HOST { … }", NULL},
    {STR_INIT("<Location"), "here a line of a site: /path/* -> TARGET", NULL},
    {STR_INIT("<LocationMatch"), "here: ~ REGEX -> TARGET", NULL},
    {STR_INIT("<Directory"), "here a target: /* -> files DIR", NULL},
    {STR_INIT("<Proxy"), "here the origins stand in the route: /* -> a:80 b:80", NULL},
    {STR_INIT("<IfModule"), "there are no modules", NULL},
    {STR_INIT("LoadModule"), "there are no modules", NULL},
    /* Traefik and others that are written in YAML or TOML */
    {STR_INIT("http:"), "this is no YAML: site HOST { /path/* -> TARGET }", NULL},
    {STR_INIT("entryPoints:"), "here: listen 80 443", NULL},
    {STR_INIT("routers:"), "here a line of a site: /path/* -> TARGET", NULL},
    {STR_INIT("services:"), "here the origins stand in the route: /* -> a:80 b:80", NULL},
    {STR_INIT("middlewares:"), "here: strip, rewrite, header … in the route", NULL},
    {STR_INIT("rule:"), "here a line of a site: /path/* -> TARGET", NULL},
    {STR_INIT("[http"), "this is no TOML: site HOST { /path/* -> TARGET }", NULL},
    {STR_INIT("[entryPoints"), "here: listen 80 443", NULL},
    /* what is not there yet, and what there is instead */
    {STR_INIT("waf"), "requests are not inspected yet; allow and deny judge addresses", NULL},
    {STR_INIT("firewall"), "there is no firewall yet; allow and deny judge addresses", NULL},
    {STR_INIT("ban"), "there is no ban yet; deny from CIDR… refuses an address", NULL},
    {STR_INIT("rate"), "rates are not limited yet; timeout, body and head_limit are there", NULL},
    {STR_INIT("limit"), "rates are not limited yet; timeout, body and head_limit are there", NULL},
    {STR_INIT("concurrent"), "requests are not counted yet; timeout, body and head_limit are there",
     NULL},
    {STR_INIT("auth"), "passwords are not asked for yet; allow and deny judge addresses", NULL},
    {STR_INIT("methods"), "here 'when method GET …' in a route", NULL},
    {STR_INIT("metrics"), "here a command: portcullis status --json", NULL},
    {STR_INIT("geoip"), "countries are not known yet; allow and deny judge addresses", NULL},
    {STR_INIT("send_proxy"), "the client's address goes in X-Forwarded-For and Forwarded", NULL},
    {STR_INIT("origin_http2"), "HTTP/1.1 is spoken to origins so far", NULL},
    {STR_INIT("expect"), "requests are not tried ahead yet: portcullis check reads the file", NULL},
    {STR_INIT("sandbox"), "the worker has no privileges; more cannot be chosen yet", NULL},
    /* of any */
    {STR_INIT("auth_basic"), "passwords are not asked for yet; allow and deny judge addresses",
     NULL},
    {STR_INIT("auth_basic_user_file"),
     "passwords are not asked for yet; allow and deny judge addresses", NULL},
    {STR_INIT("http"), "here sites stand at top level: site HOST { … }", NULL},
    {STR_INIT("host"), "here a site is named by its host: site HOST { … }", NULL},
    {STR_INIT("vhost"), "here: site HOST { … }", NULL},
    {STR_INIT("domain"), "here a site is named by its host: site HOST { … }", NULL},
    {STR_INIT("port"), "here: listen 80 443", NULL},
    {STR_INIT("proxy"), "here the target of a route: /* -> localhost:3000", NULL},
    {STR_INIT("redirect"), "here a target: /old/* -> redirect /new/*", NULL},
    {STR_INIT("files"), "here a target: /* -> files DIR", NULL},
    {STR_INIT("static"), "here a target: /* -> files DIR", NULL},
    {STR_INIT("certificate"), "here: tls CERT KEY", NULL},
    {STR_INIT("cert_file"), "here: tls CERT KEY", NULL},
};

/* "<VirtualHost" of "<VirtualHost *:443>", "[http" of "[http.routers]". */
static bool word_is(struct str typed, struct str word)
{
    if (str_eq_nocase(typed, word))
        return true;
    bool opens = word.at[0] == '<' || word.at[0] == '[';
    return opens && str_starts_nocase(typed, word) &&
           (typed.at[word.len] == '.' || typed.at[word.len] == ']' || typed.at[word.len] == '>');
}

/* A path or a host in front of something: a route that lost its arrow, a site without `site`. */
static const char *hint_of_form(const struct statement *statement)
{
    struct str first = statement->words[0].text;
    if (str_starts(first, STR("/")) && statement->count > 1)
        return "a route has an arrow: /path/* -> TARGET";
    if (str_starts(first, STR("/")))
        return "a route says where to: /path/* -> TARGET";
    if (str_starts(first, STR("</")))
        return "a block ends with }";
    if (str_eq(first, STR("~")) && statement->block != NULL)
        return "an expression with braces stands in quotes: ~ '^/x{2}$' -> TARGET";
    if (str_eq(first, STR("~")))
        return "a route has an arrow: ~ REGEX -> TARGET";
    if (str_starts(first, STR("http://")) || str_starts(first, STR("https://")))
        return statement->block ? "here: site HOST { … }, and the ports in 'listen'"
                                : "an origin is the target of a route: /path/* -> ORIGIN";
    if (str_starts(first, STR("@")))
        return "here 'when' in a route chooses whether it holds";
    if (statement->block != NULL && statement->count == 1 &&
        (str_find_byte(first, '.') != SIZE_MAX || str_starts(first, STR("localhost"))))
        return "a site begins with its word: site HOST { … }";
    if (first.len > 1 && first.at[first.len - 1] == ':')
        return "no colon stands behind a directive";
    if (statement->count > 1 && str_eq(statement->words[1].text, STR("=")))
        return "no = stands behind a directive";
    return NULL;
}

/* http://app:3000/ as an origin: without the path. */
static struct str without_path(struct str s)
{
    size_t scheme = str_starts(s, STR("http")) ? str_find(s, STR("://")) : SIZE_MAX;
    if (scheme == SIZE_MAX)
        return s;
    size_t slash = str_find_byte(str_skip(s, scheme + 3), '/');
    return slash == SIZE_MAX ? s : str_sub(s, 0, scheme + 3 + slash);
}

/* `$1` and `$2` are words behind the first; false where the statement has not got them. */
static bool add_with_words(const char *said, const struct statement *statement, struct text *hint)
{
    struct str rest = str_from_z(said);
    while (rest.len != 0) {
        size_t n = rest.at[0] == '$' && rest.len > 1 ? (size_t)(rest.at[1] - '0') : 0;
        if (n != 0 && n >= statement->count)
            return false;
        text_add(hint, n == 0   ? str_sub(rest, 0, 1)
                       : n == 1 ? without_path(statement->words[n].text)
                                : statement->words[n].text);
        rest = str_skip(rest, n != 0 ? 2 : 1);
    }
    return true;
}

/* location /x/, location = /x, location ~ REGEX */
static bool add_location(const struct statement *statement, struct text *hint)
{
    if (statement->count < 2)
        return false;
    struct str first = statement->words[1].text;
    struct str last = statement->words[statement->count - 1].text;
    text_add_z(hint, "here a line of a site: ");
    if (str_eq(first, STR("=")))
        text_printf(hint, "%.*s -> TARGET", STR_ARG(last));
    else if (str_eq(first, STR("~")) || str_eq(first, STR("~*")))
        text_printf(hint, "~ '%.*s' -> TARGET", STR_ARG(last));
    else
        text_printf(hint, "%.*s%s -> TARGET", STR_ARG(last), str_ends(last, STR("/")) ? "*" : "/*");
    return true;
}

bool hints_for(const struct statement *statement, struct text *hint)
{
    struct str first = statement->words[0].text;
    struct text none = *hint;
    if (str_eq(first, STR("location")) && add_location(statement, hint))
        return true;
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (!word_is(first, hints[i].word))
            continue;
        if (hints[i].with_words != NULL && add_with_words(hints[i].with_words, statement, hint))
            return true;
        *hint = none;
        text_add_z(hint, hints[i].said_here);
        return true;
    }
    text_add_z(hint, hint_of_form(statement));
    return hint->len != none.len;
}
