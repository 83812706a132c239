/*
 * The manifest of a model in an Ollama store, which has two blobs: whatever
 * is listed has a safe name, a file that is there, and a set; what is not
 * listed is a fault with a cause.
 */
// seeds: tests/fuzz/ollama/*
// dict: json.dict ollama.dict
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "cache/foreign.h"

enum { BLOBS = 2 };

static const char *const parts[] = { "", "/blobs", "/manifests",
    "/manifests/registry.ollama.ai", "/manifests/registry.ollama.ai/library",
    "/manifests/registry.ollama.ai/library/m" };

/* Of no bytes, and of "x". */
static const char *const blobs[BLOBS] = { "/blobs/sha256-"
                                          "e3b0c44298fc1c149afbf4c8996fb924"
                                          "27ae41e4649b934ca495991b7852b855",
    "/blobs/sha256-2d711642b726b04401627ca9fbac32f5"
    "c8530fb1903cc4db02258717921a4881" };

static const char manifest[] = "/manifests/registry.ollama.ai/library/m/t";
static char base[64];

static const char *at(char out[PATH_MAX], const char *name)
{
    snprintf(out, PATH_MAX, "%s%s", base, name);
    return out;
}

static void remove_store(void)
{
    char path[PATH_MAX];

    unlink(at(path, manifest));
    for (size_t i = 0; i < BLOBS; i++)
        unlink(at(path, blobs[i]));
    for (size_t i = ARRAY_LEN(parts); i > 0; i--)
        rmdir(at(path, parts[i - 1]));
}

static void put(const char *name, const void *bytes, size_t len)
{
    char path[PATH_MAX];
    FILE *f = fopen(at(path, name), "wb");

    must(f != NULL);
    must(fwrite(bytes, 1, len, f) == len);
    must(fclose(f) == 0);
}

/* It lies where make clean finds it, for AFL++ lets nobody tidy up. */
static void make_store(void)
{
    char path[PATH_MAX];

    snprintf(base, sizeof(base), "build/fuzz-ollama.XXXXXX");
    must(mkdtemp(base) != NULL);
    for (size_t i = 1; i < ARRAY_LEN(parts); i++)
        must(mkdir(at(path, parts[i]), 0700) == 0);
    for (size_t i = 0; i < BLOBS; i++)
        put(blobs[i], "x", i);
    atexit(remove_store);
}

static void check(const struct foreign *f)
{
    uint64_t leading = 0, broken = 0;
    struct err e = ERR_INIT;

    for (uint64_t i = 0; i < f->n_names; i++) {
        const struct foreign_name *name = &f->names[i];

        must(path_check(name->name, &e) == 0);
        must(str_starts(name->name, "ollama/m/t/"));
        must(name->file < f->n_files && name->set < f->n_sets);
        must(i == 0 || f->names[i - 1].set <= name->set);
    }
    for (uint64_t i = 0; i < f->n_files; i++) {
        leading += f->files[i].names;
        must(f->files[i].repo == NULL && f->files[i].path.len > 0);
    }
    must(leading == f->n_names);
    for (uint64_t i = 0; i < f->n_sets; i++)
        broken += f->sets[i].broken;
    must(broken == f->n_faults);
    for (uint64_t i = 0; i < f->n_faults; i++)
        must(f->faults[i].kind < FAULT_KINDS && f->faults[i].why.len > 0 &&
             f->faults[i].path.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 26);
    struct foreign f AUTO(foreign_close) = FOREIGN_INIT;
    struct err e = ERR_INIT;

    if (base[0] == '\0')
        make_store();
    put(manifest, data, size);
    if (foreign_read(&f, base, FOREIGN_OLLAMA, NULL, &arena, &e) != 0)
        kit_failed(&e);
    else
        check(&f);
    return 0;
}
