/* commands.h - the commands of mlverify, one per cmd_*.c, for main's table. */
#ifndef VERIFY_COMMANDS_H
#define VERIFY_COMMANDS_H

#include "base/cmd.h"

extern const struct cmd cmd_check;
extern const struct cmd cmd_diff;
extern const struct cmd cmd_keygen;
extern const struct cmd cmd_scan;
extern const struct cmd cmd_sign;

#endif
