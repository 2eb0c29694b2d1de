#include "app/status_text.h"

#include "base/text.h"

/* Deeper than any status; what is nested more is written on one line. */
#define DEPTH_MAX 8

static void new_line(struct text *out, unsigned depth)
{
    if (out->len != 0)
        text_add_byte(out, '\n');
    for (unsigned i = 1; i < depth; i++)
        text_add_z(out, "  ");
}

/* A JSON string from its opening quote on: its bytes without quotes; underscores of names, not of
 * values, as spaces. The writer has escaped all that would harm a terminal. */
static size_t add_string(struct text *out, struct str json, size_t at)
{
    size_t start = out->len;
    for (at++; at < json.len && json.at[at] != '"'; at++) {
        if (json.at[at] == '\\' && at + 1 < json.len)
            text_add_byte(out, json.at[at++]);
        text_add_byte(out, json.at[at]);
    }
    for (size_t i = start; at + 1 < json.len && json.at[at + 1] == ':' && i < out->len; i++)
        if (out->at[i] == '_')
            out->at[i] = ' ';
    return at;
}

void status_text_add(struct text *out, struct str json)
{
    unsigned depth = 0;
    bool fresh = true; /* nothing stands on this line yet */
    for (size_t at = 0; at < json.len; at++) {
        char c = json.at[at];
        if (c == '{' || c == '[') {
            depth += depth < DEPTH_MAX;
            fresh = true;
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        } else if (c == ',') {
            fresh = true;
        } else if (c == ':') {
            bool opens = at + 1 < json.len && (json.at[at + 1] == '{' || json.at[at + 1] == '[');
            text_add_z(out, opens ? ":" : ": ");
        } else if (c != '\n' && c != ' ') {
            if (fresh)
                new_line(out, depth);
            fresh = false;
            if (c == '"')
                at = add_string(out, json, at);
            else
                text_add_byte(out, c);
        }
    }
    text_add_byte(out, '\n');
}
