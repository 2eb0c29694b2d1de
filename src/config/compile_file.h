/* Rows of the file that concern the program as a whole. */
#ifndef PC_CONFIG_COMPILE_FILE_H
#define PC_CONFIG_COMPILE_FILE_H

#include "config/compile_state.h"

void compile_file_workers(struct compile *c, const struct statement *s);
void compile_file_user(struct compile *c, const struct statement *s);
void compile_file_sandbox(struct compile *c, const struct statement *s);
void compile_file_state(struct compile *c, const struct statement *s);
void compile_file_control(struct compile *c, const struct statement *s);
void compile_file_trusted_proxies(struct compile *c, const struct statement *s);
void compile_file_drain(struct compile *c, const struct statement *s);
void compile_file_head_limit(struct compile *c, const struct statement *s);
/* What holds where the file says nothing. */
void compile_file_defaults(struct compile *c);
/* resolv.conf and hosts, which the worker cannot open. */
void compile_file_resolver(struct compile *c);

#endif
