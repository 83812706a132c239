/* mlconvert: turn model weights into the uniform form. */
#include "base/cmd.h"
#include "convert/cmd_convert.h"

static const struct cmd *const cmds[] = { &cmd_convert, NULL };

static const struct program program = {
    .name = "mlconvert",
    .brief = "turn model weights into one file that can be mapped",
    .cmds = cmds,
    .environment = "HF_HUB_CACHE\tthe hub cache\n"
                   "HF_HOME\tits hub/ is the hub cache where HF_HUB_CACHE is "
                   "not set\n"
                   "MLFETCH_VOLUMES\twhere named volumes live\n"
                   "NO_COLOR\tno colour in bars\n",
};

int main(int argc, char **argv)
{
    return cmd_main(&program, argc, argv);
}
