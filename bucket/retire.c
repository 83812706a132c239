#include "bucket/retire.h"

#include <string.h>

#include "bucket/content.h"

bool retire_same(const struct s3_info *was, const struct s3_info *now)
{
    return now->found && now->modified_s == was->modified_s &&
           strncmp(now->etag, was->etag, CONTENT_ETAG_MAX - 1) == 0;
}

static int drop_copy(struct retire *a, const char *to, struct err *e)
{
    if (s3_delete(a->s3, to, e) == 0)
        return 0;
    a->left = true;
    return -1;
}

/* An answer that says that it has not gone. */
static bool is_refusal(const struct err *why)
{
    return why->kind == ERR_AUTH || why->kind == ERR_UNSUPPORTED ||
           why->kind == ERR_CORRUPT || why->kind == ERR_REFUSED;
}

/* What stays needs no copy; but an earlier try may have been heard. */
static int stays(struct retire *a, const char *key, const char *to,
    const struct s3_info *was)
{
    struct err ignored = ERR_INIT;
    struct s3_info now = { .found = false };

    if (s3_head(a->s3, key, &now, &ignored) == 0 && retire_same(was, &now))
        drop_copy(a, to, &ignored);
    return -1;
}

int retire_move(struct retire *a, const char *key, const char *to,
    const struct s3_info *was, bool *moved, struct err *e)
{
    const struct s3_copy c = { .from = key,
        .to = to,
        .size = was->size,
        .part = a->go_on,
        .arg = a->arg };
    struct s3_info now = { .found = false };

    if (moved != NULL)
        *moved = false;
    if (s3_copy(a->s3, &c, e) != 0 || a->may(a->arg, e) != 0 ||
        s3_head(a->s3, key, &now, e) != 0)
        return -1;
    if (now.found && !retire_same(was, &now))
        return drop_copy(a, to, e);
    /* Who has taken it counts on no copy of ours: it is kept. */
    if (now.found && s3_delete(a->s3, key, e) != 0)
        return is_refusal(e) ? stays(a, key, to, was) : -1;
    if (moved != NULL)
        *moved = true;
    return 0;
}
