#include "verify/commands.h"

static const struct cmd *const commands[] = { &cmd_check, &cmd_scan, &cmd_diff,
    NULL };

static const struct program program = {
    .name = "mlverify",
    .brief = "right bytes, safe to load, the same model, signed by whom",
    .text = "Everything is read, nothing is executed, and no target is ever "
            "changed. The exit "
            "status is the answer: 0 is yes.",
    .cmds = commands,
    .environment = "HF_HUB_CACHE\twhere repositories are looked up\n"
                   "HF_HOME\tits hub folder, when HF_HUB_CACHE is not set\n"
                   "MLFETCH_VOLUMES\twhere named volumes are",
};

int main(int argc, char **argv)
{
    return cmd_main(&program, argc, argv);
}
