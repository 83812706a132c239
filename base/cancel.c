#include "base/cancel.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/scope.h"

/* Read by any thread. */
static volatile atomic_int asked;

static void on_signal(int sig)
{
    (void)sig;
    if (asked)
        _exit(130);
    asked = 1;
}

void cancel_arm(void)
{
    struct sigaction sa = { .sa_handler = on_signal }, now;

    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    /* Under nohup the terminal may go away. */
    if (sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &sa, NULL);
}

bool cancel_asked(void)
{
    struct scope *s = scope_now();

    if (s != NULL)
        return s->cancelled != NULL && s->cancelled(s);
    return asked != 0;
}

int cancel_check(struct err *e)
{
    if (!cancel_asked())
        return 0;
    return err_set(e, ERR_CANCELLED, "interrupted");
}
