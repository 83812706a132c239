#include "fetch/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/password.h"
#include "fetch/account.h"
#include "fetch/pull.h"
#include "net/retry.h"

enum { LINE_MAX_BYTES = 8192 };

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    struct hub hub AUTO(hub_free) = HUB_INIT;
    struct buf out AUTO(buf_free) = BUF_INIT(LINE_MAX_BYTES);
    char line[2 * TOKEN_MAX] = "", prompt[sizeof(hub.endpoint) + 64];
    char name[4 * sizeof(((struct hub_user *)0)->name) + 1];
    const char *variable;
    struct hub_user who;
    int rc;

    (void)ctx;
    (void)values;
    (void)argc;
    (void)argv;
    if (pull_offline())
        return pull_offline_error(e);
    if (hub_init(&hub, 1, RETRY_TIME_S, e) != 0)
        return -1;
    snprintf(prompt, sizeof(prompt),
        "Token (from %s/settings/tokens): ", hub.endpoint);
    rc = password_ask(line, sizeof(line), "token", prompt, e);
    if (rc == 0)
        rc = account_login(&hub, str_of(line), &who, e);
    explicit_bzero(line, sizeof(line));
    if (rc != 0)
        return -1;
    variable = token_variable();
    if (variable != NULL)
        log_warn("%s is set, and wins over the token just kept", variable);
    err_escape(name, sizeof(name), who.name);
    buf_printf(&out, "logged in as %s\n", name);
    return cmd_print(&out, e);
}

static const struct opt opts[] = { OPT_END };

static const struct cmd_example examples[] = {
    { "mlfetch login", "asks for the token, and does not show it" },
    { "mlfetch login < token.txt", "from a file or a pipe" },
    { NULL, NULL },
};

const struct cmd cmd_login = {
    .name = "login",
    .args = "",
    .brief = "keep a token of the Hub for all tools",
    .text =
        "Reads a token from the terminal without showing it, or else from "
        "standard input, asks the Hub whose it is, and keeps it where the "
        "official tools do: in the file HF_TOKEN_PATH (default HF_HOME/token) "
        "and by its name in stored_tokens beside it, both readable for you "
        "alone. A token that the Hub does not accept changes nothing.",
    .opts = opts,
    .min_args = 0,
    .max_args = 0,
    .run = run,
    .examples = examples,
};
