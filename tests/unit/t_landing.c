/* cache/landing.h: what lands under a digest has it, whatever was there and
 * whatever happens to that meanwhile. */
#include "cache/landing.h"

#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

static const char right[] = "right bytes";

enum { N = sizeof(right) - 1 };

struct bench {
    struct place place;
    struct landing l;
    struct digest d;
    char path[PATH_MAX];
};

static void open_bench(struct bench *b)
{
    struct err e = ERR_INIT;

    *b = (struct bench){ .l = LANDING_INIT };
    snprintf(b->place.hub.root, sizeof(b->place.hub.root), "%s", at("hub"));
    hash_bytes(HASH_SHA256, right, N, &b->d, &e);
    is_int(landing_open(&b->l, &b->place, false, &e), 0, "a landing");
    landing_path(&b->l, &b->d, b->path, &e);
}

/* Its bytes in two parts; between them the old file may change. */
static enum err_kind land(
    struct bench *b, const char *changed, enum landed *how)
{
    struct err e = ERR_INIT;
    const uint8_t *p = (const uint8_t *)right;

    if (landing_begin(&b->l, &b->d, N, at("held"), &e) == 0 &&
        landing_add(&b->l, p, N / 2, &e) == 0) {
        if (changed != NULL)
            write_text(at("held"), changed);
        if (landing_add(&b->l, p + N / 2, N - N / 2, &e) == 0 &&
            landing_end(&b->l, how, &e) == 0)
            landing_sync(&b->l, &e);
    }
    return e.kind;
}

/* Another old file each time, and what becomes of the content. */
static void lands(const char *held, const char *changed, enum err_kind kind,
    enum landed want, const char *name)
{
    struct bench b;
    enum landed how = LANDED_SEEN;

    open_bench(&b);
    if (held != NULL)
        write_text(at("held"), held);
    else
        unlink(at("held"));
    is_int(land(&b, changed, &how), kind, name);
    if (kind == ERR_NONE)
        is_int(how, want, "and is called so");
    if (want == LANDED_FRESH)
        is_str(read_text(b.path), kind == ERR_NONE ? right : "(none)",
            "its bytes, or none");
    landing_close(&b.l);
    unlink(b.path);
}

int main(void)
{
    scratch_open();
    lands(NULL, NULL, ERR_NONE, LANDED_FRESH, "a new content");
    lands("right bytes", NULL, ERR_NONE, LANDED_HELD, "one that is here");
    lands("wrong bytes", NULL, ERR_NONE, LANDED_FRESH, "one that differs");
    lands("right bytXX", NULL, ERR_NONE, LANDED_FRESH, "one that ends so");
    lands("right bytXX", "wrong bytXX", ERR_CORRUPT, LANDED_FRESH,
        "one whose front changed after it was compared");
    scratch_close();
    return done();
}
