/*
 * HTTP dates (RFC 9110 5.6.7): written as IMF-fixdate, read in all three forms. Times are seconds
 * since 1970-01-01 UTC; the years 1 to 9999 can be written, 1601 to 9999 are read.
 */
#ifndef PC_HTTP_DATE_H
#define PC_HTTP_DATE_H

#include "base/str.h"

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
#define DATE_LEN 29

/* Exactly DATE_LEN bytes, no NUL. Times outside the years that can be written are moved to the
 * nearest one. */
void date_write(int64_t unix_s, char out[DATE_LEN]);

/* The value of a Date field now; written once a second and thread. Its bytes hold until this
 * thread's next call. */
struct str date_now(void);

/*
 * The whole of `s` is a date. `now_s` decides the century of the obsolete RFC 850 form: a year more
 * than 50 years ahead is in the past. The name of the day must be one, but need not be the right
 * one.
 */
bool date_parse(struct str s, int64_t now_s, int64_t *unix_s);

#endif
