#include "files/mime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_file_has_the_type_of_its_extension(void **state)
{
    (void)state;
    static const struct {
        const char *path, *type;
    } cases[] = {
        {"/index.html", "text/html; charset=utf-8"},
        {"/INDEX.HTML", "text/html; charset=utf-8"},
        {"/a.b/c.js", "text/javascript; charset=utf-8"},
        {"/a.min.css", "text/css; charset=utf-8"},
        {"/x.json", "application/json"},
        {"/x.svg", "image/svg+xml"},
        {"/x.wasm", "application/wasm"},
        {"/x.dcm", "application/dicom"},
        {"/x.woff2", "font/woff2"},
        {"/x.webmanifest", "application/manifest+json"},
        {"/x.3g2", "video/3gpp2"},
        {"/x.zst", "application/zstd"},
        {"/big.bin", "application/octet-stream"},
        {"/html", "application/octet-stream"},
        {"/a.html/b", "application/octet-stream"},
        {"/a.", "application/octet-stream"},
        {"", "application/octet-stream"},
        {"/x.unheard-of", "application/octet-stream"},
        {"/x.averyveryverylongextensionthatisnone", "application/octet-stream"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(str_eq(mime_of_path(str_from_z(cases[i].path)), str_from_z(cases[i].type)));
}

/* A row out of order would not be found. */
static void every_row_of_the_table_is_found(void **state)
{
    (void)state;
    FILE *source = fopen(PC_SOURCE_DIR "/src/files/mime.c", "r");
    assert_non_null(source);
    char line[256], extension[32], type[128];
    unsigned rows = 0;
    while (fgets(line, sizeof line, source) != NULL) {
        if (sscanf(line, "    {\"%31[^\"]\", %127s", extension, type) != 2)
            continue;
        char path[64];
        snprintf(path, sizeof path, "/x.%s", extension);
        struct str found = mime_of_path(str_from_z(path));
        if (strstr(type, "octet-stream") == NULL && str_eq(found, STR("application/octet-stream")))
            fail_msg("%s is not found", extension);
        rows++;
    }
    fclose(source);
    assert_in_range(rows, 250, 500);
}

static void text_is_what_shrinks(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "text/html",
        "TEXT/CSS; charset=utf-8",
        "application/json;charset=utf-8",
        "application/xml",
        "image/svg+xml",
        "application/dicom+json",
        "application/wasm",
        "application/javascript",
        "application/geo+json ; a=b",
        "font/ttf",
        "application/manifest+json",
    };
    static const char *const no[] = {
        "",
        "image/png",
        "application/octet-stream",
        "application/dicom",
        "video/mp4",
        "font/woff2",
        "application/zip",
        "application/jsonx",
        "multipart/related; type=\"text/html\"",
    };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(mime_is_text(str_from_z(yes[i])));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(mime_is_text(str_from_z(no[i])));
    assert_true(mime_is_event_stream(STR("text/event-stream;charset=utf-8")));
    assert_false(mime_is_event_stream(STR("text/plain")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_has_the_type_of_its_extension),
        cmocka_unit_test(every_row_of_the_table_is_found),
        cmocka_unit_test(text_is_what_shrinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
