/* The completion function of bash, one for a program. */
#include "base/shell_internal.h"

static const char bash_helpers[] =
    "_@_shelf()\n{\n"
    "    echo \"${MLFETCH_VOLUMES:-${XDG_DATA_HOME:-$HOME/.local/share}"
    "/mlfetch/volumes}\"\n"
    "}\n\n"
    "_@_volumes()\n{\n"
    "    local v shelf\n"
    "    shelf=$(_@_shelf)\n"
    "    for v in \"$shelf/$1\"*/ml-volume.json; do\n"
    "        v=${v%/ml-volume.json}\n"
    "        [ -d \"$v\" ] && printf '%s\\n' \"${v#\"$shelf/\"}\"\n"
    "    done\n"
    "    compgen -d -- \"$1\"\n"
    "}\n\n"
    "_@_names()\n{\n"
    "    local v=$2\n"
    "    case $v in */*) ;; *) [ -d \"$v\" ] || v=$(_@_shelf)/$v ;; esac\n"
    "    (cd \"$v/files\" 2>/dev/null && compgen -f -- \"$1\")\n"
    "}\n\n"
    "_@_repos()\n{\n"
    "    local r hub=${HF_HUB_CACHE:-${HF_HOME:-${XDG_CACHE_HOME:-"
    "$HOME/.cache}/huggingface}/hub}\n"
    "    for r in \"$hub\"/models--*/; do\n"
    "        [ -d \"$r\" ] || continue\n"
    "        r=${r%/}\n"
    "        r=${r##*/models--}\n"
    "        r=${r/--//}\n"
    "        case $r in \"$1\"*) printf '%s\\n' \"$r\" ;; esac\n"
    "    done\n"
    "}\n\n";

