/*
 * The files of `tls internal`, below STATE/ca: the local CA (ca.pem, ca.key) and what it has issued
 * (one pair per list of names). Certificates are issued when a configuration is loaded, never for a
 * handshake, and again when a third of their life is left. The CA may sign for the hosts of the
 * file, this machine's names and addresses, and what is private by its nature; a name beyond that
 * makes a new CA, which is said, since whoever trusted the old one must be told.
 *
 * `check` asks the same questions but writes nothing: what is missing is made in memory.
 */
#ifndef PC_APP_ISSUE_CA_H
#define PC_APP_ISSUE_CA_H

#include "app/prescan.h"
#include "base/diag.h"
#include "config/compile.h"

struct issue_ca {
    const struct prescan *prescan;
    struct arena *arena;
    struct diag *diag; /* for notices */
    bool write;        /* false: `check` */
    bool opened;
    bool fits_file;             /* the CA is good for all names of the file: looked at once */
    struct str ca_cert, ca_key; /* PEM */
};

/* `arena` keeps the CA's key until its end, and is then to be forgotten with the process. */
void issue_ca_init(struct issue_ca *ca, const struct prescan *prescan, struct arena *arena,
                   struct diag *diag, bool write);
struct compile_hooks issue_ca_hooks(struct issue_ca *ca);

/* STATE/ca/ca.pem, for `cert trust`. */
struct str issue_ca_cert_path(struct arena *arena, struct str state_dir);

#endif
