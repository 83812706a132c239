#include "fetch/commands.h"

#include "base/log.h"
#include "fetch/account.h"

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    bool none = false;
    int rc = account_logout(argc > 0 ? argv[0] : NULL, &none, e);

    (void)ctx;
    (void)values;
    if (none)
        log_info("there was no token to forget");
    return rc;
}

static const struct opt opts[] = { OPT_END };

static const struct cmd_example examples[] = {
    { "mlfetch logout", "forget all tokens" },
    { "mlfetch logout my-laptop", "forget the token of that name" },
    { NULL, NULL },
};

const struct cmd cmd_logout = {
    .name = "logout",
    .args = "[NAME]",
    .brief = "forget tokens that login kept",
    .text =
        "Removes the token file and stored_tokens; with NAME only the token of "
        "that name, and the token file if it holds the same one. The tokens "
        "themselves stay valid: revoke them on the Hub. Status 4 when HF_TOKEN "
        "still holds one.",
    .opts = opts,
    .min_args = 0,
    .max_args = 1,
    .run = run,
    .examples = examples,
};
