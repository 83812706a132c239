/* Which contents are worth grouping: a few blocks of each are packed. */
#include "cache/exporter.h"
#include "cache/exporter_internal.h"

#include <unistd.h>

#include "cache/grouping.h"

#include "base/cancel.h"
#include "base/file.h"
#include "base/zst.h"

/* Less than a block has little to save. */
enum { SAMPLES = 3, SAMPLE = GROUPING_BLOCK };

struct sampling {
    struct zst zst;
    uint8_t plain[SAMPLE], grouped[SAMPLE];
    uint8_t packed[ZST_PACKED];
    size_t sizes[3]; /* packed: as they are, by two, by four */
};

static void sampling_free(struct sampling **s)
{
    if (*s != NULL)
        zst_free(&(*s)->zst);
}

/* The level of export is not asked, so that the tar archive does not depend on
 * it. */
static int pack(
    struct sampling *s, const uint8_t *bytes, size_t *total, struct err *e)
{
    size_t n;

    if (zst_pack(&s->zst, ZST_LEVEL, bytes, SAMPLE, s->packed, &n, e) != 0)
        return -1;
    *total += n;
    return 0;
}

static int sample(
    struct sampling *s, int fd, uint64_t at, const char *path, struct err *e)
{
    if (file_read_at(fd, s->plain, SAMPLE, at, path, e) != 0 ||
        pack(s, s->plain, &s->sizes[0], e) != 0)
        return -1;
    grouping_split(s->grouped, s->plain, SAMPLE, 2);
    if (pack(s, s->grouped, &s->sizes[1], e) != 0)
        return -1;
    grouping_split(s->grouped, s->plain, SAMPLE, 4);
    return pack(s, s->grouped, &s->sizes[2], e);
}

/* Where a sample is: at the front, in the middle and at the end of the whole
 * blocks, of which last is the last. */
static uint64_t at_of(uint64_t i, uint64_t last)
{
    uint64_t block = last < SAMPLES ? i : last * i / (SAMPLES - 1);

    return block * SAMPLE;
}

/* The width it is to be grouped by, or 0. */
static int width_of(struct sampling *s, const struct exporter *x,
    const struct archive_content *c, unsigned *out, struct err *e)
{
    char path[PATH_MAX];
    int fd AUTO(fd_close) = -1;
    uint64_t size, last = c->size / SAMPLE - 1;

    if (exporter_path(x, c, path, e) != 0)
        return -1;
    fd = file_open(path, &size, e);
    if (fd < 0)
        return -1;
    *out = 0;
    if (size != c->size)
        return 0; /* exporter_run says what is wrong with it */
    memset(s->sizes, 0, sizeof(s->sizes));
    for (uint64_t i = 0; i < SAMPLES && i <= last; i++)
        if (cancel_check(e) != 0 || sample(s, fd, at_of(i, last), path, e) != 0)
            return -1;
    *out = s->sizes[2] < s->sizes[1] ? 4 : 2;
    if (s->sizes[*out / 2] > s->sizes[0] - s->sizes[0] / 32)
        *out = 0;
    return 0;
}

int exporter_group(struct exporter *x, struct err *e)
{
    struct sampling *s AUTO(sampling_free) =
        arena_alloc(x->arena, 1, sizeof(*s), e);
    struct archive *a = &x->archive;
    const struct members *m = &x->members;

    a->groups = arena_alloc(x->arena, m->n_contents, sizeof(*a->groups), e);
    if (s == NULL || a->groups == NULL)
        return -1;
    for (uint64_t i = 0; i < m->n_contents; i++) {
        const struct archive_content *c = &m->contents[i];
        unsigned width = 0;

        if (c->size >= SAMPLE && width_of(s, x, c, &width, e) != 0)
            return -1;
        if (width > 0)
            a->groups[a->n_groups++] =
                (struct archive_group){ .digest = c->digest, .width = width };
    }
    return 0;
}
