/* commands.h - the commands of mlfetch, one per cmd_*.c, for main's table. */
#ifndef FETCH_COMMANDS_H
#define FETCH_COMMANDS_H

#include "base/cmd.h"

extern const struct cmd cmd_pull;
extern const struct cmd cmd_info;
extern const struct cmd cmd_lock;
extern const struct cmd cmd_warm;
extern const struct cmd cmd_login;
extern const struct cmd cmd_logout;
extern const struct cmd cmd_whoami;
extern const struct cmd cmd_put;
extern const struct cmd cmd_get;
extern const struct cmd cmd_ls;
extern const struct cmd cmd_rm;
extern const struct cmd cmd_mv;
extern const struct cmd cmd_cp;
extern const struct cmd cmd_log;
extern const struct cmd cmd_diff;
extern const struct cmd cmd_rollback;
extern const struct cmd cmd_volume;
extern const struct cmd cmd_serve;

#endif