/* Values as they come, one per line; only those of paths are quoted. */
static const char bash_end[] =
    "    esac\n"
    "    if [ -z \"$kind\" ]; then\n"
    "        case $cur in\n"
    "        -*)\n"
    "            mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "            return\n"
    "            ;;\n"
    "        esac\n"
    "        while [ \"$i\" -lt \"$COMP_CWORD\" ]; do\n"
    "            w=${COMP_WORDS[i]}\n"
    "            case $w in\n"
    "            -*)\n"
    "                if [ \"${COMP_WORDS[i + 1]}\" = = ]; then\n"
    "                    i=$((i + 2))\n"
    "                else\n"
    "                    case $takes in *\" $w \"*) i=$((i + 1)) ;; esac\n"
    "                fi\n"
    "                ;;\n"
    "            *)\n"
    "                [ \"$n\" -eq 0 ] && first=$w\n"
    "                n=$((n + 1))\n"
    "                ;;\n"
    "            esac\n"
    "            i=$((i + 1))\n"
    "        done\n"
    "        i=0\n"
    "        for w in $args; do\n"
    "            case $i,$w in\n"
    "            \"$n,\"* | *'*') kind=${w%'*'} ;;\n"
    "            esac\n"
    "            [ \"$i\" -eq \"$n\" ] && break\n"
    "            i=$((i + 1))\n"
    "        done\n"
    "    fi\n"
    "    case $kind in\n"
    "    words:*)\n"
    "        w=${kind#words:}\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"${w//:/ }\" -- \"$cur\")\n"
    "        return\n"
    "        ;;\n"
    "    files) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
    "    dirs) mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
    "    volumes) mapfile -t COMPREPLY < <(_@_volumes \"$cur\") ;;\n"
    "    names) mapfile -t COMPREPLY < <(_@_names \"$cur\" \"$first\") ;;\n"
    "    repos)\n"
    "        mapfile -t COMPREPLY < <(_@_repos \"$cur\")\n"
    "        return\n"
    "        ;;\n"
    "    models)\n"
    "        mapfile -t COMPREPLY < <(_@_repos \"$cur\"; compgen -f -- "
    "\"$cur\")\n"
    "        ;;\n"
    "    esac\n"
    "    compopt -o filenames 2>/dev/null\n"
    "}\n"
    "complete -F _@ ";

static void bash_values(
    struct buf *out, const struct opt *const *opts, size_t n)
{
    buf_puts(out, "        case $opt in\n");
    for (size_t i = 0; i < n; i++) {
        const struct opt *o = opts[i];

        if (!shell_takes(o))
            continue;
        if (o->letter != 0)
            buf_printf(out, "        -%c | --%s) kind=", o->letter, o->name);
        else
            buf_printf(out, "        --%s) kind=", o->name);
        if (o->type == OPT_CHOICE) {
            buf_puts(out, "words:");
            shell_choices(out, o->choices, ":");
        } else {
            buf_puts(out, shell_kinds[shell_kind(o)]);
        }
        buf_puts(out, " ;;\n");
    }
    buf_puts(out, "        esac\n");
}

static void bash_args(struct buf *out, const struct cmd *c)
{
    struct shell_arg args[SHELL_ARGS_MAX];
    size_t n = shell_args(c, args);

    buf_puts(out, "        args='");
    for (size_t i = 0; i < n; i++) {
        buf_puts(out, i > 0 ? " " : "");
        buf_puts(out, shell_kinds[args[i].kind]);
        if (args[i].kind == KIND_WORDS) {
            buf_putc(out, ':');
            shell_words(out, args[i].called, ':');
        }
        buf_puts(out, args[i].many ? "*" : "");
    }
    buf_puts(out, "'\n");
}

static void bash_command(struct buf *out, const struct cmd *c)
{
    const struct opt *opts[SHELL_OPTS_MAX];
    size_t n = shell_opts(c, opts);

    buf_printf(
        out, "    %s)\n        words='", c->name != NULL ? c->name : "*");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s--%s", i > 0 ? " " : "", opts[i]->name);
    buf_puts(out, "'\n        takes=' ");
    for (size_t i = 0; i < n; i++) {
        if (!shell_takes(opts[i]))
            continue;
        buf_printf(out, "--%s ", opts[i]->name);
        if (opts[i]->letter != 0)
            buf_printf(out, "-%c ", opts[i]->letter);
    }
    buf_puts(out, "'\n");
    bash_args(out, c);
    bash_values(out, opts, n);
    buf_puts(out, "        ;;\n");
}

void shell_bash(struct buf *out, const struct program *p)
{
    bool commands = p->cmds[0]->name != NULL;

    buf_printf(out, "# bash completion for %s\n\n", p->name);
    shell_put(out, p, bash_helpers);
    shell_put(out, p,
        "_@()\n{\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} n=0 first='' i w\n"
        "    local opt=${COMP_WORDS[COMP_CWORD - 1]}\n"
        "    local words='' takes=' ' args='' kind='' cmd=''\n\n"
        "    COMPREPLY=()\n"
        "    # --name=value comes as three words\n"
        "    if [ \"$cur\" = = ]; then\n"
        "        cur=''\n"
        "    elif [ \"$opt\" = = ] && [ \"$COMP_CWORD\" -gt 1 ]; then\n"
        "        opt=${COMP_WORDS[COMP_CWORD - 2]}\n"
        "    fi\n");
    if (commands) {
        buf_puts(out, "    i=2\n    cmd=${COMP_WORDS[1]}\n"
                      "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                      "        mapfile -t COMPREPLY < <(compgen -W '");
        for (size_t i = 0; p->cmds[i] != NULL; i++)
            buf_printf(out, "%s ", p->cmds[i]->name);
        buf_puts(out, "--help --version' -- \"$cur\")\n        return\n"
                      "    fi\n");
    } else {
        buf_puts(out, "    i=1\n");
    }
    buf_puts(out, "    case $cmd in\n");
    for (size_t i = 0; p->cmds[i] != NULL; i++)
        bash_command(out, p->cmds[i]);
    shell_put(out, p, bash_end);
    buf_printf(out, "%s\n", p->name);
}
