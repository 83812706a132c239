#include "net/proxy.h"

#include <string.h>
#include <strings.h>

#include "base/env.h"
#include "base/sys.h"

bool proxy_named(const char *kind)
{
    static const char *const names[] = { "http_proxy", "https_proxy",
        "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *proxy = env_get(names[i]);

        if (proxy != NULL && strncasecmp(proxy, kind, strlen(kind)) == 0)
            return true;
    }
    return false;
}

const char *proxy_missed(const char *url)
{
    const char *proxy = env_get("HTTP_PROXY");

    return proxy != NULL && env_get("http_proxy") == NULL &&
                   env_get("REQUEST_METHOD") == NULL &&
                   strncasecmp(url, "http://", 7) == 0
               ? proxy
               : NULL;
}
