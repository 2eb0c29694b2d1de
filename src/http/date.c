#include "http/date.h"

#include "base/clock.h"

#include <string.h>

static const char day_names[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

#define DAY_S 86400
/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z */
#define FIRST_S (-62135596800LL)
#define LAST_S 253402300799LL

struct civil {
    int64_t year;
    unsigned month, day, hour, minute, second; /* month and day from 1 */
};

/* Days since 1970-01-01 of a date of the Gregorian calendar; years begin in March, so that the day
 * of the leap year is the last one. */
static int64_t days_of(const struct civil *c)
{
    int64_t year = c->month <= 2 ? c->year - 1 : c->year;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * ((int64_t)c->month + (c->month > 2 ? -3 : 9)) + 2) / 5 + c->day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static struct civil civil_of(int64_t days, unsigned of_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    struct civil c = {.day = (unsigned)(of_year - (153 * month + 2) / 5 + 1),
                      .month = (unsigned)(month < 10 ? month + 3 : month - 9),
                      .hour = of_day / 3600,
                      .minute = of_day / 60 % 60,
                      .second = of_day % 60};
    c.year = year + era * 400 + (c.month <= 2);
    return c;
}

static char *put_digits(char *at, unsigned n, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; n /= 10)
        at[i] = (char)('0' + n % 10);
    return at + digits;
}

static char *put(char *at, const char *z)
{
    while (*z != '\0')
        *at++ = *z++;
    return at;
}

void date_write(int64_t unix_s, char out[DATE_LEN])
{
    if (unix_s < FIRST_S)
        unix_s = FIRST_S;
    if (unix_s > LAST_S)
        unix_s = LAST_S;
    int64_t days = unix_s / DAY_S, rest = unix_s % DAY_S;
    if (rest < 0) {
        rest += DAY_S;
        days--;
    }
    struct civil c = civil_of(days, (unsigned)rest);
    char *at = put(out, day_names[(days % 7 + 7) % 7]);
    at = put_digits(put(at, ", "), c.day, 2);
    at = put(put(put(at, " "), month_names[c.month - 1]), " ");
    at = put_digits(at, (unsigned)c.year, 4);
    at = put_digits(put(at, " "), c.hour, 2);
    at = put_digits(put(at, ":"), c.minute, 2);
    at = put_digits(put(at, ":"), c.second, 2);
    put(at, " GMT");
}

struct str date_now(void)
{
    static _Thread_local char written[DATE_LEN];
    static _Thread_local int64_t of_s = INT64_MIN;
    int64_t now_s = (int64_t)(clock_wall_us() / 1000000);
    if (now_s != of_s) {
        date_write(now_s, written);
        of_s = now_s;
    }
    return str_from(written, DATE_LEN);
}

/* The steps of reading: each takes its part from the front of `*s`, or answers false. */

static bool take(struct str *s, const char *z)
{
    struct str literal = str_from_z(z);
    if (!str_starts(*s, literal))
        return false;
    *s = str_skip(*s, literal.len);
    return true;
}

static bool take_digits(struct str *s, unsigned digits, unsigned *n)
{
    uint64_t value;
    if (s->len < digits || !str_to_u64(str_sub(*s, 0, digits), 9999, &value))
        return false;
    *n = (unsigned)value;
    *s = str_skip(*s, digits);
    return true;
}

static bool take_month(struct str *s, unsigned *month)
{
    for (unsigned i = 0; i < 12; i++) {
        if (take(s, month_names[i])) {
            *month = i + 1;
            return true;
        }
    }
    return false;
}

/* hour ":" minute ":" second */
static bool take_time(struct str *s, struct civil *c)
{
    return take_digits(s, 2, &c->hour) && take(s, ":") && take_digits(s, 2, &c->minute) &&
           take(s, ":") && take_digits(s, 2, &c->second);
}

static bool take_year(struct str *s, struct civil *c)
{
    unsigned year;
    if (!take_digits(s, 4, &year))
        return false;
    c->year = year;
    return true;
}

/* IMF-fixdate, behind the day: ", 06 Nov 1994 08:49:37 GMT" */
static bool take_imf(struct str s, struct civil *c)
{
    return take(&s, ", ") && take_digits(&s, 2, &c->day) && take(&s, " ") &&
           take_month(&s, &c->month) && take(&s, " ") && take_year(&s, c) && take(&s, " ") &&
           take_time(&s, c) && take(&s, " GMT") && s.len == 0;
}

/* rfc850-date, behind the day: ", 06-Nov-94 08:49:37 GMT" */
static bool take_rfc850(struct str s, int64_t now_s, struct civil *c)
{
    unsigned year;
    if (!(take(&s, ", ") && take_digits(&s, 2, &c->day) && take(&s, "-") &&
          take_month(&s, &c->month) && take(&s, "-") && take_digits(&s, 2, &year) &&
          take(&s, " ") && take_time(&s, c) && take(&s, " GMT") && s.len == 0))
        return false;
    int64_t this_year = civil_of(now_s / DAY_S, 0).year;
    c->year = this_year - this_year % 100 + year;
    if (c->year > this_year + 50)
        c->year -= 100;
    return true;
}

/* asctime-date, behind the day: " Nov  6 08:49:37 1994" */
static bool take_asctime(struct str s, struct civil *c)
{
    return take(&s, " ") && take_month(&s, &c->month) && take(&s, " ") &&
           (take(&s, " ") ? take_digits(&s, 1, &c->day) : take_digits(&s, 2, &c->day)) &&
           take(&s, " ") && take_time(&s, c) && take(&s, " ") && take_year(&s, c) && s.len == 0;
}

static bool is_real(const struct civil *c)
{
    static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (c->year < 1601 || c->month < 1 || c->month > 12 || c->day < 1)
        return false;
    bool leap = c->year % 4 == 0 && (c->year % 100 != 0 || c->year % 400 == 0);
    unsigned last = c->month == 2 && leap ? 29 : days[c->month - 1];
    /* second 60 is a leap second */
    return c->day <= last && c->hour < 24 && c->minute < 60 && c->second <= 60;
}

bool date_parse(struct str s, int64_t now_s, int64_t *unix_s)
{
    static const char long_rests[7][7] = {"rsday", "day", "urday", "day", "day", "sday", "nesday"};
    struct civil c = {0};
    unsigned day = 0;
    while (day < 7 && !take(&s, day_names[day]))
        day++;
    if (day == 7)
        return false;
    struct str behind_long = s;
    bool is_long = take(&behind_long, long_rests[day]);
    if (!(is_long ? take_rfc850(behind_long, now_s, &c) : take_imf(s, &c) || take_asctime(s, &c)) ||
        !is_real(&c))
        return false;
    *unix_s =
        days_of(&c) * DAY_S + (int64_t)c.hour * 3600 + (int64_t)c.minute * 60 + (int64_t)c.second;
    return true;
}
