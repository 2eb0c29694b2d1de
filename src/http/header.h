/*
 * The field names this program knows, as small numbers. Look-up ignores case. All others are
 * HEADER_OTHER and compare by their text.
 */
#ifndef PC_HTTP_HEADER_H
#define PC_HTTP_HEADER_H

#include "base/str.h"

/* id, name as we write it */
#define HEADER_LIST(X)                                                                             \
    X(ACCEPT, "Accept")                                                                            \
    X(ACCEPT_ENCODING, "Accept-Encoding")                                                          \
    X(ACCEPT_RANGES, "Accept-Ranges")                                                              \
    X(AGE, "Age")                                                                                  \
    X(ALLOW, "Allow")                                                                              \
    X(ALT_SVC, "Alt-Svc")                                                                          \
    X(AUTHORIZATION, "Authorization")                                                              \
    X(CACHE_CONTROL, "Cache-Control")                                                              \
    X(CF_CONNECTING_IP, "CF-Connecting-IP")                                                        \
    X(CONNECTION, "Connection")                                                                    \
    X(CONTENT_DISPOSITION, "Content-Disposition")                                                  \
    X(CONTENT_ENCODING, "Content-Encoding")                                                        \
    X(CONTENT_LENGTH, "Content-Length")                                                            \
    X(CONTENT_LOCATION, "Content-Location")                                                        \
    X(CONTENT_RANGE, "Content-Range")                                                              \
    X(CONTENT_TYPE, "Content-Type")                                                                \
    X(COOKIE, "Cookie")                                                                            \
    X(DATE, "Date")                                                                                \
    X(ETAG, "ETag")                                                                                \
    X(EXPECT, "Expect")                                                                            \
    X(EXPIRES, "Expires")                                                                          \
    X(FORWARDED, "Forwarded")                                                                      \
    X(HOST, "Host")                                                                                \
    X(HTTP2_SETTINGS, "HTTP2-Settings")                                                            \
    X(IF_MATCH, "If-Match")                                                                        \
    X(IF_MODIFIED_SINCE, "If-Modified-Since")                                                      \
    X(IF_NONE_MATCH, "If-None-Match")                                                              \
    X(IF_RANGE, "If-Range")                                                                        \
    X(IF_UNMODIFIED_SINCE, "If-Unmodified-Since")                                                  \
    X(KEEP_ALIVE, "Keep-Alive")                                                                    \
    X(LAST_MODIFIED, "Last-Modified")                                                              \
    X(LINK, "Link")                                                                                \
    X(LOCATION, "Location")                                                                        \
    X(MAX_FORWARDS, "Max-Forwards")                                                                \
    X(ORIGIN, "Origin")                                                                            \
    X(PRAGMA, "Pragma")                                                                            \
    X(PROXY, "Proxy")                                                                              \
    X(PROXY_AUTHENTICATE, "Proxy-Authenticate")                                                    \
    X(PROXY_AUTHORIZATION, "Proxy-Authorization")                                                  \
    X(PROXY_CONNECTION, "Proxy-Connection")                                                        \
    X(RANGE, "Range")                                                                              \
    X(REFERER, "Referer")                                                                          \
    X(REFRESH, "Refresh")                                                                          \
    X(RETRY_AFTER, "Retry-After")                                                                  \
    X(SEC_FETCH_SITE, "Sec-Fetch-Site")                                                            \
    X(SEC_WEBSOCKET_ACCEPT, "Sec-WebSocket-Accept")                                                \
    X(SEC_WEBSOCKET_KEY, "Sec-WebSocket-Key")                                                      \
    X(SEC_WEBSOCKET_VERSION, "Sec-WebSocket-Version")                                              \
    X(SERVER, "Server")                                                                            \
    X(SET_COOKIE, "Set-Cookie")                                                                    \
    X(STRICT_TRANSPORT_SECURITY, "Strict-Transport-Security")                                      \
    X(TE, "TE")                                                                                    \
    X(TRAILER, "Trailer")                                                                          \
    X(TRANSFER_ENCODING, "Transfer-Encoding")                                                      \
    X(TRUE_CLIENT_IP, "True-Client-IP")                                                            \
    X(UPGRADE, "Upgrade")                                                                          \
    X(USER_AGENT, "User-Agent")                                                                    \
    X(VARY, "Vary")                                                                                \
    X(VIA, "Via")                                                                                  \
    X(WWW_AUTHENTICATE, "WWW-Authenticate")                                                        \
    X(X_ACCEL_BUFFERING, "X-Accel-Buffering")                                                      \
    X(X_ASPNET_VERSION, "X-AspNet-Version")                                                        \
    X(X_CLIENT_IP, "X-Client-IP")                                                                  \
    X(X_FORWARDED_FOR, "X-Forwarded-For")                                                          \
    X(X_FORWARDED_HOST, "X-Forwarded-Host")                                                        \
    X(X_FORWARDED_PREFIX, "X-Forwarded-Prefix")                                                    \
    X(X_FORWARDED_PROTO, "X-Forwarded-Proto")                                                      \
    X(X_HTTP_METHOD_OVERRIDE, "X-HTTP-Method-Override")                                            \
    X(X_ORIGINAL_URL, "X-Original-URL")                                                            \
    X(X_POWERED_BY, "X-Powered-By")                                                                \
    X(X_REAL_IP, "X-Real-IP")                                                                      \
    X(X_REQUEST_ID, "X-Request-Id")                                                                \
    X(X_REWRITE_URL, "X-Rewrite-URL")

#define HEADER_ENUM_ROW(id, name) HEADER_##id,
enum header_id { HEADER_OTHER = 0, HEADER_LIST(HEADER_ENUM_ROW) HEADER_COUNT };
#undef HEADER_ENUM_ROW

enum header_id header_lookup(struct str name);
/* Is this the name of `id`, in any case? False for HEADER_OTHER. */
bool header_is(struct str name, enum header_id id);
/* As we write it; empty for HEADER_OTHER. */
struct str header_name(enum header_id id);

/* A field name is a token (RFC 9110 5.6.2), at least one byte. */
bool header_name_ok(struct str name);
/*
 * A field value as we receive and write it: no control byte but HTAB, no NUL, CR, LF, DEL; no
 * white space at its ends (RFC 9110 5.5). Bytes above 0x7f pass.
 */
bool header_value_ok(struct str value);
/* True when the comma-separated list `value` holds the token, without case. */
bool header_list_has(struct str value, struct str token);
/* Takes the next member of a comma-separated list, trimmed; empty members are skipped. */
bool header_list_next(struct str *rest, struct str *member);

#endif
