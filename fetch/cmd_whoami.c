#include "fetch/commands.h"

#include "base/human.h"
#include "base/json.h"
#include "fetch/hub.h"
#include "fetch/planview.h"
#include "fetch/pull.h"
#include "net/retry.h"

enum { OUT_BYTES = 64 << 10, TEXT_BYTES = 513 };

struct whoami_opts {
    bool json;
};

static const struct opt opts[] = {
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct whoami_opts, json),
        .help = "print one JSON document: name, type, token, role, source" },
    OPT_END,
};

static void put_json(
    struct buf *out, const struct hub *hub, const struct hub_user *who)
{
    buf_putc(out, '{');
    planview_field(out, "name", who->name);
    buf_puts(out, ", ");
    planview_field(out, "type", who->type);
    buf_puts(out, ", ");
    planview_field(out, "token", who->token_name);
    buf_puts(out, ", ");
    planview_field(out, "role", who->role);
    buf_puts(out, ", ");
    planview_field(out, "source", hub->token.source);
    buf_puts(out, "}\n");
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct whoami_opts *o = values;
    struct hub hub AUTO(hub_free) = HUB_INIT;
    struct buf out AUTO(buf_free) = BUF_INIT(OUT_BYTES);
    char safe[TEXT_BYTES];
    struct hub_user who;

    (void)ctx;
    (void)argc;
    (void)argv;
    if (pull_offline())
        return pull_offline_error(e);
    if (hub_init(&hub, 1, RETRY_TIME_S, e) != 0 ||
        hub_whoami(&hub, &who, e) != 0)
        return -1;
    if (o->json) {
        put_json(&out, &hub, &who);
    } else {
        err_escape(safe, sizeof(safe), who.name);
        buf_printf(&out, "%s\n", safe);
    }
    return cmd_print(&out, e);
}

static const struct cmd_example examples[] = {
    { "mlfetch whoami", "prints the user's name" },
    { NULL, NULL },
};

const struct cmd cmd_whoami = {
    .name = "whoami",
    .args = "",
    .brief = "show whose token is used",
    .text = "Asks the Hub whose token it is that would be sent, and prints the "
            "name. Status 4 when there is none, or when it is not accepted.",
    .opts = opts,
    .opts_size = sizeof(struct whoami_opts),
    .min_args = 0,
    .max_args = 0,
    .run = run,
    .examples = examples,
};
