#include "config/schema.h"

#include "config/signature.h"

#include <string.h>

static const struct {
    enum place place;
    const char *name;
} places[] = {
    {PLACE_FILE, "file"},         {PLACE_SITE, "site"},       {PLACE_ROUTE, "route"},
    {PLACE_UPSTREAM, "upstream"}, {PLACE_METRICS, "metrics"},
};

static const char *place_name(unsigned place)
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (places[i].place == place)
            return places[i].name;
    return "file";
}

static bool is_route(const struct directive *row)
{
    return strcmp(row->name, "->") == 0;
}

static const char *definition_name(const struct directive *row)
{
    return is_route(row) ? "a route" : row->name;
}

/* `{"enum": [keywords]}` where nothing but keywords may stand, else any string. */
static void print_item(const struct signature *signature, struct text *out)
{
    for (size_t i = 0; i < signature->count; i++)
        if (signature->atoms[i].type != NULL || str_eq(signature->atoms[i].keyword, STR("->"))) {
            text_add_z(out, "{\"$ref\": \"#/$defs/word\"}");
            return;
        }
    text_add_z(out, "{\"enum\": [");
    for (size_t i = 0; i < signature->count; i++) {
        text_add_z(out, i ? ", " : "");
        text_add_json(out, signature->atoms[i].keyword);
    }
    text_add_z(out, "]}");
}

static void print_words(const struct directive *row, const struct signature *signature,
                        struct text *out)
{
    if (is_route(row)) {
        text_add_z(out, "{\"type\": \"array\", \"contains\": {\"const\": \"->\"}, \"minItems\": 3, "
                        "\"items\": {\"$ref\": \"#/$defs/word\"}}");
        return;
    }
    text_add_z(out, "{\"type\": \"array\", \"prefixItems\": [{\"const\": ");
    text_add_json(out, str_from_z(row->name));
    text_printf(out, "}], \"minItems\": %d, ", signature->empty_fits ? 1 : 2);
    if (signature->count == 0) {
        text_add_z(out, "\"maxItems\": 1}");
        return;
    }
    text_add_z(out, "\"items\": ");
    print_item(signature, out);
    text_add_byte(out, '}');
}

static void print_description(const struct directive *row, struct text *out)
{
    char memory[4096];
    struct text words = text_over(memory, sizeof memory);
    if (!is_route(row))
        text_printf(&words, "%s%s", row->name, row->args[0] ? " " : "");
    text_printf(&words, "%s: %s", row->args, row->help);
    text_add_z(out, "\"description\": ");
    text_add_json(out, text_str(&words));
}

static void print_definition(const struct directive *row, struct text *out)
{
    struct signature signature;
    if (!signature_parse(str_from_z(row->args), &signature))
        return;
    text_add_z(out, ",\n    ");
    text_add_json(out, str_from_z(definition_name(row)));
    text_add_z(out, ": {");
    print_description(row, out);
    text_add_z(out, ",\n      \"allOf\": [{\"$ref\": \"#/$defs/statement\"}],\n"
                    "      \"properties\": {\"words\": ");
    print_words(row, &signature, out);
    if (row->inside != 0)
        text_printf(out, ", \"block\": {\"$ref\": \"#/$defs/in%%20%s\"}", place_name(row->inside));
    else if ((row->flags & (DIRECTIVE_BLOCK | DIRECTIVE_NEEDS_BLOCK)) == 0)
        text_add_z(out, ", \"block\": false");
    text_add_z(out, "}}");
}

static void print_place(size_t i, const struct directive *table, size_t count, struct text *out)
{
    bool any = false;
    text_printf(out, ",\n    \"in %s\": {\"type\": \"array\", \"items\": {\"anyOf\": [",
                places[i].name);
    for (size_t row = 0; row < count; row++) {
        if ((table[row].places & places[i].place) == 0)
            continue;
        text_printf(out, "%s\n      {\"$ref\": \"#/$defs/%s\"}", any ? "," : "",
                    is_route(&table[row]) ? "a%20route" : table[row].name);
        any = true;
    }
    text_add_z(out, "]}}");
}

static const char beginning[] =
    "{\n"
    "  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
    "  \"title\": \"The JSON twin of portcullis.conf\",\n"
    "  \"type\": \"object\",\n"
    "  \"required\": [\"portcullis\", \"statements\"],\n"
    "  \"additionalProperties\": false,\n"
    "  \"properties\": {\n"
    "    \"$schema\": {\"type\": \"string\"},\n"
    "    \"portcullis\": {\"const\": 1},\n"
    "    \"statements\": {\"$ref\": \"#/$defs/in%20file\"},\n"
    "    \"closing\": {\"$ref\": \"#/$defs/comments\"}\n"
    "  },\n"
    "  \"$defs\": {\n"
    "    \"word\": {\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"object\", \"required\": "
    "[\"text\"],\n"
    "      \"additionalProperties\": false, \"properties\": {\"text\": {\"type\": "
    "\"string\"}}}]},\n"
    "    \"comment\": {\"type\": \"string\", \"pattern\": \"^(#.*)?$\"},\n"
    "    \"comments\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/comment\"}},\n"
    "    \"statement\": {\"type\": \"object\", \"required\": [\"words\"], "
    "\"additionalProperties\": false,\n"
    "      \"properties\": {\n"
    "        \"line\": {\"type\": \"integer\", \"minimum\": 1},\n"
    "        \"comments\": {\"$ref\": \"#/$defs/comments\"},\n"
    "        \"words\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/word\"}, "
    "\"minItems\": 1},\n"
    "        \"comment\": {\"$ref\": \"#/$defs/comment\"},\n"
    "        \"opening\": {\"$ref\": \"#/$defs/comment\"},\n"
    "        \"closing\": {\"$ref\": \"#/$defs/comments\"},\n"
    "        \"inline\": {\"type\": \"boolean\"},\n"
    "        \"block\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/statement\"}}}}";

void schema_print(const struct directive *table, size_t count, struct text *out)
{
    text_add_z(out, beginning);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        print_place(i, table, count, out);
    for (size_t row = 0; row < count; row++)
        print_definition(&table[row], out);
    text_add_z(out, "\n  }\n}\n");
}
