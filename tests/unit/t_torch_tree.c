/*
 * torch files put together by hand: branches, names, trees that hurt a
 * careless walker, the legacy stream, calls, sizes.
 */
#include <time.h>

#include "base/json.h"
#include "t_torch_parse.h"

/* ---- branches and names ---- */

/* {key: {"w": tensor}} for each key, then what follows. */
static void branches(struct buf *b, const char *const *keys, size_t n)
{
    buf_puts(b, "\x80\x02}(");
    for (size_t i = 0; i < n; i++) {
        pk_text(b, keys[i]);
        buf_putc(b, '}');
        pk_text(b, "w");
        pk_floats(b, "0", 4);
        buf_putc(b, 's');
    }
    buf_puts(b, "u.");
}

static void branch_is(const char *const *keys, size_t n, const char *select,
    const char *want, uint64_t n_want)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct parse p;

    branches(&b, keys, n);
    zip_of(&p, &b, select);
    ok(p.rc == 0 && str_is(p.f.branch, want) && p.f.n_tensors == n_want &&
            p.f.n_all == n && p.f.tensors[0].name.len <= strlen(keys[0]) + 2,
        "branch '%s' of %zu", want, n);
    if (p.rc != 0)
        printf("#   %s\n", p.e.msg);
    parse_free(&p);
}

#define KEYS(...)                                                              \
    (const char *const[]){ __VA_ARGS__ },                                      \
        sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)

static void test_branches(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct parse p;

    branch_is(KEYS("state_dict", "optimizer"), NULL, "state_dict", 1);
    branch_is(KEYS("model", "optimizer_state"), NULL, "model", 1);
    branch_is(KEYS("SSM_0", "SSM_1"), NULL, "", 2);
    branch_is(KEYS("model", "ema"), "ema", "ema", 1);
    branch_is(KEYS("model", "ema"), "", "", 2);
    branch_is(KEYS("optimizer"), NULL, "", 1);
    branches(&b, KEYS("model", "ema", "other"));
    zip_of(&p, &b, NULL);
    ok(p.rc == -1 && p.e.kind == ERR_REFUSED &&
            strstr(p.e.msg, "model (1 tensor, 16 bytes)") != NULL &&
            strstr(p.e.msg, "ema (1 tensor,") != NULL,
        "two candidates are listed: %s", p.e.msg);
    is_int((long long)p.f.n_all, 3, "and all tensors are known still");
    parse_free(&p);
    zip_of(&p, &b, "mod");
    is_int(p.e.kind, ERR_MISSING, "half a branch is none");
    parse_free(&p);
}

/* Branches three levels down, each alone. */
static void test_levels(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct parse p;

    buf_puts(&b, "\x80\x02");
    for (int i = 0; i < 4; i++) {
        buf_puts(&b, "}(");
        pk_text(&b, "args");
        buf_putc(&b, '}');
        pk_text(&b, "level");
        pk_int(&b, i);
        buf_putc(&b, 's');
        pk_text(&b, "model");
    }
    pk_floats(&b, "0", 4);
    buf_puts(&b, "uuuu.");
    zip_of(&p, &b, NULL);
    ok(p.rc == 0 && str_is(p.f.branch, "model.model.model") &&
            p.f.n_tensors == 1 && str_is(p.f.tensors[0].name, "model"),
        "three levels and no further: %s", p.e.msg);
    ok(str_is(p.f.config, "{\"level\":2}"), "the nearest config: %.*s",
        STR_ARG(p.f.config));
    parse_free(&p);
}

static void name_refused(const char *name, const char *key, const char *words)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);

    buf_puts(&b, "\x80\x02}");
    pk_text(&b, key);
    pk_floats(&b, "0", 4);
    buf_puts(&b, "s.");
    refused(name, &b, ERR_REFUSED, words);
}

