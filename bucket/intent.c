#include "bucket/intent.h"
#include "bucket/ending.h"

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
    buf_printf(&c->text, "ml-lease 2\nwho %.*s\n", STR_ARG(who));
    return 0;
}

/* With its sum, which goes again: more may follow. */
static int write_claim(struct intent *c, struct err *e)
{
    size_t len = c->text.len;
    struct digest sum;
    int rc;

    if (buf_check(&c->text, e) != 0 ||
        hash_bytes(HASH_SHA256, c->text.p, len, &sum, e) != 0)
        return -1;
    buf_printf(&c->text, "sum %s\n", sum.hex);
    if (buf_check(&c->text, e) != 0)
        return -1;
    rc = bucket_write(c->b, c->key, buf_str(&c->text), e);
    c->text.len = len;
    c->text.p[len] = '\0';
    return rc;
}

int intent_add(struct intent *c, struct bucket *b,
    const struct digest *const *v, uint64_t n, struct err *e)
{
    if (c->key[0] == '\0' && begin(c, b, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        buf_printf(&c->text, "%s\n", v[i]->hex);
    return write_claim(c, e);
}

void intent_drop(struct intent *c)
{
    struct err ignored = ERR_INIT;
    struct ending n;

    if (c->key[0] != '\0') {
        ending_begin(&n, c->b, true);
        if (s3_delete(c->b->s3, c->key, &ignored) != 0)
            log_debug("%s: %s", c->b->shown, ignored.msg);
        ending_end(&n);
    }
    c->key[0] = '\0';
    buf_free(&c->text);
}

struct reading {
    struct bucket *b;
    int64_t before_s;
    bool tidy;
    int (*found)(void *arg, const struct digest *sha256, struct err *e);
    void *arg;
};

/* Each line is what it has to be, and the sum of all of them. */
static bool is_whole(struct str text, struct err *e)
{
    struct rd r = rd_of(text.p, text.len);
    struct str first = rd_line(&r), who = rd_line(&r);
    bool summed = str_is(first, "ml-lease 2");
    struct digest sum;

    if (r.bad || (!summed && !str_is(first, "ml-lease 1")) ||
        !str_starts(who, "who "))
        return false;
    while (rd_left(&r) > 0) {
        uint64_t at = r.pos;
        struct str line = rd_line(&r);

        if (r.bad)
            return false;
        if (hex_is(line, 64))
            continue;
        return summed && rd_left(&r) == 0 && str_starts(line, "sum ") &&
               hash_bytes(HASH_SHA256, text.p, at, &sum, e) == 0 &&
               str_is((struct str){ line.p + 4, line.len - 4 }, sum.hex);
    }
    return !summed;
}

/* 0: all of it was told; 1: it is damaged; -1 with *e. */
static int tell(struct reading *r, struct str text, struct err *e)
{
    struct rd lines = rd_of(text.p, text.len);

    if (!is_whole(text, e))
        return e->kind != ERR_NONE ? -1 : 1;
    for (struct str line = rd_line(&lines); !lines.bad;
         line = rd_line(&lines)) {
        struct digest sha256;

        if (hex_is(line, 64) && digest_parse(&sha256, line) &&
            r->found(r->arg, &sha256, e) != 0)
            return -1;
    }
    return 0;
}

static int read_claim(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct reading *r = arg;
    struct buf text AUTO(buf_free) = BUF_INIT(INTENT_TEXT_MAX);
    int rc;

    if (entry->modified_s > 0 && entry->modified_s < r->before_s)
        return r->tidy ? s3_delete(r->b->s3, entry->key, e) : 0;
    for (int tries = 0; tries < 2; tries++) {
        rc = bucket_read(r->b->s3, entry->key, &text, NULL, e);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
        rc = tell(r, buf_str(&text), e);
        if (rc <= 0)
            return rc;
    }
    err_set(e, ERR_CORRUPT, "%s: the claim %s is damaged", r->b->shown,
        entry->key + strlen(r->b->prefix));
    return err_hint(e,
        "what its writer counts on is not known: wait until nobody writes "
        "there, and remove that object");
}

int intent_all(struct bucket *b, int64_t now_s, bool tidy,
    int (*found)(void *arg, const struct digest *sha256, struct err *e),
    void *arg, struct err *e)
{
    char prefix[S3_KEY_MAX + 1];
    struct reading r = { .b = b,
        .before_s = now_s - INTENT_DAYS * (int64_t)86400,
        .tidy = tidy,
        .found = found,
        .arg = arg };
    struct s3_list l = { .prefix = prefix, .entry = read_claim, .arg = &r };

    return bucket_key(b, prefix, e, "leases/") != 0 ? -1
                                                    : s3_list(b->s3, &l, e);
}
