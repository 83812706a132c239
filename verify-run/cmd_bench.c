/* mlverify-run --bench: several models in, a table and a document out. */
#include <stdlib.h>

#include "base/file.h"
#include "verify-run/commands.h"

enum { TEXT_MAX = 64 << 20 };

static void bench_models_free(struct bench_model **v)
{
    free(*v);
}

static int check_names(char **names, int n, struct err *e)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(names[i], names[k]) == 0)
                return err_set(
                    e, ERR_USAGE, "--bench: '%s' is named twice", names[i]);
    return 0;
}

static int report(const struct bench_model *v, size_t n,
    const struct bench_opts *o, const struct bench_out *to, struct err *e)
{
    struct buf json AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);

    bench_json(&json, v, n, o);
    bench_text(&text, v, n);
    if (buf_check(&json, e) != 0)
        return -1;
    if (to->file != NULL && file_put(to->file, json.p, json.len, 0644, e) != 0)
        return -1;
    return cmd_print(to->json ? &json : &text, e);
}

int cmd_bench(const struct bench_opts *o, const struct bench_out *to, int argc,
    char **argv, struct err *e)
{
    struct bench_model *v AUTO(bench_models_free) =
        calloc((size_t)argc, sizeof(*v));

    if (v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (check_names(argv, argc, e) != 0)
        return -1;
    for (int i = 0; i < argc; i++)
        if (bench_run(&v[i], argv[i], o, e) != 0)
            return -1;
    if (report(v, (size_t)argc, o, to, e) != 0)
        return -1;
    for (int i = 0; i < argc; i++) {
        if (v[i].why.kind == ERR_NONE)
            continue;
        *e = v[i].why;
        return argc > 1 ? err_ctx(e, "model %d of %d", i + 1, argc) : -1;
    }
    return 0;
}
