/* mlfetch - from a hub, or from files of one's own, into a volume. */
#include "fetch/commands.h"

static const struct cmd *const cmds[] = { &cmd_pull, &cmd_info, &cmd_lock,
    &cmd_warm, &cmd_put, &cmd_get, &cmd_ls, &cmd_rm, &cmd_mv, &cmd_cp, &cmd_log,
    &cmd_diff, &cmd_rollback, &cmd_volume, &cmd_serve, &cmd_login, &cmd_logout,
    &cmd_whoami, NULL };

static const struct program program = {
    .name = "mlfetch",
    .brief = "fetch model weights, and keep files in volumes",
    .text = "Downloads are resumed, checked against their digest, and visible "
            "only when they are whole and on disk.",
    .cmds = cmds,
    .environment =
        "HF_TOKEN\tthe token to send to the Hub; wins over the token file\n"
        "HF_TOKEN_PATH\tthe token file (default HF_HOME/token)\n"
        "HF_HOME\twhere the Hub's tools keep things (default "
        "~/.cache/huggingface)\n"
        "HF_HUB_CACHE\tthe hub cache (default HF_HOME/hub)\n"
        "HF_ENDPOINT\tthe Hub (default https://huggingface.co)\n"
        "HF_HUB_OFFLINE\twhen true, the Hub is not asked; serve asks it all "
        "the same (without the variable, TRANSFORMERS_OFFLINE)\n"
        "HF_HUB_DOWNLOAD_TIMEOUT\tseconds without a byte after which a "
        "connection is replaced (default 20)\n"
        "MLFETCH_VOLUMES\twhere named volumes live (default "
        "${XDG_DATA_HOME:-~/.local/share}/mlfetch/volumes)\n"
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY\tproxies; also in "
        "lower case\n"
        "SSL_CERT_FILE, SSL_CERT_DIR\tthe certificates to trust (default: the "
        "distribution's)\n"
        "NO_COLOR\twhen set, no colours",
};

int main(int argc, char **argv)
{
    return cmd_main(&program, argc, argv);
}
