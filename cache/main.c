/* mlcache: look after what is held. */
#include "cache/commands.h"

static const struct cmd *const cmds[] = {
    &cmd_ls,
    &cmd_path,
    &cmd_du,
    &cmd_verify,
    &cmd_rm,
    &cmd_gc,
    &cmd_pin,
    &cmd_unpin,
    &cmd_adopt,
    &cmd_export,
    &cmd_import,
    NULL,
};

static const struct program program = {
    .name = "mlcache",
    .brief = "look after the models held on this machine",
    .text = "Looks into the hub cache that every Python tool shares, or into a "
            "volume.",
    .cmds = cmds,
    .environment =
        "HF_HUB_CACHE\tthe hub cache\n"
        "HF_HOME\tits hub/ is the hub cache where HF_HUB_CACHE is not set\n"
        "MLFETCH_VOLUMES\twhere named volumes live\n"
        "NO_COLOR\tno colour in bars\n",
};

int main(int argc, char **argv)
{
    return cmd_main(&program, argc, argv);
}
