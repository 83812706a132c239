#include "convert/cmd_convert.h"

#include <stdio.h>

#include "base/cancel.h"
#include "base/human.h"
#include "base/json.h"
#include "base/log.h"
#include "convert/convert.h"
#include "convert/tensorlist.h"
#include "convert/to_gguf.h"

/* The options that name a dtype; NONE: none was given. */
enum chose {
    CHOSE_NONE,
    CHOSE_FP16,
    CHOSE_BF16,
    CHOSE_FP32,
    CHOSE_KEEP,
    CHOSE_INT8,
    CHOSE_Q8_0,
    CHOSE_COUNT
};

enum { TO_SAFETENSORS, TO_GGUF };

struct options {
    bool dtypes[CHOSE_COUNT]; /* which were given */
    int to;
    const char *out;
    const char *report;
    int64_t threads;
    int on_overflow; /* enum overflow_policy, or NO_POLICY */
    const char *select;
    int rename;          /* enum rename_rule */
    uint64_t shard_size; /* NO_SHARDS: not given */
    const char *volume;
    bool force;
    int digests; /* enum digests */
    bool list;
    bool digest;
    bool json;
};

/* No file can be this large: the limit of offsets in the uniform form. */
#define NO_SHARDS ((uint64_t)1 << 52)

enum { NO_POLICY = -1 };

static const struct options defaults = { .on_overflow = NO_POLICY,
    .shard_size = NO_SHARDS };

static const char *const policies[] = { "error", "clamp", "inf", NULL };
static const char *const formats[] = { "safetensors", "gguf", NULL };

static const char *const digests[] = { "all", "output", "none", NULL };

static const char *const renames[] = { "none", "strip-prefix", NULL };

#define AT(field) .at = offsetof(struct options, field)

static const struct opt table[] = {
    { .name = "fp16",
        .type = OPT_FLAG,
        AT(dtypes[CHOSE_FP16]),
        .help = "make every floating tensor float16" },
    { .name = "bf16",
        .type = OPT_FLAG,
        AT(dtypes[CHOSE_BF16]),
        .help = "make every floating tensor bfloat16" },
    { .name = "fp32",
        .type = OPT_FLAG,
        AT(dtypes[CHOSE_FP32]),
        .help = "make every floating tensor float32" },
    { .name = "keep",
        .type = OPT_FLAG,
        AT(dtypes[CHOSE_KEEP]),
        .help = "keep every dtype as it is (the default)" },
    { .name = "int8",
        .type = OPT_FLAG,
        AT(dtypes[CHOSE_INT8]),
        .help = "make matrices int8 with a scale for each row, every other "
                "floating tensor bfloat16, as gpt-fast does; for "
                "mlverify-run and readers of that form" },
    { .name = "q8_0",
        .type = OPT_FLAG,
        AT(dtypes[CHOSE_Q8_0]),
        .help = "with --to gguf: 8 bits and a scale for every 32 numbers of "
                "a matrix" },
    { .name = "to",
        .type = OPT_CHOICE,
        AT(to),
        .arg = "FORMAT",
        .choices = formats,
        .help = "what to make: the uniform folder (safetensors, the "
                "default), or one GGUF file OUT with the tokenizer inside "
                "(gguf), of a GPT-NeoX, Llama or StableLM" },
    { .letter = 'o',
        .name = "output",
        .type = OPT_STR,
        AT(out),
        .arg = "OUT",
        .help = "the folder to make; without it the result is kept in the "
                "cache, beside the snapshot; with --to gguf, the file" },
    { .name = "force",
        .type = OPT_FLAG,
        AT(force),
        .help = "replace an older conversion at OUT" },
    { .name = "on-overflow",
        .type = OPT_CHOICE,
        AT(on_overflow),
        .arg = "POLICY",
        .choices = policies,
        .help = "values beyond the range of the target: refuse (error, the "
                "default), the largest finite value (clamp), or infinity "
                "(inf)" },
    { .name = "select",
        .type = OPT_STR,
        AT(select),
        .arg = "PATH",
        .help = "the branch of a .pt file to take, such as model_state_dict" },
    { .name = "rename",
        .type = OPT_CHOICE,
        AT(rename),
        .arg = "RULE",
        .choices = renames,
        .help = "strip-prefix: names without what training wrapped around "
                "them, such as module. and _orig_mod. (default: none)" },
    { .name = "shard-size",
        .type = OPT_SIZE,
        AT(shard_size),
        .arg = "S",
        .help = "spread the weights over files with at most S of data each, "
                "such as 5GB, and write an index; a larger tensor gets a file "
                "of its own (default: one file)" },
    { .name = "report",
        .type = OPT_STR,
        AT(report),
        .arg = "FILE",
        .help = "write a page (HTML) to look at: sizes, magnitudes, errors, "
                "digests; a conversion that is kept is made anew for it" },
    { .name = "digests",
        .type = OPT_CHOICE,
        AT(digests),
        .arg = "WHICH",
        .choices = digests,
        .help = "what SHA-256 is made of, which takes longer than all the "
                "rest: everything (all, the default), all but a source "
                "whose digest is not known (output), or nothing, and there "
                "is no manifest (none)" },
    { .name = "threads",
        .type = OPT_INT,
        AT(threads),
        .arg = "N",
        .min = 1,
        .max = 256,
        .help = "threads to use (default: one per core); the bytes made do "
                "not depend on it" },
    { .name = "volume",
        .type = OPT_STR,
        AT(volume),
        .arg = "V",
        .help = "where to look for SRC (default: the hub cache)" },
    { .name = "list",
        .type = OPT_FLAG,
        AT(list),
        .help = "show every tensor in SRC, chosen or not, and also what "
                "cannot be converted, such as a sparse one; convert nothing" },
    { .name = "digest",
        .type = OPT_FLAG,
        AT(digest),
        .help = "with --list: SHA-256 of each tensor's dense bytes" },
    { .name = "json",
        .type = OPT_FLAG,
        AT(json),
        .help = "print one JSON document" },
    OPT_END,
};

