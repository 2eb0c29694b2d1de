/* run and proxy: become an instance. */
#ifndef PC_APP_SERVE_COMMANDS_H
#define PC_APP_SERVE_COMMANDS_H

#include "base/str.h"

struct cli;
struct text;

int serve_run(const struct cli *cli);
int serve_proxy(const struct cli *cli);

/*
 * The configuration of `portcullis proxy FROM TO...` into `out`, and where to reach it into `url`.
 * Its control socket bears the port's name, so that several run beside each other and beside the
 * service. False when FROM is no address; `why` is a static sentence.
 */
bool serve_proxy_text(struct text *out, struct text *url, struct str state_dir, const char *from,
                      const char *const *to, unsigned to_count, const char **why)
    __attribute__((warn_unused_result));

#endif
