/* The completions of fish, one line for each thing that may be typed. */
#include "base/shell_internal.h"

static const char fish_helpers[] =
    "function __@_shelf\n"
    "    if set -q MLFETCH_VOLUMES\n"
    "        echo $MLFETCH_VOLUMES\n"
    "    else if set -q XDG_DATA_HOME\n"
    "        echo $XDG_DATA_HOME/mlfetch/volumes\n"
    "    else\n"
    "        echo $HOME/.local/share/mlfetch/volumes\n"
    "    end\n"
    "end\n\n"
    "function __@_volumes\n"
    "    set -l shelf (__@_shelf)\n"
    "    for v in $shelf/**/ml-volume.json\n"
    "        string replace -- $shelf/ '' (dirname $v)\n"
    "    end\n"
    "    __fish_complete_directories (commandline -ct)\n"
    "end\n\n"
    "function __@_names\n"
    "    set -l v (__@_words)[2]\n"
    "    if not string match -q '*/*' -- $v; and not test -d $v\n"
    "        set v (__@_shelf)/$v\n"
    "    end\n"
    "    for f in $v/files/**\n"
    "        test -f $f; and string replace -- $v/files/ '' $f\n"
    "    end\n"
    "end\n\n"
    "function __@_repos\n"
    "    set -l hub $HOME/.cache/huggingface/hub\n"
    "    set -q XDG_CACHE_HOME; and set hub $XDG_CACHE_HOME/huggingface/hub\n"
    "    set -q HF_HOME; and set hub $HF_HOME/hub\n"
    "    set -q HF_HUB_CACHE; and set hub $HF_HUB_CACHE\n"
    "    for r in $hub/models--*/\n"
    "        string replace -- -- / (string replace -r '.*/models--' '' -- "
    "(string trim -r -c / -- $r))\n"
    "    end\n"
    "end\n\n"
    "function __@_models\n"
    "    __@_repos\n"
    "    __fish_complete_path (commandline -ct)\n"
    "end\n\n"
    "# Is it this command's argument number $argv[2], or one behind it?\n"
    "function __@_at\n"
    "    set -l words (__@_words)\n"
    "    test \"$words[1]\" = \"$argv[1]\"; or return 1\n"
    "    set -l n (math (count $words) - 1)\n"
    "    test $n -eq $argv[2]; or test $n -gt $argv[2] -a \"$argv[3]\" = many\n"
    "end\n\n"
    "function __@_is\n"
    "    test (__@_words)[1] = $argv[1]\n"
    "end\n\n";

/* The command, or "" of a program without, then what is no option. */
static void fish_words(struct buf *out, const struct program *p)
{
    bool commands = p->cmds[0]->name != NULL;

    shell_put(out, p,
        "function __@_words\n"
        "    set -l words (commandline -opc)\n"
        "    set -l skip 0\n");
    buf_puts(out, commands ? "    set -l cmd $words[2]\n"
                             "    set -e words[1..2]\n"
                           : "    set -l cmd ''\n    set -e words[1]\n");
    buf_puts(out, "    set -l takes\n    switch \"$cmd\"\n");
    for (size_t i = 0; p->cmds[i] != NULL; i++) {
        const struct opt *opts[SHELL_OPTS_MAX];
        size_t n = shell_opts(p->cmds[i], opts);

        buf_printf(out, "        case '%s'\n            set takes",
            commands ? p->cmds[i]->name : "");
        for (size_t j = 0; j < n; j++) {
            if (!shell_takes(opts[j]))
                continue;
            buf_printf(out, " --%s", opts[j]->name);
            if (opts[j]->letter != 0)
                buf_printf(out, " -%c", opts[j]->letter);
        }
        buf_putc(out, '\n');
    }
    buf_puts(out, "    end\n    echo \"$cmd\"\n"
                  "    for w in $words\n"
                  "        if test $skip = 1\n"
                  "            set skip 0\n"
                  "        else if contains -- $w $takes\n"
                  "            set skip 1\n"
                  "        else if not string match -q -- '-*' $w\n"
                  "            echo $w\n"
                  "        end\n"
                  "    end\nend\n\n");
}

static void fish_text(struct buf *out, const char *text)
{
    buf_puts(out, " -d '");
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            buf_putc(out, '\\');
        buf_putc(out, *text);
    }
    buf_puts(out, "'\n");
}

static void fish_values(
    struct buf *out, const struct program *p, enum shell_kind kind)
{
    if (kind == KIND_FILES) {
        buf_puts(out, " -F");
    } else if (kind == KIND_DIRS) {
        buf_puts(out, " -a '(__fish_complete_directories (commandline -ct))'");
    } else if (kind >= KIND_VOLUMES) {
        shell_put(out, p, " -a '(__@_");
        buf_printf(out, "%s)'", shell_kinds[kind]);
    }
}

static void fish_option(struct buf *out, const struct program *p,
    const struct cmd *c, const struct opt *o)
{
    buf_printf(out, "complete -c %s", p->name);
    if (c->name != NULL) {
        shell_put(out, p, " -n '__@_is ");
        buf_printf(out, "%s'", c->name);
    }
    buf_printf(out, " -l %s", o->name);
    if (o->letter != 0)
        buf_printf(out, " -s %c", o->letter);
    if (shell_takes(o)) {
        enum shell_kind kind = shell_kind(o);

        buf_puts(out, kind == KIND_FILES ? " -r" : " -x");
        if (o->type == OPT_CHOICE) {
            buf_puts(out, " -a '");
            shell_choices(out, o->choices, " ");
            buf_putc(out, '\'');
        } else {
            fish_values(out, p, kind);
        }
    }
    fish_text(out, o->help);
}

static void fish_args(
    struct buf *out, const struct program *p, const struct cmd *c)
{
    struct shell_arg args[SHELL_ARGS_MAX];
    size_t n = shell_args(c, args);

    for (size_t i = 0; i < n; i++) {
        if (args[i].kind == KIND_NONE)
            continue;
        buf_printf(out, "complete -c %s", p->name);
        shell_put(out, p, " -n '__@_at \"");
        buf_printf(out, "%s\" %zu%s'", c->name != NULL ? c->name : "", i,
            args[i].many ? " many" : "");
        if (args[i].kind == KIND_WORDS) {
            buf_puts(out, " -a '");
            shell_words(out, args[i].called, ' ');
            buf_putc(out, '\'');
        } else {
            fish_values(out, p, args[i].kind);
        }
        buf_putc(out, '\n');
    }
}

void shell_fish(struct buf *out, const struct program *p)
{
    buf_printf(out, "# fish completion for %s\n\n", p->name);
    fish_words(out, p);
    shell_put(out, p, fish_helpers);
    buf_printf(out, "complete -c %s -f\n", p->name);
    for (size_t i = 0; p->cmds[i] != NULL; i++) {
        const struct cmd *c = p->cmds[i];
        const struct opt *opts[SHELL_OPTS_MAX];
        size_t n = shell_opts(c, opts);

        if (c->name != NULL) {
            buf_printf(out, "complete -c %s", p->name);
            shell_put(out, p, " -n 'test -z (__@_words)[1]'");
            buf_printf(out, " -a %s", c->name);
            fish_text(out, c->brief);
        }
        for (size_t j = 0; j < n; j++)
            fish_option(out, p, c, opts[j]);
        fish_args(out, p, c);
    }
}
