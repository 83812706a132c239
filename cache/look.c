#include "cache/look.h"

#include <stdio.h>

#include "cache/volume_internal.h"
#include "cache/walk.h"

#include "base/path.h"

static int measure(const struct volume *v, const char *part, uint64_t *out,
    struct arena *arena, struct err *e)
{
    struct walk_entry *found;
    char root[PATH_MAX];
    uint64_t n;

    if (path_join(root, v->root, part, e) != 0 ||
        walk(root, arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        *out += found[i].size;
    return 0;
}

/* A volume's own. */
static int look_own(const struct volume *v, unsigned flags, struct look *out,
    struct arena *arena, struct err *e)
{
    if (volume_check(v, e) != 0)
        return -1;
    if ((flags & LOOK_FILES) &&
        volume_shown(v, NULL, arena, &out->files, &out->n_files, e) != 0)
        return -1;
    if ((flags & LOOK_SIZES) &&
        (measure(v, "store", &out->stored_bytes, arena, e) != 0 ||
            measure(v, "uniform", &out->converted_bytes, arena, e) != 0 ||
            measure(v, "quarantine", &out->aside_bytes, arena, e) != 0 ||
            measure(v, "trash", &out->trash_bytes, arena, e) != 0))
        return -1;
    memcpy(out->root, v->root, sizeof(v->root));
    return 0;
}

int look(const char *volume, unsigned flags, struct look *out,
    struct arena *arena, struct err *e)
{
    struct volume v;
    struct hubdir h;

    *out = (struct look){ .n_repos = 0 };
    if (volume == NULL) {
        if (hubdir_default(&h, e) != 0)
            return -1;
        memcpy(out->root, h.root, sizeof(h.root));
    } else {
        if (volume_locate(&v, volume, e) != 0 ||
            look_own(&v, flags, out, arena, e) != 0 ||
            volume_hub(&v, &h, e) != 0)
            return -1;
    }
    return inventory(&h, arena, &out->repos, &out->n_repos, e);
}

const char *look_name(const struct repo *r, char out[192])
{
    static const char *const front[] = { [REPO_MODEL] = "",
        [REPO_DATASET] = "datasets/",
        [REPO_SPACE] = "spaces/" };

    snprintf(out, 192, "%s%s", front[r->type], r->id);
    return out;
}