static void test_names(void)
{
    static char longer[5000];
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);

    memset(longer, 'x', sizeof(longer) - 1);
    name_refused("a terminal escape in a name", "a\x1b[2J", "control");
    name_refused("a lone surrogate in a name", "a\xed\xa0\x80", "not UTF-8");
    name_refused("no name", "", "without a name");
    name_refused("a name of 5000 bytes", longer, "longer than");
    buf_puts(&b, "\x80\x02}(");
    pk_text(&b, "a.b");
    pk_floats(&b, "0", 4);
    pk_text(&b, "a");
    buf_putc(&b, '}');
    pk_text(&b, "b");
    pk_floats(&b, "0", 4);
    buf_puts(&b, "su.");
    refused("two tensors of one name", &b, ERR_REFUSED, "are called 'a.b'");
}

/* Python 2 keys: UTF-8 where they are, else Latin-1. */
static void test_python2_keys(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct parse p;

    buf_puts(&b, "\x80\x02}(U\5caf\xc3\xa9");
    pk_floats(&b, "0", 4);
    buf_puts(&b, "U\4b\xe9"
                 "b\xe8}U\1x");
    pk_floats(&b, "0", 4);
    buf_puts(&b, "su.");
    zip_of(&p, &b, NULL);
    ok(p.rc == 0 && str_is(p.f.tensors[0].name, "café") &&
            str_is(p.f.tensors[1].name, "bébè.x"),
        "keys of Python 2 become UTF-8: %s", p.e.msg);
    parse_free(&p);
}

/* ---- shapes of trees that hurt a careless walker ---- */

static void test_trees(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct parse p;

    buf_puts(&b, "\x80\x02]q\1h\1a");
    pk_floats(&b, "0", 4);
    buf_puts(&b, "a.");
    zip_of(&p, &b, NULL);
    ok(p.rc == 0 && p.f.n_tensors == 1 && str_is(p.f.tensors[0].name, "1"),
        "a list in itself: %s", p.e.msg);
    parse_free(&p);

    buf_clear(&b);
    buf_puts(&b, "\x80\x02");
    pk_floats(&b, "0", 4);
    for (int i = 0; i < 60; i++)
        buf_puts(&b, "2\x86");
    buf_putc(&b, '.');
    refused("2^60 names for one tensor", &b, ERR_REFUSED, "too many names");

    buf_clear(&b);
    buf_puts(&b, "\x80\x02K\1");
    for (int i = 0; i < 60; i++)
        buf_puts(&b, "2\x86");
    buf_putc(&b, '.');
    zip_of(&p, &b, NULL);
    ok(p.rc == 0 && p.f.n_tensors == 0, "2^60 leaves without a tensor");
    parse_free(&p);

    buf_clear(&b);
    buf_puts(&b, "\x80\x02K\1");
    for (int i = 0; i < 100000; i++)
        buf_puts(&b, "\x85");
    buf_putc(&b, '.');
    refused("100000 tuples in each other", &b, ERR_REFUSED, "deep");
}

/* 2 MB of mapping shared by 100 000 lists: bounded, not squared. */
static void test_sharing(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct parse p;
    clock_t t = clock();

    buf_puts(&b, "\x80\x02](");
    for (int i = 0; i < 100000; i++)
        buf_puts(&b, "K\1");
    buf_put(&b, "er\0\0\0\0](", 8);
    for (int i = 0; i < 100000; i++)
        buf_put(&b, "cbuiltins\nlist\nj\0\0\0\0\x85R", 22);
    buf_puts(&b, "e\x86.");
    zip_of(&p, &b, NULL);
    ok(p.rc == -1 && strstr(p.e.msg, "refers to too much") != NULL,
        "a list shared a hundred thousand times: %s", p.e.msg);
    printf("# %.3f s\n", (double)(clock() - t) / CLOCKS_PER_SEC);
    parse_free(&p);
}

