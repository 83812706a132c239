/*
 * The names of a volume, all of them or those of a folder. There may be many,
 * so the files are read by all cores, and what stands in one is recognised
 * without a JSON reader if it is as this program writes it; any other goes
 * the careful way, which also finds the words for what is wrong with it.
 */
#include "cache/volume.h"
#include "cache/volume_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/nameindex.h"
#include "cache/walk.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/pool.h"

/* So many files are one piece of work; of fewer pieces no thread is worth it.
 */
enum { CHUNK = 256, CHUNKS_MIN = 4 };

struct listing {
    int dir; /* that the paths are below */
    const struct walk_entry *files;
    struct volume_entry *entries; /* hex "": not recognised */
    uint64_t n;
};

static void read_one(const struct listing *l, uint64_t i)
{
    struct err ignored = ERR_INIT;
    struct volume_entry *entry = &l->entries[i];
    char text[VOLUME_ENTRY_PLAIN_MAX];
    ssize_t len;
    int fd = openat(l->dir, l->files[i].path.p,
        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return;
    len = read(fd, text, sizeof(text));
    close(fd);
    if (len <= 0 || path_check(entry->name, &ignored) != 0 ||
        !volume_entry_plain((struct str){ text, (size_t)len }, entry))
        entry->sha256.hex[0] = '\0';
}

static void read_chunk(void *arg, size_t chunk)
{
    const struct listing *l = arg;
    uint64_t from = chunk * CHUNK;

    for (uint64_t i = from; i < size_min(from + CHUNK, l->n); i++)
        read_one(l, i);
}

static void read_all(struct listing *l)
{
    size_t chunks = (size_t)((l->n + CHUNK - 1) / CHUNK);
    struct err ignored = ERR_INIT;
    struct pool *pool AUTO(pool_close_auto) = NULL;

    if (chunks >= CHUNKS_MIN)
        pool = pool_open(0, &ignored);
    if (pool != NULL)
        pool_run(pool, chunks, read_chunk, l);
    for (size_t i = 0; i < chunks && pool == NULL; i++)
        read_chunk(l, i);
}

/* The files that are named as entries are, and those names. */
static int name_all(struct listing *l, struct walk_entry *found, uint64_t n,
    const char *folder, struct arena *arena, struct err *e)
{
    struct buf name AUTO(buf_free) = BUF_INIT(PATH_MAX - 1);
    size_t front = strlen(folder);

    for (uint64_t i = 0; i < n; i++) {
        if (found[i].kind != WALK_FILE)
            continue;
        buf_clear(&name);
        buf_put(&name, folder, front);
        if (front > 0)
            buf_putc(&name, '/');
        if (!volume_name_of(found[i].path, &name))
            continue;
        if (buf_check(&name, e) != 0)
            return -1;
        l->entries[l->n].name = arena_str(arena, buf_str(&name), e);
        if (l->entries[l->n].name.p == NULL)
            return -1;
        found[l->n++] = found[i];
    }
    return 0;
}

/* What was not recognised is read again, or left out with a warning. */
static int settle(const struct volume *v, struct listing *l,
    struct arena *arena, struct err *e)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < l->n; i++) {
        struct volume_entry entry = l->entries[i];
        struct err why = ERR_INIT;

        if (cancel_check(e) != 0)
            return -1;
        if (entry.sha256.hex[0] != '\0' ||
            volume_entry_read(v, entry.name, arena, &entry, &why) == 0)
            l->entries[n++] = entry;
        else if (why.kind != ERR_NONE)
            log_warn("%s", why.msg);
    }
    l->n = n;
    return 0;
}

int volume_below(const struct volume *v, const char *folder,
    struct arena *arena, struct volume_entry **out, uint64_t *out_n,
    struct err *e)
{
    int dir AUTO(fd_close) = -1;
    struct walk_entry *found;
    char root[PATH_MAX];
    struct listing l;
    struct stat st;
    uint64_t n;

    *out = NULL;
    *out_n = 0;
    if (volume_folder(v, str_of(folder), root, e) != 0)
        return -1;
    if (stat(root, &st) != 0 || !S_ISDIR(st.st_mode))
        return 0;
    dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (walk_names(root, arena, &found, &n, e) != 0)
        return -1;
    l = (struct listing){ .dir = dir, .files = found };
    l.entries = arena_alloc(arena, n, sizeof(*l.entries), e);
    if (l.entries == NULL || name_all(&l, found, n, folder, arena, e) != 0)
        return -1;
    read_all(&l);
    if (settle(v, &l, arena, e) != 0)
        return -1;
    *out = l.entries;
    *out_n = l.n;
    return 0;
}

static int cmp_entries(const void *a, const void *b)
{
    const struct volume_entry *x = a, *y = b;

    return str_cmp(x->name, y->name);
}

int volume_listed(const struct volume *v, const char *prefix,
    struct arena *arena, struct volume_entry **out, uint64_t *out_n,
    struct err *e)
{
    char folder[PATH_MAX] = "";
    struct volume_entry one, *list;
    int rc = 1;

    *out = NULL;
    *out_n = 0;
    if (volume_check(v, e) != 0)
        return -1;
    if (prefix != NULL && path_fmt(folder, e, "%s", prefix) != 0)
        return -1;
    folder[path_len(folder)] = '\0';
    if (folder[0] != '\0')
        rc = volume_entry_read(v, str_of(folder), arena, &one, e);
    if (rc < 0 || volume_below(v, folder, arena, out, out_n, e) != 0)
        return -1;
    if (rc == 0) {
        list = arena_alloc(arena, *out_n + 1, sizeof(*list), e);
        if (list == NULL)
            return -1;
        if (*out_n > 0)
            memcpy(list + 1, *out, *out_n * sizeof(*list));
        list[0] = one;
        *out = list;
        ++*out_n;
    }
    if (*out_n > 1)
        qsort(*out, *out_n, sizeof(**out), cmp_entries);
    return 0;
}

/* Those that are the prefix, or lie below it: 0 or more in a row. */
static void cut_to(const char *prefix, struct volume_entry **list, uint64_t *n)
{
    struct str front = { prefix, path_len(prefix) };
    uint64_t kept = 0;

    for (uint64_t i = 0; i < *n; i++)
        if (volume_is_below((*list)[i].name, front))
            (*list)[kept++] = (*list)[i];
    *n = kept;
}

int volume_glanced(const struct volume *v, const char *prefix,
    struct arena *arena, struct volume_entry **out, uint64_t *out_n,
    struct err *e)
{
    double began = clock_seconds();

    if (volume_check(v, e) != 0)
        return -1;
    if (nameindex_read(v, arena, out, out_n)) {
        cut_to(prefix != NULL ? prefix : "", out, out_n);
        return 0;
    }
    if (volume_listed(v, prefix, arena, out, out_n, e) != 0)
        return -1;
    if (prefix == NULL || prefix[0] == '\0')
        nameindex_write(v, *out, *out_n, clock_seconds() - began);
    return 0;
}