/* The one dtype that was asked for, or CHOSE_NONE. */
static int choose(const struct options *o, enum chose *out, struct err *e)
{
    static const char *const names[CHOSE_COUNT] = { "", "--fp16", "--bf16",
        "--fp32", "--keep", "--int8", "--q8_0" };

    *out = CHOSE_NONE;
    for (int i = CHOSE_NONE + 1; i < CHOSE_COUNT; i++) {
        if (!o->dtypes[i])
            continue;
        if (*out != CHOSE_NONE)
            return err_set(
                e, ERR_USAGE, "%s and %s: choose one", names[*out], names[i]);
        *out = (enum chose)i;
    }
    return 0;
}

static int check_list(const struct options *o, enum chose dtype, struct err *e)
{
    if (o->out != NULL || o->force || dtype != CHOSE_NONE)
        return err_set(
            e, ERR_USAGE, "--list converts nothing: no dtype, -o or --force");
    if (o->on_overflow != NO_POLICY)
        return err_set(
            e, ERR_USAGE, "--list converts nothing: no --on-overflow");
    if (o->shard_size != NO_SHARDS || o->rename != RENAME_NONE ||
        o->report != NULL)
        return err_set(e, ERR_USAGE,
            "--list converts nothing: no --shard-size, --rename or --report");
    if (o->to != TO_SAFETENSORS)
        return err_set(e, ERR_USAGE, "--list converts nothing: no --to");
    if (o->digests != DIGESTS_ALL)
        return err_set(e, ERR_USAGE, "--list converts nothing: no --digests");
    return 0;
}

static int check_gguf(const struct options *o, enum chose dtype, struct err *e)
{
    if (o->shard_size != NO_SHARDS || o->rename != RENAME_NONE ||
        o->report != NULL)
        return err_set(e, ERR_USAGE,
            "--to gguf goes without --shard-size, --rename and --report");
    if (dtype == CHOSE_INT8) {
        err_set(e, ERR_USAGE, "--int8 is no type of GGUF");
        return err_hint(e, "use --q8_0 there");
    }
    if (dtype == CHOSE_Q8_0 && o->on_overflow > OVERFLOW_ERROR)
        return err_set(
            e, ERR_USAGE, "--q8_0 has no infinity: --on-overflow error");
    return 0;
}

