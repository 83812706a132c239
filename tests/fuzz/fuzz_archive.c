/*
 * An archive: "T" and a tar archive, which is packed as it should be, "M" and
 * a manifest alone, or the bytes of a whole file. What is accepted is written
 * again as the same; its members are safe to unpack.
 */
// seeds: tests/fuzz/archive/*
// dict: json.dict
#include "kit.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "cache/frames.h"
#include "cache/importer.h"

static const char place[] = "/nonexistent/volume";

/* ---- members ---- */

static bool is_before(const struct members *m, uint64_t n, struct str path)
{
    for (uint64_t i = 0; i < n; i++)
        if (m->v[i].tar.type == TAR_FILE && str_eq(m->v[i].tar.path, path))
            return true;
    return false;
}

/* Does a link stay below the folder of its repository? */
static bool stays(const struct tar_member *t)
{
    struct str rest = t->link;
    size_t up = 0, depth = 0;

    while (str_starts(rest, "../")) {
        rest.p += 3;
        rest.len -= 3;
        up++;
    }
    for (size_t i = 0; i < t->path.len; i++)
        depth += t->path.p[i] == '/';
    return up + 2 == depth && str_starts(rest, "blobs/");
}

static void check_members(const struct members *m)
{
    for (uint64_t i = 0; i < m->n; i++) {
        const struct tar_member *t = &m->v[i].tar;
        struct buf head AUTO(buf_free) = BUF_INIT(1 << 20);
        struct err e = ERR_INIT;
        struct str path = t->path;

        path.len -= t->type == TAR_FOLDER;
        /* The folders of a snapshot stand before its paths. */
        if (path.len <= 1024)
            must(path_check(path, &e) == 0);
        must(t->type != TAR_LINK || stays(t));
        must(t->type != TAR_HARD ||
             (i < 1000 ? is_before(m, i, t->link) : true));
        tar_head(&head, t);
        must(head.len % TAR_BLOCK == 0 && head.bad == ERR_NONE);
    }
}

static void check_manifest(struct str text)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 28);
    struct archive a;
    struct members m;
    struct err e = ERR_INIT;

    if (archive_parse(&a, text, &arena, &e) != 0 ||
        archive_members(&m, &a, &arena, &e) != 0)
        kit_failed(&e);
    else
        check_members(&m);
}

/* ---- whole archives ---- */

struct feed {
    const uint8_t *p;
    size_t n;
};

static int make(void *ctx, uint8_t *out, size_t cap, size_t *n, struct err *e)
{
    struct feed *f = ctx;

    (void)e;
    *n = size_min(cap, f->n);
    memcpy(out, f->p, *n);
    f->p += *n;
    f->n -= *n;
    return 0;
}

static void import(int fd)
{
    struct importer m AUTO(importer_free) = IMPORTER_INIT;
    struct err e = ERR_INIT;

    m.volume = place;
    m.dry_run = true;
    m.threads = 1;
    m.progress = PROGRESS_NONE;
    must(lseek(fd, 0, SEEK_SET) == 0);
    if (importer_run(&m, fd, "input", &e) != 0)
        kit_failed(&e);
    else
        check_members(&m.members);
    must(access("/nonexistent", F_OK) != 0);
}

static void pack(int fd, const uint8_t *data, size_t size)
{
    struct feed feed = { data, size };
    struct frames f = { .fd = fd,
        .name = "input",
        .threads = 1,
        .level = 1,
        .make = make,
        .ctx = &feed };
    struct err e = ERR_INIT;

    must(frames_pack(&f, &e) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool tar = size > 0 && data[0] == 'T';
    int fd;

    log_set_level(LOG_ERROR);
    if (size > 0 && data[0] == 'M') {
        check_manifest((struct str){ (const char *)data + 1, size - 1 });
        return 0;
    }
    fd = open(kit_path(0, data, tar ? 0 : size), O_RDWR | O_CLOEXEC);
    must(fd >= 0);
    if (tar)
        pack(fd, data + 1, size - 1);
    import(fd);
    close(fd);
    return 0;
}
