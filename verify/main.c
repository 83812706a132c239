#include "verify/commands.h"

static const struct cmd *const commands[] = { &cmd_check, &cmd_scan, &cmd_diff,
    &cmd_sign, &cmd_keygen, NULL };

static const struct program program = {
    .name = "mlverify",
    .brief = "right bytes, safe to load, the same model, signed by whom",
    .text = "Everything is read, nothing is executed, and no target is ever "
            "changed; keygen and sign write files of their own. The exit "
            "status is the answer: 0 is yes.",
    .cmds = commands,
    .environment = "HF_HUB_CACHE\twhere repositories are looked up\n"
                   "HF_HOME\tits hub folder, when HF_HUB_CACHE is not set\n"
                   "MLFETCH_VOLUMES\twhere named volumes are\n"
                   "MINISIGN_CONFIG_DIR\twhere the secret key lies, instead "
                   "of ~/.minisign",
};

int main(int argc, char **argv)
{
    return cmd_main(&program, argc, argv);
}