static int check_safetensors(
    const struct options *o, enum chose dtype, struct err *e)
{
    if (dtype == CHOSE_Q8_0)
        return err_set(e, ERR_USAGE, "--q8_0 goes with --to gguf");
    if (dtype == CHOSE_INT8 && o->on_overflow == OVERFLOW_INF)
        return err_set(e, ERR_USAGE,
            "--int8 has no infinity: --on-overflow error or clamp");
    if ((dtype == CHOSE_NONE || dtype == CHOSE_KEEP) &&
        o->on_overflow != NO_POLICY) {
        err_set(e, ERR_USAGE,
            "--on-overflow has no meaning where every dtype is kept");
        return err_hint(e, "name the dtype to cast to, such as --fp16");
    }
    return 0;
}

static int check(const struct options *o, enum chose *dtype, struct err *e)
{
    if (choose(o, dtype, e) != 0)
        return -1;
    if (o->digest && !o->list)
        return err_set(e, ERR_USAGE, "--digest goes with --list");
    if (o->list)
        return check_list(o, *dtype, e);
    if (o->digests == DIGESTS_NONE && o->out == NULL)
        return err_set(e, ERR_USAGE,
            "--digests none goes with -o: what is kept is found by digests");
    if (o->shard_size == 0)
        return err_set(e, ERR_USAGE, "--shard-size must be more than 0");
    if (o->force && o->out == NULL)
        return err_set(e, ERR_USAGE, "--force goes with -o");
    return o->to == TO_GGUF ? check_gguf(o, *dtype, e)
                            : check_safetensors(o, *dtype, e);
}

static int print(const struct buf *text, struct err *e)
{
    if (buf_check(text, e) != 0)
        return -1;
    if (fwrite(text->p, 1, text->len, stdout) != text->len ||
        fflush(stdout) != 0)
        return err_sys(e, "standard output");
    return 0;
}

static int list(const struct options *o, const char *source, struct err *e)
{
    struct tensorlist l AUTO(tensorlist_close) = TENSORLIST_INIT;
    struct buf text AUTO(buf_free) = BUF_INIT((size_t)1 << 30);

    if (tensorlist_open(&l, source, o->volume, o->select, o->digest,
            (unsigned)o->threads, e) != 0)
        return -1;
    if (o->json)
        tensorlist_json(&l, &text);
    else
        tensorlist_text(&l, &text);
    return print(&text, e);
}

static struct recipe recipe_of(const struct options *o, enum chose dtype)
{
    static const enum dtype types[CHOSE_COUNT] = { [CHOSE_FP16] = DTYPE_F16,
        [CHOSE_BF16] = DTYPE_BF16,
        [CHOSE_FP32] = DTYPE_F32,
        [CHOSE_INT8] = DTYPE_BF16 };

    return (struct recipe){ .dtype = types[dtype],
        .int8 = dtype == CHOSE_INT8,
        .on_overflow = o->on_overflow == NO_POLICY
                           ? OVERFLOW_ERROR
                           : (enum overflow_policy)o->on_overflow,
        .select = o->select,
        .rename = (enum rename_rule)o->rename,
        .shard_size = o->shard_size < NO_SHARDS ? o->shard_size : 0 };
}

static void put_audit(struct buf *text, const struct audit *a)
{
    buf_printf(text,
        ", \"audit\": {\"largest_error\": %.9g, \"overflow\": %llu, "
        "\"underflow\": %llu, \"subnormal\": %llu, \"nan\": %llu, "
        "\"infinite\": %llu}",
        a->error, (unsigned long long)a->overflow,
        (unsigned long long)a->underflow, (unsigned long long)a->subnormal,
        (unsigned long long)a->nan, (unsigned long long)a->inf);
}

static void put_result(
    struct buf *text, const struct convert_result *r, bool json)
{
    bool one = r->sha256.hex[0] != '\0';
    const char *quote = one ? "\"" : "";

    if (!json) {
        buf_printf(text, "%s\n", r->path);
        return;
    }
    buf_puts(text, "{\"path\": ");
    json_quote(text, str_of(r->path));
    buf_printf(text,
        ", \"held\": %s, \"sha256\": %s%s%s, \"size\": %llu, "
        "\"files\": %llu, \"tensors\": %llu, \"aliases\": %llu",
        r->held ? "true" : "false", quote, one ? r->sha256.hex : "null", quote,
        (unsigned long long)r->size, (unsigned long long)r->n_files,
        (unsigned long long)r->n_tensors, (unsigned long long)r->n_aliases);
    if (r->audit.n > 0)
        put_audit(text, &r->audit);
    buf_puts(text, "}\n");
}

