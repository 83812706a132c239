/* What a display writes, read back from a file in place of the terminal. */
#include "base/progress.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "tests/unit/tap.h"

static char path[] = "/tmp/t_progress.XXXXXX";
static struct buf text = BUF_INIT(1 << 20);

/* Run some work under a display; what it wrote to stderr is in text. */
static void show(enum progress_mode mode)
{
    struct err e = ERR_INIT;
    struct progress *p;
    struct progress_item *a, *b;
    int keep = dup(STDERR_FILENO);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    fflush(stderr);
    dup2(fd, STDERR_FILENO);
    p = progress_open(mode, "fetching", 3000, &e);
    ok(progress_open(mode, "again", 0, &e) == NULL && e.kind == ERR_BUG,
        "one display at a time");
    err_clear(&e);
    a = progress_item(p, "model.safetensors", 1000);
    b = progress_item(p, "evil\x1b[2J", 2000);
    progress_held(a, 500);
    progress_add(a, 500);
    progress_add(b, 700);
    progress_undo(b, 100);
    usleep(700000);
    log_info("a line between");
    progress_done(a);
    progress_close(p);
    fflush(stderr);
    dup2(keep, STDERR_FILENO);
    close(keep);
    close(fd);
    buf_clear(&text);
    is_int(file_slurp(path, &text, &e), 0, "what was written");
}

static bool shown(const char *what)
{
    return strstr(text.p, what) != NULL;
}

int main(void)
{
    int fd = mkstemp(path);

    close(fd);
    show(PROGRESS_JSON);
    ok(shown("{\"event\":\"start\",\"item\":\"model.safetensors\",\"done\":0,"
             "\"total\":1000}\n"),
        "json: an item starts");
    ok(shown("{\"event\":\"progress\",\"item\":\"evil\\\\x1b[2J\",\"done\":600,"
             "\"total\":2000}\n"),
        "json: it comes on; undone bytes do not count");
    ok(shown("{\"event\":\"done\",\"item\":\"model.safetensors\",\"done\":1000,"
             "\"total\":1000}\n"),
        "json: it ends");

    show(PROGRESS_TTY);
    ok(shown("model.safetensors") && shown("100%"), "tty: a bar per item");
    ok(shown("1.60 kB/3.00 kB"), "tty: and one for all");
    ok(shown("ml: a line between\n"), "tty: log lines are whole");
    ok(!shown("\x1b[2J"), "tty: a hostile name cannot clear the screen");
    ok(text.len > 3 && strcmp(text.p + text.len - 3, "\x1b[J") == 0,
        "tty: nothing is left at the end");

    show(PROGRESS_AUTO);
    ok(!shown("\x1b["), "auto: no bars into a file");
    show(PROGRESS_NONE);
    is_str(text.p, "ml: a line between\n", "none: nothing but log lines");
    progress_add(NULL, 1);
    progress_done(NULL);
    ok(true, "an item of no display is accepted");
    unlink(path);
    buf_free(&text);
    return done();
}
