/* Compiled twice: with ML_ALONE for the programs of make static. */
#include "base/alone.h"

#ifdef ML_ALONE
#include <nss.h>

bool alone_is(void)
{
    return true;
}

void alone_begin(void)
{
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("passwd", "files");
    __nss_configure_lookup("services", "files");
}
#else
bool alone_is(void)
{
    return false;
}

void alone_begin(void)
{
}
#endif
