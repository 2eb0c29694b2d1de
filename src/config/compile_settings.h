/* Rows that set one thing with one line: timeouts, limits, switches. And `reset`. */
#ifndef PC_CONFIG_COMPILE_SETTINGS_H
#define PC_CONFIG_COMPILE_SETTINGS_H

#include "config/compile_state.h"

/* What holds where the file says nothing. */
void compile_settings_init(struct settings *settings);

void compile_settings_timeout(struct compile *c, const struct statement *s);
void compile_settings_body(struct compile *c, const struct statement *s);
void compile_settings_websocket(struct compile *c, const struct statement *s);
void compile_settings_paths(struct compile *c, const struct statement *s);
void compile_settings_host(struct compile *c, const struct statement *s);
void compile_settings_forwarded(struct compile *c, const struct statement *s);
void compile_settings_compress(struct compile *c, const struct statement *s);
void compile_settings_error(struct compile *c, const struct statement *s);
void compile_settings_index(struct compile *c, const struct statement *s);
void compile_settings_fallback(struct compile *c, const struct statement *s);
void compile_settings_listing(struct compile *c, const struct statement *s);
void compile_settings_cache(struct compile *c, const struct statement *s);
void compile_settings_verify(struct compile *c, const struct statement *s);
void compile_settings_sni(struct compile *c, const struct statement *s);
void compile_settings_cert(struct compile *c, const struct statement *s);
void compile_settings_source(struct compile *c, const struct statement *s);
void compile_settings_keepalive(struct compile *c, const struct statement *s);
void compile_settings_rest(struct compile *c, const struct statement *s);
void compile_settings_balance(struct compile *c, const struct statement *s);
void compile_settings_connections(struct compile *c, const struct statement *s);
void compile_settings_retry(struct compile *c, const struct statement *s);
void compile_settings_hsts(struct compile *c, const struct statement *s);
void compile_settings_http(struct compile *c, const struct statement *s);
void compile_settings_tls(struct compile *c, const struct statement *s);
void compile_settings_reset(struct compile *c, const struct statement *s);

#endif
