/* commands.h - the commands of mlverify-run, for its main(). */
#ifndef VERIFY_RUN_COMMANDS_H
#define VERIFY_RUN_COMMANDS_H

#include "base/cmd.h"

extern const struct cmd cmd_run;

#endif
