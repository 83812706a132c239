#include "base/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alone.h"
#include "base/cancel.h"
#include "base/doc.h"
#include "base/log.h"
#include "base/version.h"

enum { TEXT_MAX = 1 << 20 };

struct common {
    bool help;
    bool version;
    bool quiet;
    bool verbose;
    int progress;
    bool print_man;
    const char *print_completion;
};

static const char *const progress_names[] = { "auto", "tty", "plain", "json",
    "none", NULL };

/* Entries without help are hidden: for make install. */
const struct opt doc_common[] = {
    { .name = "progress",
        .type = OPT_CHOICE,
        .at = offsetof(struct common, progress),
        .arg = "HOW",
        .help = "how far it has come: auto, tty, plain, json or none",
        .choices = progress_names },
    { 'q', "quiet", OPT_FLAG, offsetof(struct common, quiet), NULL,
        "warnings and errors only", 0, 0, NULL },
    { 'v', "verbose", OPT_FLAG, offsetof(struct common, verbose), NULL,
        "say what is being done and why", 0, 0, NULL },
    { 0, "help", OPT_FLAG, offsetof(struct common, help), NULL,
        "show this text", 0, 0, NULL },
    { 0, "version", OPT_FLAG, offsetof(struct common, version), NULL,
        "show the version", 0, 0, NULL },
    { .name = "print-man",
        .type = OPT_FLAG,
        .at = offsetof(struct common, print_man) },
    { .name = "print-completion",
        .type = OPT_STR,
        .at = offsetof(struct common, print_completion) },
    OPT_END,
};

static const struct opt no_opts[] = { OPT_END };

int cmd_print(const struct buf *text, struct err *e)
{
    if (buf_check(text, e) != 0)
        return -1;
    if (fwrite(text->p, 1, text->len, stdout) != text->len)
        return err_sys(e, "standard output: writing");
    return 0;
}

int cmd_flush(struct err *e)
{
    return fflush(stdout) != 0 ? err_sys(e, "standard output: writing") : 0;
}

static int print_docs(const struct program *p, const struct cmd *c,
    const struct common *common, bool *printed, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);

    *printed = true;
    if (common->version)
        buf_printf(&text, "%s %s\n", p->name, ML_VERSION);
    else if (common->print_man)
        doc_man(&text, p);
    else if (common->print_completion != NULL) {
        if (doc_completion(&text, p, common->print_completion, e) != 0)
            return -1;
    } else if (common->help)
        doc_help(&text, p, c);
    else
        *printed = false;
    return cmd_print(&text, e);
}

static const struct cmd *find_command(
    const struct program *p, const char *name, struct err *e)
{
    char names[256] = "";
    size_t n = 0;

    for (size_t i = 0; p->cmds[i] != NULL; i++) {
        if (strcmp(p->cmds[i]->name, name) == 0)
            return p->cmds[i];
        if (n < sizeof(names))
            n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s",
                i > 0 ? ", " : "", p->cmds[i]->name);
    }
    err_set(e, ERR_USAGE, "unknown command '%s'", name);
    err_hint(e, "commands: %s", names);
    return NULL;
}

static int check_args(const struct program *p, const struct cmd *c, int n,
    char **args, struct err *e)
{
    if (n < c->min_args)
        err_set(e, ERR_USAGE, "%s missing: %s",
            c->min_args - n > 1 ? "arguments" : "argument", c->args);
    else if (c->max_args >= 0 && n > c->max_args)
        err_set(
            e, ERR_USAGE, "'%s' is one argument too many", args[c->max_args]);
    if (e->kind == ERR_NONE)
        return 0;
    return err_hint(e, "%s%s%s --help", p->name, c->name ? " " : "",
        c->name ? c->name : "");
}

/* The lists an options struct collected. */
static void free_lists(const struct opt *opts, void *values)
{
    for (const struct opt *o = opts; o->name != NULL; o++)
        if (o->type == OPT_LIST)
            opt_list_free((struct opt_list *)(void *)((char *)values + o->at));
}

