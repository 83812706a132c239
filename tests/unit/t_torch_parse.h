/* t_torch_parse.h - parse a torch file made by hand, and say what it says. */
#ifndef TESTS_TORCH_PARSE_H
#define TESTS_TORCH_PARSE_H

#include <stdlib.h>

#include "base/log.h"
#include "formats/torch.h"
#include "t_torch_make.h"
#include "tap.h"

enum { LIMIT = 256 << 20 };

/* A parse of a copy of exactly its length. */
struct parse {
    struct arena arena;
    struct torch_file f;
    struct err e;
    char *copy;
    int rc;
};

static inline void parse(
    struct parse *p, const struct buf *b, size_t len, const char *select)
{
    *p = (struct parse){ .arena = ARENA_INIT(LIMIT), .rc = -2 };
    p->copy = malloc(len ? len : 1);
    if (p->copy == NULL)
        return;
    memcpy(p->copy, b->p, len);
    p->rc = torch_parse(p->copy, len, select, &p->arena, &p->f, &p->e);
}

static inline void parse_free(struct parse *p)
{
    arena_free(&p->arena);
    free(p->copy);
}

/* ---- zip files ---- */

struct record {
    const char *name;
    const char *data;
    size_t len;
};

/* data.pkl, then the records. */
static inline void make_torch(
    struct buf *out, const struct buf *pickle, const struct record *v, size_t n)
{
    struct entry t[16] = {
        { .name = "m/data.pkl", .data = pickle->p, .len = pickle->len }
    };
    char names[16][64];

    for (size_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof(names[i]), "m/%s", v[i].name);
        t[i + 1] = (struct entry){
            .name = names[i], .data = v[i].data, .len = v[i].len
        };
    }
    make_zip(out, t, n + 1, true);
}

static const char zeros[64];

/* One pickle in a zip with storages 0 and 1 of 16 and 8 bytes. */
static inline void zip_of(
    struct parse *p, const struct buf *pickle, const char *select)
{
    static const struct record v[] = { { "data/0", zeros, 16 },
        { "data/1", zeros, 8 }, { "version", "3\n", 2 } };
    struct buf file AUTO(buf_free) = BUF_INIT(LIMIT);

    make_torch(&file, pickle, v, ARRAY_LEN(v));
    parse(p, &file, file.len, select);
}

static inline void refused(const char *name, const struct buf *pickle,
    enum err_kind kind, const char *words)
{
    struct parse p;

    zip_of(&p, pickle, NULL);
    ok(p.rc == -1 && p.e.kind == kind && strstr(p.e.msg, words) != NULL,
        "refused: %s", name);
    if (p.rc != -1 || p.e.kind != kind || strstr(p.e.msg, words) == NULL)
        printf("#   got %d kind %d '%s'\n#   want '%s'\n", p.rc, p.e.kind,
            p.e.msg, words);
    parse_free(&p);
}

#endif
