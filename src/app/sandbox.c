#include "app/sandbox.h"

#include "app/sandbox_calls.h"
#include "app/sandbox_files.h"
#include "base/poison.h"
#include "base/text.h"

#include <string.h>
#include <unistd.h>

#if defined(PC_ASAN) || defined(__SANITIZE_THREAD__)
#define BUILT_WITH_SANITIZER true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BUILT_WITH_SANITIZER true
#endif
#endif
#ifndef BUILT_WITH_SANITIZER
#define BUILT_WITH_SANITIZER false
#endif

static void add_missing(struct letter_locks *report, const char *what, const char *why)
{
    size_t used = strlen(report->missing);
    struct text text = text_over(report->missing + used, sizeof report->missing - 1 - used);
    text_printf(&text, "%s%s: %s", used == 0 ? "" : "; ", what, why);
    report->missing[used + text.len] = '\0';
}

void sandbox_prepare(struct sandbox *sandbox, const struct sandbox_conf *conf)
{
    memset(sandbox, 0, sizeof *sandbox);
    sandbox->conf = conf;
    sandbox->ruleset = -1;
    if (!conf->on)
        return;
    /* The leak checker stops its own process with ptrace, and a sanitizer's report opens files. */
    if (BUILT_WITH_SANITIZER) {
        add_missing(&sandbox->report, "seccomp and Landlock", "built with a sanitizer");
        return;
    }
    sandbox->report.wanted = 1;
    sandbox->ruleset = sandbox_files_prepare(conf->roots, conf->root_count, &sandbox->landlock_abi);
    if (sandbox->landlock_abi <= 0)
        add_missing(&sandbox->report, "Landlock", "this kernel has none, or has it switched off");
    else if (sandbox->ruleset < 0)
        add_missing(&sandbox->report, "Landlock", "its rules cannot be made");
    else if (sandbox->landlock_abi < SANDBOX_FILES_ABI_PORTS)
        add_missing(&sandbox->report, "ports and signals", "Landlock of this kernel is older");
    else if (sandbox->landlock_abi < SANDBOX_FILES_ABI_SIGNALS)
        add_missing(&sandbox->report, "signals", "Landlock of this kernel is older");
}

void sandbox_lock(struct sandbox *sandbox)
{
    struct letter_locks *report = &sandbox->report;
    if (!report->wanted)
        return;
    if (sandbox->ruleset >= 0) {
        if (sandbox_files_lock(sandbox->ruleset))
            report->landlock_abi = (uint32_t)sandbox->landlock_abi;
        else
            add_missing(report, "Landlock", "this kernel refuses it");
        close(sandbox->ruleset);
        sandbox->ruleset = -1;
    }
    char why[128];
    if (sandbox_calls_lock(sandbox->conf->needs, why, sizeof why))
        report->seccomp = 1;
    else
        add_missing(report, "seccomp", why);
}