/* Shared work that leaves nothing behind: no name, no text. */
static void test_work_in_vain(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct parse p;

    /* A module leads to a tensor, but by an attribute without a name. */
    buf_puts(&b, "\x80\x02"
                 "c__main__\nNet\n)R}(");
    pk_text(&b, "_parameters");
    buf_putc(&b, '}');
    pk_text(&b, "_modules");
    buf_putc(&b, '}');
    pk_text(&b, "x");
    pk_floats(&b, "0", 4);
    buf_puts(&b, "ub");
    for (int i = 0; i < 60; i++)
        buf_puts(&b, "2\x86");
    buf_putc(&b, '.');
    refused("2^60 ways to no name", &b, ERR_REFUSED, "refers to too much");

    /* A mapping with one long key, 20000 times, in a list, 20 times. */
    buf_clear(&b);
    buf_puts(&b, "\x80\x02}(");
    pk_text(&b, "model");
    buf_putc(&b, '}');
    pk_text(&b, "w");
    pk_floats(&b, "0", 4);
    buf_putc(&b, 's');
    pk_text(&b, "config");
    buf_puts(&b, "}(");
    pk_text(&b, "a");
    buf_putc(&b, '(');
    for (int i = 0; i < 700; i++)
        buf_putc(&b, 'N');
    buf_puts(&b, "tq\1");
    pk_text(&b, "b");
    buf_puts(&b, "}q\2(");
    for (int i = 0; i < 20000; i++)
        buf_puts(&b, "h\1N");
    buf_putc(&b, 'u');
    pk_text(&b, "c");
    buf_putc(&b, '(');
    for (int i = 0; i < 20; i++)
        buf_puts(&b, "h\2");
    buf_puts(&b, "luu.");
    zip_of(&p, &b, NULL);
    ok(p.rc == 0 && p.f.n_tensors == 1 && p.f.config.len == 0,
        "a config that is all work is left out: %s", p.e.msg);
    parse_free(&p);
}

/* A config of an odd program is still JSON that this suite reads. */
static void test_odd_config(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct err e = ERR_INIT;
    struct parse p;

    buf_puts(&b, "\x80\x02}(");
    pk_text(&b, "model");
    buf_putc(&b, '}');
    pk_text(&b, "w");
    pk_floats(&b, "0", 4);
    buf_putc(&b, 's');
    pk_text(&b, "config");
    buf_puts(&b, "}(");
    pk_text(&b, "separator");
    buf_put(&b, P("X\3\0\0\0a\0b"));
    buf_put(&b, P("X\3\0\0\0\xed\xa0\x80K\1"));
    buf_put(&b, P("X\3\0\0\0\xed\xa0\x81K\2"));
    buf_puts(&b, "uu.");
    zip_of(&p, &b, NULL);
    ok(p.rc == 0 && json_parse(&doc, p.f.config, 0, &e) == 0,
        "NUL and lone surrogates: %s", e.msg);
    is_int((long long)json_count(doc.root), 2, "two keys, of three");
    parse_free(&p);
}

/* ---- the legacy stream ---- */

static const char magic[] =
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
static const char protocol[] = "\x80\x02M\xe9\x03.";
static const char machine[] = "\x80\x02}U\x0dlittle_endian\x88s.";

struct legacy {
    const char *one, *two, *three, *view;
    size_t len_one, len_two, len_three, len_view;
    const char *keys; /* one letter each */
    int64_t count;
};

static void make_legacy(struct buf *b, const struct legacy *l)
{
    int64_t n = 2, one = 1;

    buf_put(b, l->one ? l->one : magic, l->one ? l->len_one : 15);
    buf_put(b, l->two ? l->two : protocol, l->two ? l->len_two : 6);
    buf_put(b, l->three ? l->three : machine,
        l->three ? l->len_three : sizeof(machine) - 1);
    buf_puts(b, "\x80\x02}");
    pk_text(b, "w");
    pk_tensor_open(b);
    buf_putc(b, '(');
    pk_text(b, "storage");
    buf_puts(b, "ctorch\nFloatStorage\n");
    pk_text(b, "k");
    pk_text(b, "cpu");
    pk_int(b, 4);
    buf_put(b, l->view ? l->view : "N", l->view ? l->len_view : 1);
    buf_puts(b, "tQ");
    pk_tensor_close(b, 1, &n, 1, &one, 1);
    buf_puts(b, "s.\x80\x02](");
    for (const char *k = l->keys ? l->keys : "k"; *k != '\0'; k++)
        buf_printf(b, "U\x01%c", *k);
    buf_puts(b, "e.");
    put_le(b, l->count ? (uint64_t)l->count : 4, 8);
    buf_put(b, zeros, 16);
}

