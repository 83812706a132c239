/* What the catalogs of a bucket say of small files: found, aged, bounded. */
#include "serve/digests.h"

#include <stdio.h>

#include "tests/unit/tap.h"

static void set(struct digest *d, enum hash_kind kind, unsigned long n)
{
    d->kind = kind;
    snprintf(
        d->hex, sizeof(d->hex), kind == HASH_SHA256 ? "%064lx" : "%040lx", n);
}

/* n files, of which git's digests are from, from + 1 ... */
static struct catalog catalog(
    struct catalog_file *v, size_t n, unsigned long from)
{
    for (size_t i = 0; i < n; i++) {
        v[i] = (struct catalog_file){ .size = 1, .held = true };
        set(&v[i].oid, HASH_GIT_SHA1, from + n - i); /* in no order */
        set(&v[i].sha256, HASH_SHA256, 7 * (from + n - i));
    }
    return (struct catalog){ .files = v, .n = n };
}

static bool find(struct digests *d, const char *commit, unsigned long n,
    unsigned long *sha, uint64_t *read_ms)
{
    struct digest oid, out;
    bool found;

    set(&oid, HASH_GIT_SHA1, n);
    found = digests_find(d, "models--a--b", commit, &oid, &out, read_ms);
    *sha = found ? strtoul(out.hex + 40, NULL, 16) : 0;
    return found;
}

static void what_is_held(void)
{
    struct digests d = DIGESTS_INIT;
    struct err e = ERR_INIT;
    struct catalog_file v[9];
    struct catalog c = catalog(v, 9, 100);
    unsigned long sha;
    uint64_t read_ms;

    ok(!find(&d, "c", 101, &sha, &read_ms) && read_ms == 0, "nothing is kept");
    v[0].held = false; /* 109 */
    v[1].lfs = true;   /* 108 */
    v[2].sha256.hex[0] = '\0';
    is_int(digests_keep(&d, "models--a--b", "c", &c, 5, &e), 0, "kept");
    for (unsigned long n = 101; n <= 106; n++)
        ok(find(&d, "c", n, &sha, &read_ms) && sha == 7 * n && read_ms == 5,
            "the SHA-256 of %lu", n);
    for (unsigned long n = 107; n <= 110; n++)
        ok(!find(&d, "c", n, &sha, &read_ms) && read_ms == 5, "none of %lu", n);
    ok(!find(&d, "other", 101, &sha, &read_ms) && read_ms == 0,
        "nor of another commit");
    v[0].held = true;
    is_int(digests_keep(&d, "models--a--b", "c", &c, 9, &e), 0, "once more");
    ok(find(&d, "c", 109, &sha, &read_ms) && read_ms == 9,
        "it is what the catalog says now");
    digests_free(&d);
    digests_free(&d);
}

static void is_bounded(void)
{
    enum { N = DIGESTS_FILES / 2 };
    struct digests d = DIGESTS_INIT;
    struct catalog_file *v = calloc(2 * N + 1, sizeof(*v));
    struct catalog few, many;
    struct catalog_file one[1];
    struct err e = ERR_INIT;
    unsigned long sha;
    uint64_t read_ms;
    char name[16];

    few = catalog(one, 1, 0);
    for (int i = 0; i <= DIGESTS_COMMITS; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        digests_keep(&d, "models--a--b", name, &few, 1, &e);
        find(&d, "c0", 1, &sha, &read_ms);
    }
    ok(find(&d, "c0", 1, &sha, &read_ms), "what is used stays");
    ok(!find(&d, "c1", 1, &sha, &read_ms), "what is not goes first");
    many = catalog(v, N, 0);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof(name), "m%d", i);
        is_int(digests_keep(&d, "models--a--b", name, &many, 1, &e), 0,
            "a commit of many files");
    }
    ok(find(&d, "m0", N, &sha, &read_ms) && find(&d, "m1", 1, &sha, &read_ms),
        "as many files as are kept");
    ok(!find(&d, "c0", 1, &sha, &read_ms), "have no room for others");
    is_int(digests_keep(&d, "models--a--b", "c0", &few, 1, &e), 0, "one more");
    ok(!find(&d, "m0", N, &sha, &read_ms) && find(&d, "c0", 1, &sha, &read_ms),
        "takes the place of another commit");
    many = catalog(v, 2 * N + 1, 0);
    is_int(digests_keep(&d, "models--a--b", "big", &many, 1, &e), -1,
        "a commit of more is refused");
    is_int(e.kind, ERR_REFUSED, "as such");
    ok(find(&d, "c0", 1, &sha, &read_ms), "and takes nobody's place");
    digests_free(&d);
    free(v);
}

int main(void)
{
    what_is_held();
    is_bounded();
    return done();
}
