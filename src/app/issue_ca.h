/*
 * The files of `tls internal`, below STATE/ca: the local CA (ca.pem, ca.key) and what it has issued
 * (one pair per list of names). Certificates are issued when a configuration is loaded, never for a
 * handshake, and again when a third of their life is left. The CA may sign for the hosts of the
 * file, this machine's names and addresses, and what is private by its nature; a name beyond that
 * makes a new CA, which is said, since whoever trusted the old one must be told.
 *
 * What is missing is made in memory; issue_ca_keep() writes it once the configuration is known to
 * be good. A file that is refused changes nothing, least of all a CA that people trust. `check`
 * asks the same questions and keeps nothing.
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
    bool keep;         /* false: `check` */
    bool opened;
    bool fits_file;             /* the CA is good for all names of the file: looked at once */
    bool fresh;                 /* made by this load: what the old one has issued is of no use */
    struct str ca_cert, ca_key; /* PEM */
    struct str notice;          /* that there is a new one, for when it is kept */
    struct issued *issued;      /* pairs that are not on disk yet */
};

/* `arena` keeps the CA's key until its end, and is then to be forgotten with the process. */
void issue_ca_init(struct issue_ca *ca, const struct prescan *prescan, struct arena *arena,
                   struct diag *diag, bool keep);
struct compile_hooks issue_ca_hooks(struct issue_ca *ca);
/* Writes what was made, and says so. False after an error in `diag`. */
bool issue_ca_keep(struct issue_ca *ca) __attribute__((warn_unused_result));

/* STATE/ca/ca.pem, for `cert trust`. */
struct str issue_ca_cert_path(struct arena *arena, struct str state_dir);

#endif
