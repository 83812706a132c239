#include "convert/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"
#include "base/path.h"
#include "convert/company.h"
#include "formats/uniform.h"

enum { STEP_BYTES = 1 << 20, ARENA_BYTES = 64 << 20 };

static int changed(const struct source *v, struct err *e)
{
    err_set(e, ERR_CORRUPT, "%s: changed while it was read", v->path);
    return err_hint(e, "convert again when nobody writes to it");
}

/* By what every write changes; links to it may come and go. */
static bool same_content(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           same_content(a, b);
}

static int add(struct sources *s, const char *path, const struct found *found,
    struct err *e)
{
    struct source *v = &s->v[s->n];
    int fd AUTO(fd_close) = -1;

    if (path_fmt(v->path, e, "%s", path) != 0)
        return -1;
    fd = file_open(v->path, &v->file.size, e);
    if (fd < 0)
        return -1;
    if (fstat(fd, &v->seen) != 0)
        return err_sys(e, "%s", v->path);
    v->file.name = str_of(path_base(v->path));
    v->named = found != NULL && found_digest(found, v->path, &v->file.sha256);
    if (!v->named)
        s->unread += v->file.size;
    s->n++;
    return 0;
}

int sources_list(struct sources *s, const struct checkpoint *c,
    const struct found *found, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;

    *s = (struct sources){
        .arena = ARENA_INIT(ARENA_BYTES), .fd = -1, .room = BUF_INIT(STEP_BYTES)
    };
    s->v = arena_alloc(
        &s->arena, (uint64_t)c->n_files + 1 + COMPANY_MAX, sizeof(*s->v), e);
    if (s->v == NULL)
        return -1;
    for (uint32_t i = 0; i < c->n_files; i++) {
        if (add(s, c->files[i].path, found, e) != 0)
            return -1;
        if (fstat(c->files[i].map.fd, &st) != 0)
            return err_sys(e, "%s", c->files[i].path);
        if (!same_file(&st, &s->v[i].seen))
            return changed(&s->v[i], e);
    }
    s->n_open = s->n;
    if (c->index[0] != '\0' && add(s, c->index, found, e) != 0)
        return -1;
    for (size_t i = 0; company_names[i] != NULL; i++) {
        if (path_join(path, c->folder, company_names[i], e) != 0)
            return -1;
        if (access(path, F_OK) == 0 && add(s, path, found, e) != 0)
            return -1;
    }
    return 0;
}

static int next_source(struct sources *s, struct err *e)
{
    struct source *v = &s->v[s->now];
    uint64_t size;

    if (buf_room(&s->room, STEP_BYTES) == NULL)
        return buf_check(&s->room, e);
    s->at = 0;
    s->fd = file_open(v->path, &size, e);
    if (s->fd < 0)
        return -1;
    if (size != v->file.size)
        return changed(v, e);
    return hash_begin(&s->hash, HASH_SHA256, size, e);
}

int sources_step(struct sources *s, uint64_t bytes, struct err *e)
{
    while (bytes > 0 && s->now < s->n) {
        struct source *v = &s->v[s->now];
        size_t n;

        if (v->file.sha256.hex[0] != '\0') {
            s->now++;
            continue;
        }
        if (s->fd < 0 && next_source(s, e) != 0)
            return -1;
        n = size_min(size_min(STEP_BYTES, bytes), v->file.size - s->at);
        if (cancel_check(e) != 0 ||
            file_read_at(s->fd, s->room.p, n, s->at, v->path, e) != 0)
            return -1;
        hash_add(&s->hash, s->room.p, n);
        s->at += n;
        s->unread -= n;
        bytes -= n;
        if (s->at == v->file.size) {
            hash_end(&s->hash, &v->file.sha256);
            fd_close(&s->fd);
        }
    }
    return 0;
}

void sources_skip(struct sources *s)
{
    s->now = s->n;
    s->unread = 0;
}

int sources_check(const struct sources *s, struct err *e)
{
    for (uint64_t i = 0; i < s->n; i++) {
        const struct source *v = &s->v[i];
        struct stat st;

        if (v->named) /* never written to; relinked now and then */
            continue;
        if (stat(v->path, &st) != 0)
            return err_sys(e, "%s", v->path);
        /* Only what stays open keeps its inode number everywhere (FUSE). */
        if (i < s->n_open ? !same_file(&st, &v->seen)
                          : !same_content(&st, &v->seen))
            return changed(v, e);
    }
    return 0;
}

int sources_key(const struct sources *s, const struct recipe *r, char out[33],
    struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(ARENA_BYTES);
    struct digest d;

    buf_printf(&text, "uniform %s\ndtype %s\non-overflow %s\nselect ",
        UNIFORM_VERSION, recipe_dtype(r), recipe_policy(r));
    buf_puts(&text, r->select != NULL ? r->select : "");
    buf_putc(&text, '\n');
    if (r->rename != RENAME_NONE)
        buf_printf(&text, "rename %s\n", recipe_rename(r));
    if (r->shard_size > 0)
        buf_printf(
            &text, "shard-size %llu\n", (unsigned long long)r->shard_size);
    for (uint64_t i = 0; i < s->n; i++)
        buf_printf(&text, "%s %llu %.*s\n", s->v[i].file.sha256.hex,
            (unsigned long long)s->v[i].file.size, STR_ARG(s->v[i].file.name));
    if (buf_check(&text, e) != 0 ||
        hash_bytes(HASH_SHA256, text.p, text.len, &d, e) != 0)
        return -1;
    snprintf(out, 33, "%.32s", d.hex);
    return 0;
}

void sources_free(struct sources *s)
{
    hash_free(&s->hash);
    fd_close(&s->fd);
    buf_free(&s->room);
    arena_free(&s->arena);
    *s = (struct sources)SOURCES_INIT;
}
