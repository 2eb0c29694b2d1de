/*
 * Reads tests/e2e/cases/<name>.json, which the unit tests and the end-to-end tests share: an array
 * of
 * {"name": …, "bytes": …, "expect": status or [status…], …}. Bytes are strings of Latin-1. Just
 * enough of JSON for that; what is not understood fails the test.
 */
#ifndef PC_TESTS_CASES_H
#define PC_TESTS_CASES_H

#include "base/arena.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_case {
    struct str name, bytes;
    struct str host, route, reading; /* of paths.json */
    bool has_route;
    unsigned expect[8];
    unsigned expect_count;
};

struct case_reader {
    struct arena *arena;
    const char *at; /* NUL-terminated */
};

static void case_space(struct case_reader *reader)
{
    reader->at += strspn(reader->at, " \n\r\t");
}

/* Steps over `c` if it is next. */
static bool case_take(struct case_reader *reader, char c)
{
    case_space(reader);
    if (*reader->at != c)
        return false;
    reader->at++;
    return true;
}

static void case_need(struct case_reader *reader, char c)
{
    if (!case_take(reader, c))
        fail_msg("cases: '%c' expected at: %.40s", c, reader->at);
}

static char case_escape(struct case_reader *reader)
{
    char c = *reader->at++;
    uint64_t code = 0;
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'u':
        if (!str_to_hex64(str_from(reader->at, 4), &code) || code > 255)
            fail_msg("cases: no Latin-1: %.40s", reader->at);
        reader->at += 4;
        return (char)(unsigned char)code;
    default:
        return c;
    }
}

static struct str case_string(struct case_reader *reader)
{
    struct text out = text_in(reader->arena, 1 << 20);
    case_need(reader, '"');
    while (*reader->at != '"' && *reader->at != '\0') {
        char c = *reader->at++;
        text_add_byte(&out, c == '\\' ? case_escape(reader) : c);
    }
    case_need(reader, '"');
    return text_str(&out);
}

static void case_expect(struct case_reader *reader, struct test_case *row)
{
    bool list = case_take(reader, '[');
    do {
        char *end;
        case_space(reader);
        row->expect[row->expect_count++ & 7] = (unsigned)strtoul(reader->at, &end, 10);
        reader->at = end;
    } while (list && case_take(reader, ','));
    if (list)
        case_need(reader, ']');
}

/* The next row; false behind the last. */
static bool case_next(struct case_reader *reader, struct test_case *row)
{
    *row = (struct test_case){0};
    if (!case_take(reader, '{'))
        return false;
    do {
        struct str key = case_string(reader);
        case_need(reader, ':');
        if (str_eq(key, STR("expect")))
            case_expect(reader, row);
        else if (str_eq(key, STR("name")))
            row->name = case_string(reader);
        else if (str_eq(key, STR("bytes")))
            row->bytes = case_string(reader);
        else if (str_eq(key, STR("host")))
            row->host = case_string(reader);
        else if (str_eq(key, STR("reading")))
            row->reading = case_string(reader);
        else if (str_eq(key, STR("route")))
            row->route = case_string(reader), row->has_route = true;
        else
            (void)case_string(reader);
    } while (case_take(reader, ','));
    case_need(reader, '}');
    (void)case_take(reader, ',');
    return true;
}

static struct case_reader case_open(struct arena *arena, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("cases: cannot open %s", path);
    size_t room = 4 << 20;
    char *text = arena_alloc(arena, room);
    assert_non_null(text);
    size_t len = fread(text, 1, room - 1, file);
    fclose(file);
    text[len] = '\0';
    struct case_reader reader = {.arena = arena, .at = text};
    case_need(&reader, '[');
    return reader;
}

static bool case_expects(const struct test_case *row, unsigned status)
{
    for (unsigned i = 0; i < row->expect_count && i < 8; i++)
        if (row->expect[i] == status)
            return true;
    return false;
}

#endif
