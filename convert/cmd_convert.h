/* cmd_convert.h - the one command of mlconvert. */
#ifndef CONVERT_CMD_CONVERT_H
#define CONVERT_CMD_CONVERT_H

#include "base/cmd.h"

extern const struct cmd cmd_convert;

#endif
