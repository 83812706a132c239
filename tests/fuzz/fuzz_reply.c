/*
 * The head of an HTTP answer: fed at once, in two parts and byte by byte it
 * is the same; what is taken has a status that was asked for, one length, and
 * headers without a control character, which are found by their names.
 */
// seeds: tests/fuzz/reply/*
// dict: reply.dict
#include "kit.h"

#include <stdlib.h>

#include "net/content_range.h"
#include "net/reply.h"

struct seen {
    enum reply_state state;
    size_t used;
};

/* Memory of its own: a byte beyond it is found. */
static enum reply_state feed_part(
    struct reply *r, const uint8_t *data, size_t size, size_t *used)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    enum reply_state state;

    must(copy != NULL);
    memcpy(copy, data, size);
    state = reply_feed(r, copy, size, used);
    free(copy);
    must(*used <= size);
    must(state == REPLY_WHOLE || state == REPLY_ODD || *used == size);
    return state;
}

/* In parts of so many bytes, the first one apart. */
static struct seen feed(struct reply *r, const uint8_t *data, size_t size,
    size_t first, size_t step)
{
    struct seen s = { .state = REPLY_PART };

    for (size_t n = first; s.used < size && s.state == REPLY_PART; n = step) {
        size_t used;

        s.state =
            feed_part(r, data + s.used, size_min(n, size - s.used), &used);
        s.used += used;
    }
    return s;
}

static void check_text(const char *text)
{
    for (; *text != '\0'; text++)
        must(*text == '\t' || ((unsigned char)*text >= ' ' && *text != 0x7f));
}

static void check_whole(const struct reply *r)
{
    static const char *const names[] = { "Content-Length", "Content-Range",
        "Content-Type", "Connection", "a", "X-Error-Code" };
    uint64_t n;

    must(r->status == 200 || r->status == 206 ||
         (r->status >= 400 && r->status <= 599));
    must(r->sized || r->status >= 400);
    must(r->sized || !r->keeps);
    must(reply_header(r, "Transfer-Encoding", 0) == NULL || !r->sized);
    if (r->sized)
        must(content_length(reply_header(r, "Content-Length", 0), &n) &&
             n == r->length);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (size_t k = 0; reply_header(r, names[i], k) != NULL; k++)
            check_text(reply_header(r, names[i], k));
}

static void same(const struct reply *a, const struct reply *b)
{
    must(a->status == b->status && a->sized == b->sized &&
         a->length == b->length && a->keeps == b->keeps &&
         a->interims == b->interims);
    must(a->head.len == b->head.len &&
         memcmp(a->head.p, b->head.p, a->head.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reply at_once AUTO(reply_free) = REPLY_INIT;
    struct seen want = feed(&at_once, data, size, size, size);
    size_t splits[] = { 1, size / 2, want.used > 1 ? want.used - 1 : 1 };

    if (want.state == REPLY_WHOLE)
        check_whole(&at_once);
    for (size_t i = 0; i < ARRAY_LEN(splits); i++) {
        struct reply parts AUTO(reply_free) = REPLY_INIT;
        size_t step = i == 0 ? 1 : size;
        struct seen got =
            feed(&parts, data, size, size_max(1, splits[i]), step);

        must(got.state == want.state);
        if (want.state != REPLY_WHOLE)
            continue;
        must(got.used == want.used);
        same(&parts, &at_once);
    }
    return 0;
}
