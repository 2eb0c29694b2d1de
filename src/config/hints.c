#include "config/hints.h"

/* In order of the server they come from; where two say the same word, the first is meant. */
static const struct hint hints[] = {
    /* nginx */
    {STR_INIT("server_name"), "here a site is named by its host: site HOST { … }"},
    {STR_INIT("server"), "here: site HOST { … }, and the ports in 'listen'"},
    {STR_INIT("location"), "here a line of a site: /path/* -> TARGET"},
    {STR_INIT("proxy_pass"), "here the target of a route: /path/* -> localhost:3000"},
    {STR_INIT("root"), "here a target: /* -> files DIR"},
    {STR_INIT("alias"), "here: /path/* -> files DIR { strip }"},
    {STR_INIT("try_files"), "here: /* -> files DIR else ORIGIN, or { fallback index.html }"},
    {STR_INIT("return"), "here a target: /path -> redirect 301 URL, or /path -> respond 404"},
    {STR_INIT("rewrite_log"), "'explain' says what happens to a request"},
    {STR_INIT("ssl_certificate"), "here both in one line: tls CERT KEY"},
    {STR_INIT("ssl_certificate_key"), "here both in one line: tls CERT KEY"},
    {STR_INIT("ssl_protocols"), "TLS 1.2 and 1.3 are spoken; there is nothing to choose"},
    {STR_INIT("ssl_ciphers"), "only AEAD suites are offered; there is nothing to choose"},
    {STR_INIT("ssl"), "here: tls CERT KEY"},
    {STR_INIT("fastcgi_pass"), "origins speak HTTP: put a small HTTP server in front of it"},
    {STR_INIT("uwsgi_pass"), "origins speak HTTP: start uWSGI with --http-socket"},
    {STR_INIT("scgi_pass"), "origins speak HTTP: put a small HTTP server in front of it"},
    {STR_INIT("grpc_pass"), "here the target of a route: /path/* -> https://HOST:PORT"},
    {STR_INIT("upstream"), "here several origins stand in the route: /* -> a:80 b:80"},
    {STR_INIT("proxy_set_header"),
     "here: header request set NAME VALUE; X-Forwarded-* are set anyway"},
    {STR_INIT("proxy_hide_header"), "here: header response remove NAME"},
    {STR_INIT("add_header"), "here: header response add NAME VALUE"},
    {STR_INIT("more_set_headers"), "here: header response set NAME VALUE"},
    {STR_INIT("proxy_http_version"), "HTTP/1.1 is spoken to origins anyway"},
    {STR_INIT("proxy_read_timeout"), "here: timeout answer 60s stream 60s"},
    {STR_INIT("proxy_connect_timeout"), "here: timeout connect 3s"},
    {STR_INIT("proxy_send_timeout"), "here: timeout send 30s"},
    {STR_INIT("proxy_buffering"), "answers are never buffered whole"},
    {STR_INIT("proxy_request_buffering"), "request bodies are never buffered whole"},
    {STR_INIT("proxy_redirect"), "with 'strip' the Location of answers is put right anyway"},
    {STR_INIT("proxy_ssl_verify"), "here on by default: verify CA, or insecure"},
    {STR_INIT("proxy_ssl_trusted_certificate"), "here: verify CA"},
    {STR_INIT("proxy_ssl_name"), "here: sni NAME"},
    {STR_INIT("proxy_ssl_server_name"), "the name is sent anyway; another: sni NAME"},
    {STR_INIT("proxy_next_upstream"), "here: retry N"},
    {STR_INIT("proxy_bind"), "here: source ADDRESS"},
    {STR_INIT("client_max_body_size"), "here: body SIZE"},
    {STR_INIT("client_body_timeout"), "here: timeout body 30s"},
    {STR_INIT("client_header_timeout"), "here: timeout head 10s"},
    {STR_INIT("large_client_header_buffers"), "here: head_limit size 32k"},
    {STR_INIT("keepalive_timeout"), "here: timeout idle 60s"},
    {STR_INIT("send_timeout"), "here: timeout send 30s"},
    {STR_INIT("worker_processes"), "here: workers auto"},
    {STR_INIT("worker_connections"), "connections are bounded by the limit of open files"},
    {STR_INIT("events"), "not needed: 'workers' says how many threads serve"},
    {STR_INIT("http2"), "HTTP/1.1 is spoken to clients so far"},
    {STR_INIT("access_log"), "here: log FILE"},
    {STR_INIT("error_log"), "errors and notices go to stderr, the access log to: log FILE"},
    {STR_INIT("log_format"), "here: log FILE json, or combined"},
    {STR_INIT("error_page"), "here: error STATUS FILE"},
    {STR_INIT("autoindex"), "here: listing on"},
    {STR_INIT("expires"), "here: cache DURATION"},
    {STR_INIT("gzip"), "here: compress on (gzip, brotli and zstd)"},
    {STR_INIT("gzip_types"), "here: compress TYPE…"},
    {STR_INIT("brotli"), "here: compress on (gzip, brotli and zstd)"},
    {STR_INIT("set_real_ip_from"), "here: trusted_proxies CIDR…"},
    {STR_INIT("real_ip_header"),
     "here: trusted_proxies CIDR…; X-Forwarded-For and Forwarded are read"},
    {STR_INIT("resolver"), "names are resolved as the system does it"},
    {STR_INIT("map"), "here: 'when' chooses between routes of one pattern"},
    {STR_INIT("if"), "here: 'when' in a route chooses whether it holds"},
    {STR_INIT("set"), "there are no variables; ${NAME} is the environment"},
    {STR_INIT("pid"), "the control socket stands for it: control PATH"},
    {STR_INIT("server_tokens"), "no version is ever sent"},
    {STR_INIT("types"), "media types are built in"},
    {STR_INIT("default_type"), "media types are built in"},
    {STR_INIT("sendfile"), "not needed here"},
    {STR_INIT("tcp_nodelay"), "not needed here: always on"},
    {STR_INIT("tcp_nopush"), "not needed here"},
    {STR_INIT("stub_status"), "here a command: portcullis status"},
    {STR_INIT("satisfy"), "each level of allow and deny must let a request in"},
    /* HAProxy */
    {STR_INIT("frontend"), "here: 'listen' for the ports, site HOST { … } for the rules"},
    {STR_INIT("backend"), "here the origins stand in the route: /* -> a:80 b:80"},
    {STR_INIT("bind"), "here: listen 80 443"},
    {STR_INIT("default_backend"), "here the route of everything else: /* -> TARGET"},
    {STR_INIT("use_backend"), "here a route: /path/* -> TARGET"},
    {STR_INIT("acl"), "here a route's pattern, or 'when' inside it"},
    {STR_INIT("option"), "not needed here: forwarded headers and keep-alive are on"},
    {STR_INIT("defaults"), "what stands at top level is the default of every site"},
    {STR_INIT("global"), "such directives stand at top level here, in no block"},
    {STR_INIT("http-request"), "here: header request …, allow, deny, or a redirect as target"},
    {STR_INIT("http-response"), "here: header response set NAME VALUE"},
    {STR_INIT("maxconn"), "connections are bounded by the limit of open files"},
    {STR_INIT("mode"), "HTTP is spoken; there is no other mode"},
    {STR_INIT("stats"), "here a command: portcullis status"},
    {STR_INIT("nbthread"), "here: workers N"},
    {STR_INIT("errorfile"), "here: error STATUS FILE"},
    {STR_INIT("option httpchk"), "a failing origin rests by itself: rest DURATION"},
    /* Caddy */
    {STR_INIT("reverse_proxy"), "here the target of a route: /* -> localhost:3000"},
    {STR_INIT("file_server"), "here a target: /* -> files DIR"},
    {STR_INIT("handle"), "here a route: /path/* -> TARGET"},
    {STR_INIT("handle_path"), "here: /path/* -> TARGET { strip }"},
    {STR_INIT("redir"), "here a target: /old/* -> redirect /new/*"},
    {STR_INIT("encode"), "here: compress on (it is by default)"},
    {STR_INIT("respond"), "here a target: /path -> respond 200 'text'"},
    {STR_INIT("uri"), "here: strip, or rewrite PATH"},
    {STR_INIT("route"), "here a line of a site: /path/* -> TARGET"},
    {STR_INIT("php_fastcgi"), "origins speak HTTP: put a small HTTP server in front of it"},
    {STR_INIT("basicauth"), "passwords are not asked for yet; allow and deny judge addresses"},
    {STR_INIT("basic_auth"), "passwords are not asked for yet; allow and deny judge addresses"},
    {STR_INIT("import"), "here: include PATTERN"},
    {STR_INIT("transport"), "here: timeout connect, verify, sni in the route"},
    {STR_INIT("header_up"), "here: header request set NAME VALUE"},
    {STR_INIT("header_down"), "here: header response set NAME VALUE"},
    {STR_INIT("email"),
     "certificates come from files or the internal CA: tls CERT KEY, tls internal"},
    /* Apache */
    {STR_INIT("ProxyPass"), "here a route: /path/* -> localhost:3000"},
    {STR_INIT("ProxyPassReverse"), "with 'strip' the Location of answers is put right anyway"},
    {STR_INIT("ProxyPassMatch"), "here: ~ REGEX -> TARGET"},
    {STR_INIT("ProxyPreserveHost"), "here: host keep (it is the default)"},
    {STR_INIT("ProxyRequests"), "this is no forward proxy; there is nothing to switch off"},
    {STR_INIT("ServerName"), "here a site is named by its host: site HOST { … }"},
    {STR_INIT("ServerAlias"), "here one site takes several hosts: site HOST HOST { … }"},
    {STR_INIT("DocumentRoot"), "here a target: /* -> files DIR"},
    {STR_INIT("DirectoryIndex"), "here: index NAME…"},
    {STR_INIT("SSLEngine"), "here: tls CERT KEY"},
    {STR_INIT("SSLCertificateFile"), "here both in one line: tls CERT KEY"},
    {STR_INIT("SSLCertificateKeyFile"), "here both in one line: tls CERT KEY"},
    {STR_INIT("SSLCertificateChainFile"), "the chain stands in CERT, in any order: tls CERT KEY"},
    {STR_INIT("SSLProxyEngine"), "here: https:// in the target"},
    {STR_INIT("SSLProxyVerify"), "here on by default: verify CA, or insecure"},
    {STR_INIT("RewriteRule"), "here: ~ REGEX -> redirect URL, or 'rewrite' in a route"},
    {STR_INIT("RewriteCond"), "here: 'when' in a route"},
    {STR_INIT("RewriteEngine"), "not needed: a route says 'rewrite' or is a redirect"},
    {STR_INIT("Redirect"), "here a target: /old/* -> redirect /new/*"},
    {STR_INIT("RedirectMatch"), "here: ~ REGEX -> redirect URL"},
    {STR_INIT("RequestHeader"), "here: header request set NAME VALUE"},
    {STR_INIT("ErrorDocument"), "here: error STATUS FILE"},
    {STR_INIT("CustomLog"), "here: log FILE combined"},
    {STR_INIT("ErrorLog"), "errors and notices go to stderr, the access log to: log FILE"},
    {STR_INIT("LimitRequestBody"), "here: body SIZE"},
    {STR_INIT("Require"), "here: allow from CIDR…"},
    {STR_INIT("Order"), "here the first of the allow and deny lines that matches decides"},
    {STR_INIT("AuthType"), "passwords are not asked for yet; allow and deny judge addresses"},
    {STR_INIT("<VirtualHost"), "here: site HOST { … }"},
    {STR_INIT("<Location"), "here a line of a site: /path/* -> TARGET"},
    {STR_INIT("<LocationMatch"), "here: ~ REGEX -> TARGET"},
    {STR_INIT("<Directory"), "here a target: /* -> files DIR"},
    {STR_INIT("<Proxy"), "here the origins stand in the route: /* -> a:80 b:80"},
    {STR_INIT("<IfModule"), "there are no modules"},
    {STR_INIT("LoadModule"), "there are no modules"},
    /* Traefik and others that are written in YAML or TOML */
    {STR_INIT("http:"), "this is no YAML: site HOST { /path/* -> TARGET }"},
    {STR_INIT("entryPoints:"), "here: listen 80 443"},
    {STR_INIT("routers:"), "here a line of a site: /path/* -> TARGET"},
    {STR_INIT("services:"), "here the origins stand in the route: /* -> a:80 b:80"},
    {STR_INIT("middlewares:"), "here: strip, rewrite, header … in the route"},
    {STR_INIT("rule:"), "here a line of a site: /path/* -> TARGET"},
    {STR_INIT("[http"), "this is no TOML: site HOST { /path/* -> TARGET }"},
    {STR_INIT("[entryPoints"), "here: listen 80 443"},
    /* of any */
    {STR_INIT("auth_basic"), "passwords are not asked for yet; allow and deny judge addresses"},
    {STR_INIT("auth_basic_user_file"),
     "passwords are not asked for yet; allow and deny judge addresses"},
    {STR_INIT("http"), "here sites stand at top level: site HOST { … }"},
    {STR_INIT("host"), "here a site is named by its host: site HOST { … }"},
    {STR_INIT("vhost"), "here: site HOST { … }"},
    {STR_INIT("domain"), "here a site is named by its host: site HOST { … }"},
    {STR_INIT("port"), "here: listen 80 443"},
    {STR_INIT("proxy"), "here the target of a route: /* -> localhost:3000"},
    {STR_INIT("redirect"), "here a target: /old/* -> redirect /new/*"},
    {STR_INIT("files"), "here a target: /* -> files DIR"},
    {STR_INIT("static"), "here a target: /* -> files DIR"},
    {STR_INIT("certificate"), "here: tls CERT KEY"},
    {STR_INIT("cert_file"), "here: tls CERT KEY"},
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

const char *hints_for(const struct statement *statement)
{
    struct str first = statement->words[0].text;
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
        if (word_is(first, hints[i].word))
            return hints[i].said_here;
    return hint_of_form(statement);
}
