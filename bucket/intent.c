#include "bucket/intent.h"

#include <string.h>

#include "base/hex.h"
#include "base/log.h"
#include "base/rd.h"
#include "cache/edit.h"
#include "s3/list.h"

enum { ARENA_MAX = 1 << 20 };

static int begin(struct intent *c, struct bucket *b, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct str who = edit_who(&arena, e);
    char random[17];

    if (who.p == NULL || bucket_random(random, e) != 0 ||
        bucket_key(b, c->key, e, "leases/%s", random) != 0)
        return -1;
    c->b = b;
    buf_printf(&c->text, "ml-lease 1\nwho %.*s\n", STR_ARG(who));
    return 0;
}

int intent_add(struct intent *c, struct bucket *b,
    const struct digest *const *v, uint64_t n, struct err *e)
{
    if (c->key[0] == '\0' && begin(c, b, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        buf_printf(&c->text, "%s\n", v[i]->hex);
    if (buf_check(&c->text, e) != 0)
        return -1;
    return bucket_write(b, c->key, buf_str(&c->text), e);
}

void intent_drop(struct intent *c)
{
    struct err ignored = ERR_INIT;

    if (c->key[0] != '\0' && s3_delete(c->b->s3, c->key, &ignored) != 0)
        log_debug("%s: %s", c->b->shown, ignored.msg);
    c->key[0] = '\0';
    buf_free(&c->text);
}

struct reading {
    struct bucket *b;
    struct s3 *s3; /* another one than the list is read with */
    int64_t before_s;
    int (*found)(void *arg, const struct digest *sha256, struct err *e);
    void *arg;
};

static int read_claim(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct reading *r = arg;
    struct buf text AUTO(buf_free) = BUF_INIT(INTENT_TEXT_MAX);
    struct rd lines;
    int rc;

    if (entry->modified_s > 0 && entry->modified_s < r->before_s)
        return s3_delete(r->s3, entry->key, e);
    rc = bucket_read(r->s3, entry->key, &text, NULL, e);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    lines = rd_of(text.p, text.len);
    for (struct str line = rd_line(&lines); !lines.bad;
         line = rd_line(&lines)) {
        struct digest sha256;

        if (hex_is(line, 64) && digest_parse(&sha256, line) &&
            r->found(r->arg, &sha256, e) != 0)
            return -1;
    }
    return 0;
}

int intent_all(struct bucket *b, int64_t now_s,
    int (*found)(void *arg, const struct digest *sha256, struct err *e),
    void *arg, struct err *e)
{
    char prefix[S3_KEY_MAX + 1];
    struct reading r = { .b = b,
        .before_s = now_s - INTENT_DAYS * (int64_t)86400,
        .found = found,
        .arg = arg };
    struct s3_list l = { .prefix = prefix, .entry = read_claim, .arg = &r };
    int rc;

    if (bucket_key(b, prefix, e, "leases/") != 0)
        return -1;
    r.s3 = bucket_borrow(b, e);
    if (r.s3 == NULL)
        return -1;
    rc = s3_list(b->s3, &l, e);
    bucket_return(b, r.s3);
    return rc;
}
