/* commands.h - the commands of mlcache, one per cmd_*.c, for main's table. */
#ifndef CACHE_COMMANDS_H
#define CACHE_COMMANDS_H

#include "base/cmd.h"

extern const struct cmd cmd_ls;
extern const struct cmd cmd_path;
extern const struct cmd cmd_du;
extern const struct cmd cmd_verify;
extern const struct cmd cmd_rm;
extern const struct cmd cmd_gc;
extern const struct cmd cmd_pin;
extern const struct cmd cmd_unpin;
extern const struct cmd cmd_adopt;
extern const struct cmd cmd_export;
extern const struct cmd cmd_import;

#endif
