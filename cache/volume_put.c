/* One file into a volume, by itself. */
#include "cache/volume.h"
#include "cache/volume_internal.h"

#include "cache/apply.h"
#include "cache/edit.h"
#include "cache/lease.h"
#include "cache/storing.h"

#include "base/file.h"
#include "base/path.h"

int volume_stored_sync(
    const struct volume *v, const struct digest *sha256, struct err *e)
{
    char path[PATH_MAX], dir[PATH_MAX], up[PATH_MAX];

    if (volume_stored(v, sha256, path, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    path_dir(up, sizeof(up), dir);
    return dir_sync(dir, e) != 0 ? -1 : dir_sync(up, e);
}

int volume_store(const struct volume *v, const char *file, const char *shown,
    bool likely, struct progress *progress, struct volume_entry *out,
    bool *copied, struct err *e)
{
    struct storing s AUTO(storing_free);

    storing_open(&s, v);
    if (storing_put(&s, file, shown, likely, progress, out, copied, e) != 0)
        return -1;
    return storing_end(&s, e);
}

int volume_put(const struct volume *v, const char *file, const char *name,
    struct progress *progress, struct volume_entry *out, struct arena *arena,
    struct err *e)
{
    struct edit ed AUTO(edit_close) = EDIT_INIT;
    struct lease lease AUTO(lease_free) = LEASE_INIT;
    char path[PATH_MAX];
    uint64_t step;
    bool copied;

    /* Content that is here, or comes, is not collected before it has a name. */
    if (volume_check(v, e) != 0 || lease_of_volume(v, path, e) != 0 ||
        lease_hold(&lease, path, true, e) != 0 ||
        edit_name_free(v, str_of(name), NULL, arena, e) != 0 ||
        volume_store(v, file, name, false, progress, out, &copied, e) != 0 ||
        edit_begin(&ed, v, "put", false, arena, e) != 0 ||
        edit_set(&ed, str_of(name), out, e) != 0 ||
        edit_commit(&ed, &step, e) != 0)
        return -1;
    out->name = arena_str(arena, str_of(name), e);
    if (out->name.p == NULL)
        return -1;
    apply_show(v, out);
    return 0;
}