static void legacy_is(const char *name, struct legacy l, const char *words)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct parse p;

    make_legacy(&b, &l);
    parse(&p, &b, b.len, NULL);
    ok((words[0] == '\0') == (p.rc == 0) && strstr(p.e.msg, words) != NULL,
        "legacy: %s", name);
    if ((words[0] == '\0') != (p.rc == 0) || !strstr(p.e.msg, words))
        printf("#   got %d '%s'\n", p.rc, p.e.msg);
    parse_free(&p);
}

static void test_legacy(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct legacy plain = { .keys = NULL };
    struct parse p;
    size_t parsed = 0;

    make_legacy(&b, &plain);
    parse(&p, &b, b.len, NULL);
    ok(p.rc == 0 && p.f.n_tensors == 1 && p.f.tensors[0].n == 2 &&
            p.f.tensors[0].storage_at == b.len - 16 &&
            p.f.tensors[0].offset == b.len - 12,
        "legacy: the place of a tensor: %s", p.e.msg);
    parse_free(&p);
    for (size_t n = 0; n < b.len; n++) {
        parse(&p, &b, n, NULL);
        parsed += p.rc == 0;
        parse_free(&p);
    }
    is_int((long long)parsed, 0, "legacy: no prefix is a file");
    legacy_is("a slice of a storage",
        (struct legacy){ .view = "(U\1vK\1K\3t", .len_view = 9 }, "");
    legacy_is("a slice that is too long",
        (struct legacy){ .view = "(U\1vK\1K\4t", .len_view = 9 }, "outside");
    legacy_is("a slice too short for its tensor",
        (struct legacy){ .view = "(U\1vK\1K\2t", .len_view = 9 },
        "past the end");
    legacy_is("a slice of itself",
        (struct legacy){ .view = "(U\1kK\1K\3t", .len_view = 9 }, "two ways");
    legacy_is("a slice of two items",
        (struct legacy){ .view = "(U\1kK\1t", .len_view = 7 }, "malformed");
    legacy_is("another count", (struct legacy){ .count = 3 }, "3 elements");
    legacy_is("a negative count", (struct legacy){ .count = -1 },
        "18446744073709551615");
    legacy_is("a key nobody uses", (struct legacy){ .keys = "kz" }, "'z'");
    legacy_is("a key twice", (struct legacy){ .keys = "kk" }, "'k'");
    legacy_is("no key", (struct legacy){ .keys = "" }, "not in the list");
    legacy_is("another protocol",
        (struct legacy){ .two = "K\1.", .len_two = 3 }, "1001");
}

/* The front made by calls instead of plain numbers. */
static void test_front(void)
{
    legacy_is("the machine is a list",
        (struct legacy){ .three = "].", .len_three = 2 }, "machine");
    legacy_is("an unknown byte order",
        (struct legacy){ .three = "}U\x0dlittle_endianK\1s.", .len_three = 20 },
        "machine");
    legacy_is("a persistent id too early",
        (struct legacy){ .three = "NQ.", .len_three = 3 }, "persistent id");
    legacy_is("a call for the protocol",
        (struct legacy){ .two = "cos\nsystem\n)R.", .len_two = 14 }, "1001");
}

/* ---- what Python would have called ---- */