static int convert(const struct cmd_ctx *ctx, const struct options *o,
    enum chose dtype, const char *source, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 20);
    struct convert_opts opts = { .source = source,
        .volume = o->volume,
        .out = o->out,
        .report = o->report,
        .force = o->force,
        .threads = (unsigned)o->threads,
        .digests = (enum digests)o->digests,
        .recipe = recipe_of(o, dtype),
        .progress = ctx->quiet ? PROGRESS_NONE : ctx->progress };
    struct convert_result r;
    char size[HUMAN_MAX];

    if (dtype == CHOSE_NONE)
        log_info("every %s is kept (--keep)",
            o->to == TO_GGUF ? "matrix's dtype" : "dtype");
    if (o->to == TO_GGUF ? to_gguf_run(&opts, dtype == CHOSE_Q8_0, &r, e) != 0
                         : convert_run(&opts, &r, e) != 0)
        return -1;
    if (r.held)
        log_info("converted before");
    else
        log_info("%llu tensor%s, %s%s%s%s", (unsigned long long)r.n_tensors,
            r.n_tensors == 1 ? "" : "s", human_size(size, r.size),
            r.n_files > 1 ? ", in shards" : "",
            r.sha256.hex[0] != '\0' ? ", sha256 " : "", r.sha256.hex);
    put_result(&text, &r, o->json);
    return print(&text, e);
}

static int run(
    const struct cmd_ctx *ctx, void *opts, int argc, char **argv, struct err *e)
{
    const struct options *o = opts;
    enum chose dtype;

    (void)argc;
    cancel_arm();
    if (check(o, &dtype, e) != 0)
        return -1;
    return o->list ? list(o, argv[0], e) : convert(ctx, o, dtype, argv[0], e);
}

static const struct cmd_example examples[] = {
    { "mlconvert --fp16 -o tiny-fp16 pytorch_model.bin",
        "one file, into a folder of its own" },
    { "mlconvert --bf16 org/name", "a model in the cache, kept beside it" },
    { "mlconvert --int8 -o tiny-int8 org/name",
        "int8 matrices, for mlverify-run" },
    { "mlconvert --to gguf --q8_0 -o tiny.gguf org/name",
        "one quantised GGUF file" },
    { "mlconvert --fp16 --shard-size 5GB --report look.html -o big org/name",
        "several files, and a page about them" },
    { "mlconvert --list --digest model.pt", "what is in there?" },
    { NULL, NULL },
};

const struct cmd cmd_convert = {
    .args = "SRC",
    .brief = "turn model weights into the uniform safetensors form",
    .text = "SRC is a repository held in the cache, a folder, or one file: "
            ".pt, .pth, .bin, .safetensors, .npz, .npy, a pickle of NumPy "
            "arrays, or an index. What a file is, is decided from its bytes. "
            "Nothing in it is ever executed. Of a TorchScript archive the "
            "parameters and buffers are taken; its code is not read. Quantised "
            "tensors become the numbers they stand for, under --fp32, --fp16 "
            "or --bf16.\n\n"
            "The result is a folder with model.safetensors (see "
            "ml-safetensors(5)), the config and tokenizer files found beside "
            "the source, and a manifest of digests (see ml-manifest(5)). The "
            "same weights and dtype give the same model.safetensors, byte for "
            "byte, whatever container they came from. The folder's path is "
            "printed.\n\n"
            "With --shard-size there may be several files, numbered, and "
            "model.safetensors.index.json says which tensor is where.\n\n"
            "With --int8 the folder is for mlverify-run and for readers of "
            "gpt-fast's form: beside the int8 NAME.weight of a linear layer "
            "stand NAME.scales. Its config.json stops loaders that would take "
            "the bytes for numbers.\n\n"
            "Without -o, a repository is converted once: the next time, the "
            "result is found and its path printed.\n\n"
            "With --to gguf the result is one file for programs that read "
            "GGUF. Its matrices have the dtype asked for, vectors and norms "
            "are float32; the config and tokenizer.json found beside the "
            "source become values in it. A model or tokenizer that a reader "
            "of GGUF would run differently is refused.",
    .opts = table,
    .defaults = &defaults,
    .opts_size = sizeof(struct options),
    .min_args = 1,
    .max_args = 1,
    .run = run,
    .examples = examples,
};
