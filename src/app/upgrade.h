/*
 * `portcullis upgrade`: the program's file, which may be another version by now, is run beside us
 * and gets our sockets (handover.h). It loads the configuration and starts a worker of its own;
 * when that serves, it says so, and we drain ours and end. Until then we serve on as if nothing had
 * happened, and if it cannot, it ends and we go on for good. No socket is closed in between.
 *
 * Only the path that this process was started from is run, with the words it was started with.
 */
#ifndef PC_APP_UPGRADE_H
#define PC_APP_UPGRADE_H

#include "app/control.h"
#include "app/drains.h"
#include "app/handover.h"
#include "app/listeners.h"
#include "app/secrets.h"
#include "app/systemd.h"

/* A load and a worker's start may take CREW_READY_MS_MAX and LOAD_MS_MAX; together no more. */
#define UPGRADE_MS_MAX 120000

enum { UPGRADE_REPORT_MAX = 8192, UPGRADE_WORDS_MAX = 64, UPGRADE_LINE_MAX = 8192 };

struct upgrade {
    /* How we were started. */
    char program[LETTER_PATH_MAX]; /* "": unknown */
    char line[UPGRADE_LINE_MAX];   /* the words, each with its NUL */
    char *words[UPGRADE_WORDS_MAX + 1];
    /* The heir under way. */
    pid_t pid;   /* no child of ours: systemd would not wait for its end, were it one */
    int pidfd;   /* the same process for certain; -1: none */
    int channel; /* to it; -1: there is no heir */
    uint64_t deadline_ms;
    char report[UPGRADE_REPORT_MAX]; /* what it said when it gave up */
    /* We are an heir ourselves: the channel to whom we follow, else -1. */
    int elder;
};

/* At the start of a process. */
void upgrade_init(struct upgrade *upgrade);
void upgrade_fini(struct upgrade *upgrade);

/* ---- the elder ---- */

struct upgrade_estate {
    const struct listeners *listeners;
    const struct control *control;
    const struct secrets *secrets;
    const struct drains *drains;
    const struct systemd *systemd;
    uint64_t now_ms;
};
/* False with the reason. */
bool upgrade_start(struct upgrade *upgrade, const struct upgrade_estate *estate, char *why,
                   size_t why_bytes) __attribute__((warn_unused_result));

enum upgrade_state {
    UPGRADE_GOES_ON,
    UPGRADE_READY,  /* it serves; `pid` is its own master now */
    UPGRADE_FAILED, /* it has ended; `report` may say why */
};
enum upgrade_state upgrade_continue(struct upgrade *upgrade, uint64_t now_ms)
    __attribute__((warn_unused_result));

/* After UPGRADE_READY: it is no business of ours any more. */
void upgrade_forget(struct upgrade *upgrade);

/* ---- the heir ---- */

/* Takes what the elder hands over; without one does nothing. False: it cannot be understood. */
bool upgrade_take(struct upgrade *upgrade, struct listeners *listeners, struct control *control,
                  struct secrets *secrets, struct drains *drains, uint64_t now_ms)
    __attribute__((warn_unused_result));
/* Once: we serve, or give up. */
void upgrade_say(struct upgrade *upgrade, bool ready, struct str report);

#endif
