#include "verify-run/backend.h"

const struct backend *backend_choose(enum backend_choice want, struct err *e)
{
    if (want != BACKEND_CUDA)
        return &backend_cpu;
    err_set(e, ERR_IO, "backend cuda: this build has no CUDA backend");
    err_hint(e, "use --backend cpu");
    return NULL;
}
