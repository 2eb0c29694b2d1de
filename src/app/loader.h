/*
 * The loader: a short-lived process without network that reads and checks every file of a load,
 * issues internal certificates below STATE/ca, and hands to the supervisor what it needs to know
 * (load_form.h), the names of the files (watch.h), all texts in sealed memfds, and everything there
 * is to say about them. `check` runs the same code in its own process.
 */
#ifndef PC_APP_LOADER_H
#define PC_APP_LOADER_H

#include "base/str.h"

struct loader_conf {
    const char *path; /* of the configuration, as the user named it */
    struct str text;  /* its text when it is no file (`portcullis proxy`), else empty */
    bool colour;      /* in what is said about it */
    /* The pack that is served, when nobody asked for this load (a file changed, a day passed): the
     * main file's text comes from it, since the operator may be in the middle of an edit. Else -1.
     */
    int served_pack;
};

/* Runs in a child of the supervisor; `argument` is a struct loader_conf. Does not return. */
void loader_main(int channel, void *argument) __attribute__((noreturn));

#endif
