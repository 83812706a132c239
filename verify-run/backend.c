#include "verify-run/backend.h"

#include "base/log.h"

const struct backend *backend_choose(enum backend_choice want, struct err *e)
{
    struct err why = ERR_INIT;

    if (want == BACKEND_CPU)
        return &backend_cpu;
    if (backend_cuda_check(&why) == 0)
        return &backend_cuda;
    if (want == BACKEND_AUTO) {
        if (why.kind == ERR_MISSING) /* built or installed without it */
            log_debug("backend cpu: %s", why.msg);
        else
            log_info("backend cpu, not cuda: %s", why.msg);
        return &backend_cpu;
    }
    err_set(e, ERR_IO, "backend cuda: %s", why.msg);
    err_hint(e, "%s", why.hint[0] != '\0' ? why.hint : "use --backend cpu");
    return NULL;
}
