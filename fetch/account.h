/*
 * account.h - the token files of the official client: HF_TOKEN_PATH (default
 * HF_HOME/token) holds the token in use, stored_tokens beside it all that
 * were given, by name. Both are of mode 0600.
 * Source: hub protocol, sections 8.2 and 8.3.
 */
#ifndef FETCH_ACCOUNT_H
#define FETCH_ACCOUNT_H

#include "fetch/hub.h"

/*
 * account_login - ask the Hub whose token it is, then keep it
 * hub      its token is the new one afterwards
 * Returns  0, or -1 with *e: AUTH (not accepted: nothing was changed),
 *          REFUSED (no token, or one of an organisation), NET, IO
 */
int account_login(
    struct hub *hub, struct str text, struct hub_user *who, struct err *e);

/*
 * account_logout - forget the token of that name; name NULL: all of them
 * out_none  there was nothing to forget
 * Returns   0, or -1 with *e: MISSING (no such name), AUTH (done, but the
 *           environment still holds a token), IO
 */
int account_logout(const char *name, bool *out_none, struct err *e);

#endif