static void test_foreign(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct parse p;

    buf_puts(&b, "\x80\x02}cposix\nsystem\nU\2ls\x85R0");
    pk_text(&b, "w");
    pk_floats(&b, "0", 4);
    buf_puts(&b, "s.");
    zip_of(&p, &b, NULL);
    ok(p.rc == 0 && p.f.n_foreign == 1 && p.f.foreign[0].called &&
            p.f.foreign[0].offset == 3 &&
            str_is(p.f.foreign[0].name, "posix.system"),
        "a call beside good tensors is reported");
    parse_free(&p);
    b.p[b.len - 1] = '\xff';
    zip_of(&p, &b, NULL);
    ok(p.rc == -1 && p.f.n_foreign == 1 &&
            strstr(p.e.hint, "posix.system") != NULL,
        "also when the rest is broken: %s", p.e.hint);
    parse_free(&p);
    buf_clear(&b);
    buf_puts(&b, "\x80\x02"
                 "cos\nsystem\nU\2ls\x85R.");
    parse(&p, &b, b.len, NULL);
    ok(p.rc == 0 && p.f.n_foreign == 1 && p.f.n_all == 0 &&
            strcmp(p.f.container, "pickle") == 0,
        "and in a bare pickle");
    parse_free(&p);
}

/* ---- size ---- */

static void test_many(void)
{
    enum { N = 30000 };
    struct buf pickle AUTO(buf_free) = BUF_INIT(LIMIT);
    struct buf file AUTO(buf_free) = BUF_INIT(LIMIT);
    struct entry *v = calloc(N + 1, sizeof(*v));
    char(*names)[32] = calloc(N, sizeof(*names));
    struct parse p;
    clock_t t;

    buf_puts(&pickle, "\x80\x02}(");
    for (int i = 0; v != NULL && names != NULL && i < N; i++) {
        char key[16];

        snprintf(key, sizeof(key), "%d", i);
        snprintf(names[i], sizeof(names[i]), "m/data/%d", i);
        v[i + 1] = (struct entry){ .name = names[i], .data = zeros, .len = 4 };
        pk_text(&pickle, names[i]);
        pk_floats(&pickle, key, 1);
    }
    buf_puts(&pickle, "u.");
    if (v != NULL && names != NULL) {
        v[0] = (struct entry){
            .name = "m/data.pkl", .data = pickle.p, .len = pickle.len
        };
        make_zip(&file, v, N + 1, true);
    }
    t = clock();
    parse(&p, &file, file.len, NULL);
    ok(p.rc == 0 && p.f.n_tensors == N, "%d tensors: %s", N, p.e.msg);
    printf("# %.3f s\n", (double)(clock() - t) / CLOCKS_PER_SEC);
    printf("# %llu bytes of memory\n", (unsigned long long)p.arena.used);
    parse_free(&p);
    free(v);
    free(names);
}

/* Every limit on memory ends in an error or in the whole answer. */
static void test_limits(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct legacy plain = { .keys = NULL };
    uint64_t good = 0, refusals = 0, odd = 0;

    make_legacy(&b, &plain);
    for (uint64_t limit = 0; limit < 40000; limit += 16) {
        struct arena arena AUTO(arena_free) = ARENA_INIT(limit);
        struct err e = ERR_INIT;
        struct torch_file f;
        int rc = torch_parse(b.p, b.len, NULL, &arena, &f, &e);

        if (rc == 0 && f.n_tensors == 1)
            good++;
        else if (rc == -1 && e.kind == ERR_REFUSED)
            refusals++;
        else
            odd++;
    }
    ok(good > 0 && refusals > 0 && odd == 0,
        "any limit on memory: %llu parsed, %llu refused",
        (unsigned long long)good, (unsigned long long)refusals);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    test_branches();
    test_levels();
    test_odd_config();
    test_names();
    test_python2_keys();
    test_trees();
    test_sharing();
    test_work_in_vain();
    test_legacy();
    test_front();
    test_foreign();
    test_many();
    test_limits();
    return done();
}
