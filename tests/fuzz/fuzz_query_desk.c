/*
 * A question at the query desk, in the pieces that its bytes say: the words are those between the
 * NUL bytes, whatever they hold; a question that has no end or too many words is refused; and the
 * answer that comes back is the answer.
 */
#include "app/query_desk.h"
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str asked; /* the whole question */
static unsigned answers;

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool answer(struct query *query, void *user)
{
    size_t at = 0;
    (void)user;
    answers++;
    must(query->word_count >= 1 && query->word_count <= QUERY_WORDS_MAX);
    for (unsigned i = 0; i < query->word_count; i++) {
        struct str word = query->words[i];
        must(str_eq(word, str_sub(asked, at, word.len)) && asked.at[at + word.len] == '\0');
        must(str_find_byte(word, '\0') == SIZE_MAX);
        at += word.len + 1;
    }
    must(at == asked.len); /* nothing is left over */
    struct str found = query_option(query, "ref");
    must(found.len == 0 || query->word_count >= 3);
    text_add(&query->out, query->words[0]);
    return query->word_count % 2 == 1;
}

static size_t count_words(struct str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += s.at[i] == '\0';
    return count;
}

static void judge(int fd)
{
    static char got[1 << 17];
    size_t len = 0;
    for (ssize_t n; (n = recv(fd, got + len, sizeof got - len, MSG_DONTWAIT)) > 0;)
        len += (size_t)n;
    struct str out = str_from(got, len), first = str_sub(asked, 0, str_find_byte(asked, '\0'));
    size_t words = count_words(asked);
    bool whole = asked.len != 0 && asked.at[asked.len - 1] == '\0' && words <= QUERY_WORDS_MAX;
    must(answers == whole);
    if (!whole) {
        must(str_starts(out, STR("failed\nthe question is too long, or none\n")));
        return;
    }
    struct str line = words % 2 == 1 ? STR("ok\n") : STR("failed\n");
    must(str_starts(out, line) && str_eq(str_skip(out, line.len), first));
}

/* The first byte is how many bytes come at a time. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct query_desk desk;
    int pair[2];
    if (size == 0 || size > 4096)
        return 0;
    asked = str_from(data + 1, size - 1);
    answers = 0;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    query_desk_init(&desk, answer, NULL);
    query_desk_take(&desk, pair[0], 1);
    for (size_t at = 0; at < asked.len;) {
        struct str piece = str_sub(asked, at, (size_t)data[0] * 8 + 1);
        must(send(pair[1], piece.at, piece.len, 0) == (ssize_t)piece.len);
        at += piece.len;
        query_desk_turn(&desk, 2);
        must(desk.clients[0] != NULL && answers == 0); /* not before its end */
    }
    shutdown(pair[1], SHUT_WR);
    query_desk_turn(&desk, 3);
    judge(pair[1]);
    must(desk.clients[0] == NULL && query_desk_timeout(&desk) == -1);
    query_desk_fini(&desk);
    close(pair[1]);
    return 0;
}
