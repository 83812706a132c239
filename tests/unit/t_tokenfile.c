/* Which of several files is a folder's tokenizer, and what goes around. */
#include "verify-run/tokenfile.h"

#include "base/file.h"
#include "base/path.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"
#include "tests/unit/tokfile.h"

static const char json[] =
    "{\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\","
    "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}}";

static void put(const char *path, const void *bytes, size_t len)
{
    struct err e = ERR_INIT;

    if (file_put(path, bytes, len, 0644, &e) != 0)
        ok(false, "%s", e.msg);
}

static void put_text(const char *path, const char *text)
{
    put(path, text, strlen(text));
}

static void put_model(const char *path)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 16);

    pb_piece(&b, str_of("<unk>"), 0, 2);
    pb_piece(&b, str_of("<s>"), 0, 3);
    pb_piece(&b, str_of("</s>"), 0, 3);
    pb_piece(&b, str_of("a"), -1, 1);
    put(path, b.p, b.len);
}

static void opens(
    const char *folder, const char *name, const char *other, const char *want)
{
    struct buf got AUTO(buf_free) = BUF_INIT(1 << 16);
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct err e = ERR_INIT;
    struct tokenfile file;
    struct tokenizer *t AUTO(tokenizer_close_auto) =
        tokenfile_open(&file, folder, &e);

    if (!ok(t != NULL, "%s: a tokenizer %s", path_base(folder), e.msg))
        return;
    is_str(file.name, name, "is taken");
    is_str(file.other, other, "and this one is not");
    ok(tokenizer_encode(t, str_of("ab"), TOKENIZE_ENDS, &ids, &e) == 0,
        "it encodes %s", e.msg);
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(&got, "%s%u", i > 0 ? " " : "", ids.v[i]);
    is_str(got.p, want, "to these ids");
}

static const char *folder(const char *name)
{
    const char *path = at("%s", name);

    mkdir(path, 0755);
    return path;
}

static void order(void)
{
    const char *f = folder("all");

    put_model(at("all/spiece.model"));
    opens(f, "spiece.model", "", "1 0 3 0");
    put_text(at("all/vocab.json"), "{\"a\":0,\"b\":1,\"ab\":2}");
    put_text(at("all/merges.txt"), "#version: 0.2\na b\n");
    opens(f, "spiece.model", "vocab.json", "1 0 3 0");
    put_model(at("all/tokenizer.model"));
    opens(f, "tokenizer.model", "vocab.json", "1 0 3 0");
    put_text(at("all/tokenizer.json"), json);
    opens(f, "tokenizer.json", "tokenizer.model", "2");
}

static void pair(void)
{
    const char *f = folder("pair");

    put_text(at("pair/vocab.json"),
        "{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3}");
    put_text(at("pair/merges.txt"), "#version: 0.2\r\na b\r\n");
    opens(f, "vocab.json", "", "2");
}

static void policy(void)
{
    const char *f = folder("policy");

    put_model(at("policy/tokenizer.model"));
    put_text(at("policy/tokenizer_config.json"),
        "{\"add_bos_token\":false,\"add_eos_token\":true}");
    opens(f, "tokenizer.model", "", "0 3 0 2");
}

static void fails(const char *f, enum err_kind kind, const char *part)
{
    struct err e = ERR_INIT;
    struct tokenfile file;
    struct tokenizer *t AUTO(tokenizer_close_auto) =
        tokenfile_open(&file, f, &e);

    if (!ok(t == NULL && e.kind == kind && strstr(e.msg, part) != NULL, "%s",
            part))
        printf("#   got  '%s'\n", e.msg);
}

/* Another file never stands in for one that is refused. */
static void no_stand_in(void)
{
    const char *f = folder("bad");

    fails(f, ERR_MISSING, "no tokenizer.json, tokenizer.model");
    put_model(at("bad/tokenizer.model"));
    put_text(at("bad/tokenizer.json"), "{\"model\":{\"type\":\"X\"}}");
    fails(f, ERR_UNSUPPORTED, "tokenizer.json: this program has no model of");
    put_text(at("bad/tokenizer.json"), json);
    put_text(at("bad/tokenizer_config.json"), "{");
    fails(f, ERR_REFUSED, "tokenizer_config.json");
    put_text(at("bad/tokenizer.json"), "version https://git-lfs");
    fails(f, ERR_REFUSED, "tokenizer.json: line 1 at byte 0");
}

int main(void)
{
    scratch_open();
    order();
    pair();
    policy();
    no_stand_in();
    scratch_close();
    return done();
}
