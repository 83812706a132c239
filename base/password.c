#include "base/password.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"

/* A byte at a time: what follows the line belongs to the next question. */
static int read_line(
    int fd, const char *what, char *out, size_t len, struct err *e)
{
    size_t n = 0;

    for (;;) {
        ssize_t got;
        char c;

        if (cancel_check(e) != 0)
            return -1;
        got = read(fd, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(e, "reading the %s", what);
        if (got == 0 || c == '\n')
            break;
        if (n + 1 >= len)
            return err_set(
                e, ERR_USAGE, "a %s of more than %zu bytes", what, len - 1);
        out[n++] = c;
    }
    out[n] = '\0';
    return n > 0 ? 0 : err_set(e, ERR_USAGE, "no %s was given", what);
}

static void say(int fd, const char *text)
{
    /* A prompt that cannot be written is no reason to stop. */
    if (write(fd, text, strlen(text)) < 0)
        return;
}

int password_ask(
    char *out, size_t len, const char *what, const char *prompt, struct err *e)
{
    int fd AUTO(fd_close) = -1;
    struct termios before, quiet;
    int rc;

    if (!isatty(STDIN_FILENO))
        return read_line(STDIN_FILENO, what, out, len, e);
    fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || tcgetattr(fd, &before) != 0)
        return err_sys(e, "the terminal");
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(fd, TCSAFLUSH, &quiet) != 0)
        return err_sys(e, "the terminal");
    say(fd, prompt);
    rc = read_line(fd, what, out, len, e);
    tcsetattr(fd, TCSAFLUSH, &before);
    say(fd, "\n");
    return rc;
}