static int run_parsed(const struct program *p, const struct cmd *c,
    const struct common *common, void *values, int argc, char **argv,
    struct err *e)
{
    struct cmd_ctx ctx = { .program = p->name,
        .quiet = common->quiet,
        .verbose = common->verbose,
        .progress = (enum progress_mode)common->progress };
    bool printed;

    if (print_docs(p, c, common, &printed, e) != 0)
        return -1;
    if (printed)
        return 0;
    if (check_args(p, c, argc, argv, e) != 0)
        return -1;
    if (common->quiet)
        ctx.progress = PROGRESS_NONE;
    log_set_level(common->verbose ? LOG_DEBUG
                  : common->quiet ? LOG_WARN
                                  : LOG_INFO);
    cancel_arm();
    return c->run(&ctx, values, argc, argv, e);
}

static int run_command(const struct program *p, const struct cmd *c, int argc,
    char **argv, struct err *e)
{
    struct common common = { .progress = PROGRESS_AUTO };
    const struct opt *opts = c->opts != NULL ? c->opts : no_opts;
    void *values = calloc(1, c->opts_size + 1);
    const struct opt *tables[] = { opts, doc_common };
    void *const into[] = { values, &common };
    int n, rc;

    if (values == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (c->defaults != NULL)
        memcpy(values, c->defaults, c->opts_size);
    n = opt_parse(tables, into, ARRAY_LEN(tables), argc, argv, e);
    if (n < 0)
        rc = err_hint(e, "%s%s%s --help", p->name, c->name ? " " : "",
            c->name ? c->name : "");
    else
        rc = run_parsed(p, c, &common, values, n, argv, e);
    free_lists(opts, values);
    free(values);
    return rc;
}

/* --help and --version of a program with commands, in front of any. */
static int run_program(
    const struct program *p, int argc, char **argv, struct err *e)
{
    struct common common = { .progress = PROGRESS_AUTO };
    const struct opt *tables[] = { doc_common };
    void *const into[] = { &common };
    bool printed;
    int n = opt_parse(tables, into, 1, argc, argv, e);

    if (n < 0 || print_docs(p, NULL, &common, &printed, e) != 0)
        return -1;
    if (printed)
        return 0;
    if (n > 0)
        err_set(e, ERR_USAGE, "the command comes first, then its options: %s",
            argv[0]);
    else
        err_set(e, ERR_USAGE, "no command given");
    return err_hint(e, "%s --help", p->name);
}

static int dispatch(
    const struct program *p, int argc, char **argv, struct err *e)
{
    const struct cmd *c;

    if (p->cmds[0]->name == NULL)
        return run_command(p, p->cmds[0], argc - 1, argv + 1, e);
    if (argc < 2 || argv[1][0] == '-')
        return run_program(p, argc - 1, argv + 1, e);
    c = find_command(p, argv[1], e);
    if (c == NULL)
        return -1;
    return run_command(p, c, argc - 2, argv + 2, e);
}

/*
 * A file opened while a standard stream is closed would take its number,
 * and the result or a message would be written into it. The number is taken
 * here instead, by something that the stream's use fails on.
 */
static void hold_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

int cmd_main(const struct program *p, int argc, char **argv)
{
    struct err e = ERR_INIT;

    alone_begin();
    hold_streams();
    log_set_name(p->name);
    /* A reader that goes away is an error to report, not a silent death. */
    signal(SIGPIPE, SIG_IGN);
    /* So is the shell's limit on the size of a file. */
    signal(SIGXFSZ, SIG_IGN);
    dispatch(p, argc, argv, &e);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno == EPIPE && e.kind == ERR_NONE)
            return 1;
        /* One that failed earlier has left no reason. */
        if (errno == 0)
            err_set(&e, ERR_IO, "standard output: writing failed");
        else
            err_sys(&e, "standard output: writing");
    }
    if (e.kind != ERR_NONE && e.msg[0] != '\0')
        log_err(&e);
    return err_exit(&e);
}
