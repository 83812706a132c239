#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/path.h"
#include "formats/manifest.h"
#include "verify/commands.h"
#include "verify/keyfile.h"

enum { NAME_TEXT = 1024 };

struct options {
    const char *key;
    const char *comment;
};

static const struct opt opts[] = {
    { .name = "key",
        .type = OPT_STR,
        .at = offsetof(struct options, key),
        .arg = "SECRET",
        .help = "the secret key (default: where minisign keeps it)" },
    { .name = "comment",
        .type = OPT_STR,
        .at = offsetof(struct options, comment),
        .arg = "TEXT",
        .help = "the trusted comment, which is signed too (default: time and "
                "file name)" },
    OPT_END,
};

/* What is signed when the user names a folder: its manifest. */
static int subject(char *out, const char *text, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)512 << 20);
    struct manifest m;
    struct stat st;

    if (stat(text, &st) != 0)
        return err_sys(e, "%s", text);
    if (!S_ISDIR(st.st_mode))
        return path_fmt(out, e, "%s", text);
    if (path_join(out, text, MANIFEST_NAME, e) != 0)
        return -1;
    if (manifest_read(&m, out, &arena, e) == 0)
        return 0;
    if (e->kind == ERR_MISSING)
        err_hint(e, "of other folders, sign the files");
    return -1;
}

static int sign_one(const struct sign_secret *key, const struct options *o,
    const char *path, const char *sig_path, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(SIGN_FILE_MAX);
    char name[NAME_TEXT], comment[NAME_TEXT + 64];

    err_escape(name, sizeof(name), path_base(path));
    snprintf(comment, sizeof(comment), "timestamp:%lld\tfile:%s\thashed",
        (long long)time(NULL), name);
    if (sign_file(&text, key, path, o->comment != NULL ? o->comment : comment,
            e) != 0)
        return -1;
    return file_put(sig_path, text.p, text.len, 0644, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    struct sign_secret key AUTO(sign_secret_free) = SIGN_SECRET_INIT;
    const struct options *o = values;
    char key_path[PATH_MAX];

    (void)ctx;
    if (o->key != NULL ? path_fmt(key_path, e, "%s", o->key) != 0
                       : keyfile_default(key_path, e) != 0)
        return -1;
    /* All of them first: a mistyped one costs no password. */
    for (int i = 0; i < argc; i++) {
        char path[PATH_MAX];

        if (subject(path, argv[i], e) != 0)
            return -1;
    }
    if (keyfile_read(&key, key_path, e) != 0)
        return -1;
    for (int i = 0; i < argc; i++) {
        struct buf out AUTO(buf_free) = BUF_INIT(2 * PATH_MAX);
        char path[PATH_MAX], sig_path[PATH_MAX];

        if (subject(path, argv[i], e) != 0 ||
            path_fmt(sig_path, e, "%s" SIGN_SUFFIX, path) != 0 ||
            sign_one(&key, o, path, sig_path, e) != 0)
            return -1;
        buf_printf(&out, "%s\n", sig_path);
        if (cmd_print(&out, e) != 0)
            return -1;
    }
    return 0;
}

static const struct cmd_example examples[] = {
    { "mlverify sign model.pt", "write model.pt.minisig" },
    { "mlverify sign --key ci.key converted/",
        "sign the manifest of a folder" },
    { NULL, NULL },
};

const struct cmd cmd_sign = {
    .name = "sign",
    .args = "FILE|FOLDER...",
    .brief = "sign a file, or the manifest of a converted folder",
    .text =
        "Writes FILE.minisig beside each file, a signature that minisign and "
        "mlverify check --key verify, and prints its path. Of a folder that "
        "mlconvert made, ml-manifest.json is signed: it holds the digest of "
        "every file and tensor. Check such a folder before you sign it.\n\n"
        "The password of the key is asked for once, on the terminal, or read "
        "from standard input when that is no terminal.",
    .opts = opts,
    .opts_size = sizeof(struct options),
    .min_args = 1,
    .max_args = -1,
    .run = run,
    .examples = examples,
};
