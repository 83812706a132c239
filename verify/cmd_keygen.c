#include <stdio.h>

#include "verify/commands.h"
#include "verify/keyfile.h"
#include "verify/shown.h"

struct options {
    const char *public_path;
    const char *secret_path;
    bool no_password;
    bool force;
};

static const struct options defaults = { .public_path = "minisign.pub" };

static const struct opt opts[] = {
    { .letter = 'p',
        .name = "public",
        .type = OPT_STR,
        .at = offsetof(struct options, public_path),
        .arg = "FILE",
        .help = "where to write the public key (default: minisign.pub)" },
    { .letter = 's',
        .name = "secret",
        .type = OPT_STR,
        .at = offsetof(struct options, secret_path),
        .arg = "FILE",
        .help = "where to write the secret key (default: where minisign "
                "looks for it)" },
    { .name = "no-password",
        .type = OPT_FLAG,
        .at = offsetof(struct options, no_password),
        .help = "do not encrypt the secret key: whoever reads it can sign" },
    { .name = "force",
        .type = OPT_FLAG,
        .at = offsetof(struct options, force),
        .help = "replace keys that are there" },
    OPT_END,
};

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    struct buf out AUTO(buf_free) = BUF_INIT(4 * PATH_MAX);
    const struct options *o = values;
    const char *secret = o->secret_path;
    struct sign_public key;
    char path[PATH_MAX], id[2 * SIGN_ID + 1];

    (void)ctx;
    (void)argc;
    (void)argv;
    if (secret == NULL && keyfile_default(path, e) != 0)
        return -1;
    if (secret == NULL)
        secret = path;
    if (keyfile_make(o->public_path, secret, !o->no_password, o->force, e) !=
            0 ||
        sign_public_read(&key, o->public_path, e) != 0)
        return -1;
    sign_id_text(id, key.id);
    buf_printf(&out, "key %s\npublic  ", id);
    shown_text(&out, str_of(o->public_path));
    buf_puts(&out, "\nsecret  ");
    shown_text(&out, str_of(secret));
    buf_putc(&out, '\n');
    return cmd_print(&out, e);
}

static const struct cmd_example examples[] = {
    { "mlverify keygen -p me.pub", "a pair of keys; asks for a password" },
    { "mlverify keygen --no-password -s ci.key", "for a machine that signs" },
    { NULL, NULL },
};

const struct cmd cmd_keygen = {
    .name = "keygen",
    .args = "",
    .brief = "make a pair of keys for signing",
    .text =
        "The files are those of minisign, which can use them, and whose keys "
        "are used here. The password is asked for on the terminal, or read "
        "from standard input, a line for each question, when that is no "
        "terminal. Deriving the key from it takes about two seconds and 1 GiB "
        "of memory, on purpose.\n\n"
        "The secret key lies in ~/.minisign/minisign.key when --secret does "
        "not say where.",
    .opts = opts,
    .defaults = &defaults,
    .opts_size = sizeof(struct options),
    .max_args = 0,
    .run = run,
    .examples = examples,
};
