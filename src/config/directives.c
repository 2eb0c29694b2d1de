/* The table of directive.h. Its order is that of the reference. */
#include "config/compile_access.h"
#include "config/compile_check.h"
#include "config/compile_expect.h"
#include "config/compile_file.h"
#include "config/compile_header.h"
#include "config/compile_listen.h"
#include "config/compile_log.h"
#include "config/compile_metrics.h"
#include "config/compile_named.h"
#include "config/compile_route.h"
#include "config/compile_settings.h"
#include "config/compile_site.h"
#include "config/directive.h"

#define F PLACE_FILE
#define S PLACE_SITE
#define R PLACE_ROUTE
#define U PLACE_UPSTREAM
#define LIST DIRECTIVE_LIST
#define BLOCK DIRECTIVE_BLOCK

const struct directive directives[] = {
    /* ---- the program ---- */
    {"listen", "ADDRESS…", F, LIST, 0, "80 443", "the addresses and ports that are open",
     "80 is plain HTTP and 443 HTTPS on all addresses. Any other port names its scheme: "
     "https://:8443 for all addresses, http://127.0.0.1:8080 for one.",
     "listen http://127.0.0.1:8080 https://:8443", compile_listen},
    {"workers", "auto|N", F, 0, 0, "auto", "threads that serve",
     "auto is one for each core the program may run on.", "workers 4", compile_file_workers},
    {"user", "NAME", F, 0, 0, "portcullis, else nobody",
     "whom the process that talks to the network runs as",
     "Only where the program was started as root. root is taken with a warning.", "user www-data",
     compile_file_user},
    {"sandbox", "on|off", F, 0, 0, "on", "locks around the process that talks to the network",
     "It makes no system calls but its own (seccomp) and reaches no files but those that 'files' "
     "serves (Landlock). Off is for looking for a fault; `status` says which locks hold.",
     "sandbox off", compile_file_sandbox},
    {"include", "FILE", PLACE_EVERY, LIST, 0, "", "the statements of other files stand here",
     "A path or a pattern with * ? [ ], relative to the file it stands in. A pattern may match "
     "nothing; files come in the order of their names.",
     "include sites/*.conf", NULL},
    {"reset", "NAME…", S | R, LIST, 0, "", "forgets what outer levels say",
     "Of lists: allow and deny (both), header, error, log_show; and of what has no word for none: "
     "timeout, index, fallback, cache, verify, sni, cert, source, check. It stands before the "
     "lines that "
     "begin anew.",
     "reset allow", compile_settings_reset},
    {"state", "DIR", F, 0, 0, "/var/lib/portcullis for root",
     "the folder for what the program keeps",
     "The local certificate authority and the control socket. For others than root the default is "
     "$XDG_STATE_HOME/portcullis or ~/.local/state/portcullis.",
     "state /srv/portcullis", compile_file_state},
    {"control", "FILE [group NAME]", F, 0, 0, "STATE/control.sock",
     "the socket that commands such as status and reload use",
     "Only the one who started the program may use it, or the members of a group.",
     "control /run/portcullis.sock group adm", compile_file_control},
    {"metrics", "ADDRESS", F, BLOCK, PLACE_METRICS, "not served",
     "serves counters to Prometheus at /metrics of this address",
     "A loopback address, or a block with allow lines that say who may read them: they tell the "
     "names of sites and routes. See docs/metrics.md.",
     "metrics http://127.0.0.1:9100", compile_metrics},
    {"drain", "DURATION", F, 0, 0, "30s", "how long a stop waits for open exchanges", NULL,
     "drain 1m", compile_file_drain},
    {"trusted_proxies", "CIDR…", F, LIST, 0, "nobody", "proxies in front of this one",
     "From them X-Forwarded-For (or Forwarded) is believed: the client is the rightmost address "
     "that is not one of them.",
     "trusted_proxies 10.0.0.0/8", compile_file_trusted_proxies},
    {"head_limit", "(line SIZE | fields N | size SIZE)…", F, 0, 0, "line 8k fields 100 size 32k",
     "the largest head of a request", "More is answered with 414 or 431.", "head_limit fields 50",
     compile_file_head_limit},
    {"log", "(FILE|stderr|syslog|off) [json|combined] [rotate SIZE keep N]", PLACE_ANY, 0, 0,
     "stderr json", "where the access log goes and how it is written",
     "Errors and notices always go to stderr.", "log access.log json rotate 100m keep 5",
     compile_log_line},
    {"log_show", "(query|cookies|authorization)…", PLACE_ANY, LIST, 0, "nothing",
     "what the access log does not mask", NULL, "log_show query", compile_log_show},

    /* ---- sites ---- */
    {"site", "HOST… [-> TARGET…]", F, LIST | BLOCK | DIRECTIVE_NEEDS_BLOCK, PLACE_SITE, "",
     "a host and what is served for it",
     "*.example.com is every name below example.com, * every name no other site has. The short "
     "form is a site with one route for all paths.",
     "site www.example.com -> localhost:3000", compile_site},
    {"on", "ADDRESS…", S, LIST, 0, "all listeners", "serves this site on these listeners only",
     "Addresses are written as in listen.", "on https://:8443", compile_listen_on},
    {"tls", "auto|internal|off | CERT KEY [CERT KEY] | DIR", F | S, 0, 0, "", "the certificate",
     "internal: issued by a certificate authority of this machine. CERT KEY: files in PEM, twice "
     "for an ECDSA and an RSA pair. DIR: every pair in a folder. off: plain listeners only.",
     "tls /etc/ssl/www.pem /etc/ssl/www.key", compile_settings_tls},
    {"hsts", "on|off|AGE", F | S, 0, 0, "off", "tells browsers to come by HTTPS only",
     "on is 365d. Sent over TLS only.", "hsts on", compile_settings_hsts},
    {"http", "redirect [PORT] | serve | refuse", F | S, 0, 0, "redirect",
     "what plain HTTP gets of a site with TLS",
     "redirect: a 308 to HTTPS, on the port of the first HTTPS listener unless said; serve: the "
     "same as over TLS; refuse: 403.",
     "http refuse", compile_settings_http},

    {"expect", "METHOD URL [from IP] [header FIELD TEXT]… -> (STATUS|forward|PATTERN | ~ REGEX)", S,
     LIST, 0, "", "a request that is tried before this configuration serves",
     "At each check, start and reload, through the serving code itself; one that does not come to "
     "what stands behind the arrow is an error, and a reload is refused. STATUS: the proxy itself "
     "answers with it, be it a refusal, a redirect, a text or a file. A pattern of the site, "
     "written as in its route: this route is chosen and lets the request in, whatever its target "
     "says then. forward: some route lets it in and an origin would be asked; no origin is asked, "
     "so what it would answer cannot be expected. The path is sent as it stands here. It goes to "
     "the site's first HTTPS listener, else its first, with its first host as Host and in TLS: of "
     "*.example.com that is expect.example.com, of * it is expect.invalid; header Host NAME says "
     "another Host on that connection, and a URL instead of the path another host and listener. "
     "from: the address of the client, 203.0.113.1 unless said: one of nobody, which no list "
     "knows. header Content-Length 3000000 stands for a body of that size.",
     "expect GET /admin/x from 8.8.8.8 -> 403", compile_expect},

    /* ---- routes ---- */
    {"->", "(PATTERN | ~ REGEX)… -> TARGET…", S, LIST | BLOCK, PLACE_ROUTE, "",
     "a route: which path goes where",
     "Patterns: /x/* a prefix, ~ REGEX an expression, any other an exact path. Targets: origins "
     "(HOST:PORT, http://…, https://…, unix:/path) or one of: files DIR [else ORIGIN…]; redirect "
     "[STATUS] URL; redirects FILE [else TARGET]; respond STATUS [TEXT]. Exact paths come first, "
     "then expressions in the order of the file, then the longest prefix.",
     "/api/* -> localhost:5000 localhost:5001", compile_route},
    {"when",
     "[not] (method METHOD… | header FIELD [VALUE…] | query|cookie VALUE [VALUE…] | from CIDR… | "
     "path ~ REGEX)",
     R, LIST, 0, "", "a condition: the route is taken only where it holds",
     "Values on one line are alternatives, no value means present; of several lines all must hold.",
     "when method GET HEAD", compile_route_when},
    {"allow", "all | from (any | CIDR…)", PLACE_ANY | PLACE_METRICS, LIST, 0, "",
     "lets addresses in",
     "The first rule of a level that matches decides; where none does and the level has an allow, "
     "the request is refused with 403. Every level that has rules must let a request in.",
     "allow from 10.0.0.0/8", compile_access_rule},
    {"deny", "all | from (any | CIDR…)", PLACE_ANY | PLACE_METRICS, LIST, 0, "",
     "keeps addresses out", NULL, "deny from 10.6.34.7", compile_access_rule},
    {"paths", "strict|loose", PLACE_ANY, 0, 0, "strict",
     "whether a path is refused that an origin could take for another route's",
     "strict: the path is also read as lenient origins read it (%2f, %5c and \\ as a slash, what "
     "follows a ; in a segment dropped, decoded a second time, overlong UTF-8, cut at an encoded "
     "?, "
     "# or NUL, letters without case, //NAME as a host). Where one of these readings falls on a "
     "route with other "
     "allow "
     "and deny lines, or climbs to where no route is, the answer is 400 and the record names both "
     "routes. loose: not on this route.",
     "paths loose", compile_settings_paths},
    {"strip", "", R, 0, 0, "", "removes the prefix of the pattern from what is forwarded",
     "/api/x becomes /x. Sets X-Forwarded-Prefix, and puts the prefix back into Location, "
     "Content-Location, Refresh and the paths of cookies.",
     "strip", compile_route_strip},
    {"rewrite", "PATH | ~ REGEX PATH", R, 0, 0, "", "another path for the target",
     "A final * is what the pattern's * matched; $1 to $9 are groups of the expression. The query "
     "stays.",
     "rewrite /v2/*", compile_route_rewrite},
    {"header",
     "request|response set|add FIELD TEXT | request|response remove FIELD | response keep FIELD",
     PLACE_ANY, LIST, 0, "", "changes header fields towards the origin or the client",
     "set replaces, add adds, keep lets Server, X-Powered-By and X-AspNet-Version of the origin "
     "pass. Values may name $client $host $scheme $method $path $query $request_id.",
     "header response set X-Frame-Options DENY", compile_header_line},
    {"host", "keep|origin|HOST", PLACE_ANY | U, 0, 0, "keep", "the Host that the origin sees",
     "keep: the client's; origin: its own name.", "host origin", compile_settings_host},
    {"forwarded", "standard|unquoted|off", PLACE_ANY, 0, 0, "standard",
     "the form of the Forwarded field",
     "unquoted: for origins that take the quotes of RFC 7239 for part of the name.",
     "forwarded off", compile_settings_forwarded},
    {"body", "SIZE|off", PLACE_ANY, 0, 0, "100m", "the largest body of a request",
     "More is answered with 413. off: no limit.", "body 2g", compile_settings_body},
    {"timeout", "(handshake|head|idle|body|send|connect|answer|stream|quiet DURATION)…",
     PLACE_ANY | U, LIST, 0,
     "handshake 10s head 10s idle 60s body 30s send 30s connect 3s answer 60s stream 60s quiet 10m",
     "how long things may take",
     "At top level only: handshake (accept to the end of the TLS handshake), head (first byte of a "
     "request to its whole head), idle (kept-alive without a request). body: less than 1k of a "
     "request's body in this time; send: the client takes less than 1k of an answer in this time; "
     "connect: to one origin; answer: "
     "request sent to the head of the answer; stream: between bytes of an answer; quiet: a "
     "WebSocket or event stream without a byte either way.",
     "timeout connect 1s answer 8s", compile_settings_timeout},
    {"compress", "on|off | TYPE…", PLACE_ANY, 0, 0, "on", "compresses answers on the fly",
     "on: text types from 1k; or the types named. Never event streams, nor for cross-site "
     "requests.",
     "compress text/html application/json", compile_settings_compress},
    {"websocket", "on|off", PLACE_ANY, 0, 0, "on", "lets WebSockets through", NULL, "websocket off",
     compile_settings_websocket},
    {"error", "STATUS… FILE", PLACE_ANY, LIST, 0, "our own pages",
     "a page of your own for errors of the proxy", "Answers of origins pass as they are.",
     "error 502 504 down.html", compile_settings_error},

    /* ---- files ---- */
    {"index", "FILE…", PLACE_ANY, 0, 0, "index.html", "which file of a folder is its page", NULL,
     "index index.html index.htm", compile_settings_index},
    {"fallback", "FILE", PLACE_ANY, 0, 0, "", "the file for paths that are none",
     "For applications of a single page. Relative to the folder of files.", "fallback index.html",
     compile_settings_fallback},
    {"listing", "on|off", PLACE_ANY, 0, 0, "off", "shows what is in a folder without index", NULL,
     "listing on", compile_settings_listing},
    {"cache", "off|DURATION", PLACE_ANY, 0, 0, "off", "how long clients may keep files",
     "Cache-Control: max-age.", "cache 1h", compile_settings_cache},

    /* ---- origins ---- */
    {"upstream", "NAME", F, LIST | BLOCK | DIRECTIVE_NEEDS_BLOCK, U, "",
     "origins with a name, for several routes",
     "A route names it as its target: /* -> app. What is about origins stands in its block "
     "(balance, "
     "check, rest, retry, connections, keepalive, verify …) or at top level; sites and routes say "
     "nothing of it. Of its host and timeout a route's own win.",
     "upstream app { server localhost:3000; server localhost:3001 weight 2 }", compile_named_block},
    {"server", "ORIGIN [weight N] [backup]", U, LIST, 0, "", "an origin of an upstream",
     "weight: its share of the requests, 1 to 1000, 1 unless said. backup: asked only while no "
     "other is fit.",
     "server localhost:3000 weight 2", compile_named_server},
    {"balance", "round-robin|least-requests|random | hash (client | header FIELD | cookie VALUE)",
     PLACE_ANY | U, 0, 0, "round-robin", "which of several origins a request goes to",
     "round-robin: in turn; least-requests: to the one with the fewest under way; random: to the "
     "better of two drawn by lot; hash: the same client, or value of a header field or cookie, to "
     "the same origin (one without the field or cookie goes by its client). All follow the "
     "weights. "
     "An origin that comes back begins with a tenth of its share, which grows over 10 s.",
     "balance hash cookie session", compile_settings_balance},
    {"connections", "N [queue N [timeout DURATION]] | off", PLACE_ANY | U, 0, 0,
     "off; queue 0 timeout 10s", "connections in use to one origin, over all threads",
     "Where all origins have as many, requests wait in the queue of one, first come first served; "
     "above it, or after its timeout, the answer is 503. A WebSocket holds one as long as it is "
     "open; idle ones are not counted.",
     "connections 50 queue 200 timeout 5s", compile_settings_connections},
    {"verify", "CA [name HOST]", PLACE_ANY | U, 0, 0, "the system's store, the origin's name",
     "by which authorities origins with https:// are verified",
     "name: what the certificate must be for.", "verify ca.pem name app.internal",
     compile_settings_verify},
    {"insecure", "", PLACE_ANY | U, 0, 0, "", "origins with https:// are not verified",
     "Warned about at each load.", "insecure", compile_settings_verify},
    {"sni", "HOST", PLACE_ANY | U, 0, 0, "the origin's name",
     "the name asked for in TLS to the origin", NULL, "sni app.internal", compile_settings_sni},
    {"cert", "CERT KEY", PLACE_ANY | U, 0, 0, "",
     "our certificate towards origins that ask for one", NULL, "cert client.pem client.key",
     compile_settings_cert},
    {"source", "IP…", PLACE_ANY | U, 0, 0, "", "the local addresses of connections to origins",
     NULL, "source 10.0.0.7", compile_settings_source},
    {"keepalive", "N [idle DURATION] | off", PLACE_ANY | U, 0, 0, "64 idle 30s",
     "idle connections kept to an origin, per thread", NULL, "keepalive 16 idle 10s",
     compile_settings_keepalive},
    {"check", "PATH|tcp every DURATION [(timeout DURATION | expect STATUSES | fall N | rise N)…]",
     PLACE_ANY | U, 0, 0, "off; timeout 2s expect 200-399 fall 3 rise 2",
     "looks at the origins at intervals",
     "Once per origin, however many routes use it: a GET of the path on a connection of its own, "
     "with the origin's own name as Host (or that of host NAME), which must be answered with such "
     "a status and end, all within the timeout. tcp: a connect, with TLS where the origin has it. "
     "After fall failures in a row an origin is down and gets no requests, unless all of the "
     "route's are, until rise checks in a row were well.",
     "check /healthz every 5s expect 200 fall 2", compile_check_line},
    {"rest", "DURATION [after N]", PLACE_ANY | U, 0, 0, "2s after 1",
     "how long a failing origin is left alone", "after: so many failures in a row.",
     "rest 10s after 3", compile_settings_rest},
    {"retry", "N|off", PLACE_ANY | U, 0, 0, "2", "how many further origins are tried",
     "Only where nothing was sent yet, or the method may be repeated; one that was not answered in "
     "time goes to one more. At most a fifth of a route's requests are sent again, so that retries "
     "make no outage worse.",
     "retry off", compile_settings_retry},
};

const size_t directive_count = sizeof directives / sizeof directives[0];

const struct directive *directive_find(struct str name)
{
    for (size_t i = 0; i < directive_count; i++)
        if (str_eq(name, str_from_z(directives[i].name)))
            return &directives[i];
    return NULL;
}
