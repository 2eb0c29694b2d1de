/*
 * What the operator reads on stderr: errors, warnings, notices, one line each, written at once by
 * one write(2). Not the access log. Whatever came from the network is passed through log_escape()
 * or printed by "%s" from text already escaped; as a last resort control bytes are replaced here.
 */
#ifndef PC_BASE_LOG_H
#define PC_BASE_LOG_H

#include "base/str.h"

/* The lines begin with "portcullis: " or, where stderr is the journal, with "<3>" and the like. */
void log_init(int fd);

__attribute__((format(printf, 1, 2))) void log_error(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_warning(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_notice(const char *format, ...);

/* Escaped into a per-thread buffer that holds until the next but three call; for use as "%s". */
const char *log_escape(struct str s);

#endif
