/*
 * tokenize FILE|FOLDER - the tokenizer behind a pipe, for the checks that
 * share tokentexts.py. Each line in is answered by one line out:
 *
 *   e HEX    ids of the text with these bytes; E lets the template add its own
 *   m HEX    the same, special tokens in the text counted
 *   d ID ... hexadecimal bytes of the text of ids; D shows special tokens
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "verify-run/tokenfile.h"

static int encode(
    const struct tokenizer *t, const char *hex, unsigned flags, struct err *e)
{
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct buf text AUTO(buf_free) = BUF_INIT(SIZE_MAX / 2);

    for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
        char pair[3] = { hex[0], hex[1], '\0' };

        buf_putc(&text, (char)strtoul(pair, NULL, 16));
    }
    if (tokenizer_encode(t, buf_str(&text), flags, &ids, e) != 0)
        return -1;
    for (size_t i = 0; i < ids.n; i++)
        printf("%s%" PRIu32, i > 0 ? " " : "", ids.v[i]);
    printf("\n");
    return 0;
}

static int decode(
    const struct tokenizer *t, char *text, bool special, struct err *e)
{
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct buf out AUTO(buf_free) = BUF_INIT(SIZE_MAX / 2);
    char *end = text;

    for (;;) {
        unsigned long id = strtoul(text, &end, 10);

        if (end == text)
            break;
        if (ids_add(&ids, (uint32_t)id, e) != 0)
            return -1;
        text = end;
    }
    if (tokenizer_decode(t, ids.v, ids.n, special, &out, e) != 0)
        return -1;
    for (size_t i = 0; i < out.len; i++)
        printf("%02x", (unsigned char)out.p[i]);
    printf("\n");
    return 0;
}

static int answer(const struct tokenizer *t, char *line, struct err *e)
{
    if (line[0] == 'e' || line[0] == 'E')
        return encode(t, line + 2, line[0] == 'E' ? TOKENIZE_ENDS : 0, e);
    if (line[0] == 'm')
        return encode(t, line + 2, TOKENIZE_MARKUP, e);
    return decode(t, line + 1, line[0] == 'D', e);
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int main(int argc, char **argv)
{
    struct tokenfile file;
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    if (argc != 2)
        return 2;
    t = is_folder(argv[1]) ? tokenfile_open(&file, argv[1], &e)
                           : tokenizer_open(argv[1], &e);
    if (t == NULL) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    while ((n = getline(&line, &cap, stdin)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (n < 2 || answer(t, line, &e) != 0) {
            printf("! %s\n", e.msg);
            err_clear(&e);
        }
    }
    free(line);
    return 0;
}
