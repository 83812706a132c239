#include "verify-run/commands.h"

static const struct cmd *const commands[] = { &cmd_run, NULL };

static const struct program program = {
    .name = "mlverify-run",
    .brief = "prove that a model still computes",
    .cmds = commands,
    .environment = "HF_HUB_CACHE\twhere repositories fetched before lie\n"
                   "HF_HOME\tits parent, when HF_HUB_CACHE is not set\n"
                   "MLFETCH_VOLUMES\twhere named volumes lie",
};

int main(int argc, char **argv)
{
    return cmd_main(&program, argc, argv);
}
