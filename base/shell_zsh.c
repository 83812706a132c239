/* The completion function of zsh, over its _arguments. */
#include "base/shell_internal.h"

static const char zsh_helpers[] =
    "_@_shelf() {\n"
    "    print -r -- \"${MLFETCH_VOLUMES:-${XDG_DATA_HOME:-$HOME/.local/share}"
    "/mlfetch/volumes}\"\n"
    "}\n\n"
    "_@_volumes() {\n"
    "    local -a found\n"
    "    found=($(_@_shelf)/**/ml-volume.json(N:h))\n"
    "    found=(${found#$(_@_shelf)/})\n"
    "    _alternative 'volumes:volume:compadd -a found' "
    "'folders:folder:_files -/'\n"
    "}\n\n"
    "_@_names() {\n"
    "    local -a given\n"
    "    given=(${(M)words[2,CURRENT-1]:#[^-]*})\n"
    "    local v=$given[1]\n"
    "    [[ \"$v\" = */* || -d \"$v\" ]] || v=\"$(_@_shelf)/$v\"\n"
    "    [[ -d \"$v/files\" ]] && _files -W \"$v/files\"\n"
    "}\n\n"
    "_@_repos() {\n"
    "    local -a found\n"
    "    found=(\"${HF_HUB_CACHE:-${HF_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}"
    "/huggingface}/hub}\"/models--*(N/:t))\n"
    "    found=(${${found#models--}/--//})\n"
    "    compadd -a found\n"
    "}\n\n"
    "_@_models() {\n"
    "    _alternative 'repositories:repository:_@_repos' "
    "'files:file:_files'\n"
    "}\n\n";

/* Inside single quotes, and where brackets and colons divide. */
static void zsh_text(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_puts(out, "'\\'");
        else if (strchr("[]:\\", *text) != NULL)
            buf_putc(out, '\\');
        buf_putc(out, *text);
    }
}

static void zsh_action(
    struct buf *out, const struct program *p, enum shell_kind kind)
{
    if (kind == KIND_FILES)
        buf_puts(out, "_files");
    else if (kind == KIND_DIRS)
        buf_puts(out, "_files -/");
    else if (kind == KIND_NONE)
        buf_putc(out, ' ');
    else
        shell_put(out, p, "_@_");
    if (kind >= KIND_VOLUMES)
        buf_puts(out, shell_kinds[kind]);
}

static void zsh_option(
    struct buf *out, const struct program *p, const struct opt *o)
{
    const char *eq = shell_takes(o) ? "=" : "";

    buf_puts(out, " \\\n        ");
    if (o->type == OPT_LIST)
        buf_puts(out, "'*'");
    else if (o->letter != 0)
        buf_printf(out, "'(-%c --%s)'", o->letter, o->name);
    if (o->letter != 0)
        buf_printf(out, "{-%c%s,--%s%s}", o->letter, shell_takes(o) ? "+" : "",
            o->name, eq);
    else
        buf_printf(out, "--%s%s", o->name, eq);
    buf_puts(out, "'[");
    zsh_text(out, o->help);
    buf_putc(out, ']');
    if (shell_takes(o)) {
        buf_putc(out, ':');
        zsh_text(out, o->arg != NULL ? o->arg : "VALUE");
        buf_putc(out, ':');
        if (o->type == OPT_CHOICE) {
            buf_putc(out, '(');
            shell_choices(out, o->choices, " ");
            buf_putc(out, ')');
        } else {
            zsh_action(out, p, shell_kind(o));
        }
    }
    buf_putc(out, '\'');
}

static void zsh_args(
    struct buf *out, const struct program *p, const struct cmd *c)
{
    struct shell_arg args[SHELL_ARGS_MAX];
    size_t n = shell_args(c, args);

    for (size_t i = 0; i < n; i++) {
        buf_puts(out, " \\\n        '");
        if (args[i].many)
            buf_puts(out, "*:");
        else
            buf_printf(out, "%zu:%s", i + 1, args[i].optional ? ":" : "");
        shell_words(out, args[i].called, ' ');
        buf_putc(out, ':');
        if (args[i].kind == KIND_WORDS) {
            buf_putc(out, '(');
            shell_words(out, args[i].called, ' ');
            buf_putc(out, ')');
        } else {
            zsh_action(out, p, args[i].kind);
        }
        buf_putc(out, '\'');
        if (args[i].many)
            return; /* these take all that is behind */
    }
}

static void zsh_command(
    struct buf *out, const struct program *p, const struct cmd *c)
{
    const struct opt *opts[SHELL_OPTS_MAX];
    size_t n = shell_opts(c, opts);

    if (c->name != NULL)
        buf_printf(out, "    %s)\n", c->name);
    buf_puts(out, "    _arguments -s -S");
    for (size_t i = 0; i < n; i++)
        zsh_option(out, p, opts[i]);
    zsh_args(out, p, c);
    buf_puts(out, c->name != NULL ? "\n    ;;\n" : "\n");
}

void shell_zsh(struct buf *out, const struct program *p)
{
    bool commands = p->cmds[0]->name != NULL;

    buf_printf(out, "#compdef %s\n\n", p->name);
    shell_put(out, p, zsh_helpers);
    shell_put(out, p, "_@() {\n");
    if (commands) {
        buf_puts(out, "    local -a commands\n"
                      "    if (( CURRENT == 2 )); then\n"
                      "        commands=(");
        for (size_t i = 0; p->cmds[i] != NULL; i++) {
            buf_printf(out, "\n            '%s:", p->cmds[i]->name);
            zsh_text(out, p->cmds[i]->brief);
            buf_putc(out, '\'');
        }
        buf_puts(out, "\n        )\n"
                      "        _describe -t commands command commands\n"
                      "        _arguments '--help[show all commands]' "
                      "'--version[show the version]'\n"
                      "        return\n    fi\n"
                      "    shift words\n    (( CURRENT-- ))\n"
                      "    case $words[1] in\n");
    }
    for (size_t i = 0; p->cmds[i] != NULL; i++)
        zsh_command(out, p, p->cmds[i]);
    buf_puts(out, commands ? "    esac\n}\n\n" : "}\n\n");
    shell_put(out, p, "_@ \"$@\"\n");
}
