/*
 * The data of a GGUF file: rows that move, and any cut of it into pieces
 * gives the same bytes.
 */
#include "convert/gguf_data.h"

#include "convert/block.h"
#include "formats/quant_q8.h"
#include "tests/unit/scratch.h"
#include "tests/unit/stfile.h"
#include "tests/unit/tap.h"

enum { DIM = 64, VOCAB = 40, INNER = 72, ROOM = 1 << 18 };

/* Two heads of 32: value = row + column / 64, so both can be told. */
static const struct {
    const char *name;
    unsigned rows, cols;
} shapes[] = {
    { "gpt_neox.embed_in.weight", VOCAB, DIM },
    { "gpt_neox.final_layer_norm.weight", DIM, 1 },
    { "gpt_neox.final_layer_norm.bias", DIM, 1 },
    { "gpt_neox.layers.0.input_layernorm.weight", DIM, 1 },
    { "gpt_neox.layers.0.input_layernorm.bias", DIM, 1 },
    { "gpt_neox.layers.0.attention.query_key_value.weight", 3 * DIM, DIM },
    { "gpt_neox.layers.0.attention.query_key_value.bias", 3 * DIM, 1 },
    { "gpt_neox.layers.0.attention.dense.weight", DIM, DIM },
    { "gpt_neox.layers.0.attention.dense.bias", DIM, 1 },
    { "gpt_neox.layers.0.post_attention_layernorm.weight", DIM, 1 },
    { "gpt_neox.layers.0.post_attention_layernorm.bias", DIM, 1 },
    { "gpt_neox.layers.0.mlp.dense_h_to_4h.weight", INNER, DIM },
    { "gpt_neox.layers.0.mlp.dense_h_to_4h.bias", INNER, 1 },
    { "gpt_neox.layers.0.mlp.dense_4h_to_h.weight", DIM, INNER },
    { "gpt_neox.layers.0.mlp.dense_4h_to_h.bias", DIM, 1 },
};

static const char config[] =
    "{\"model_type\":\"gpt_neox\",\"hidden_size\":64,\"num_hidden_layers\":1,"
    "\"num_attention_heads\":2,\"intermediate_size\":72,\"vocab_size\":40,"
    "\"max_position_embeddings\":16,\"tie_word_embeddings\":true}";

static void write_model(const char *path)
{
    struct buf header AUTO(buf_free) = BUF_INIT(1 << 16);
    struct buf file AUTO(buf_free) = BUF_INIT(1 << 20);
    size_t at = 0;

    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        size_t n = (size_t)4 * shapes[i].rows * shapes[i].cols;

        buf_printf(&header, "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[%u",
            i == 0 ? '{' : ',', shapes[i].name, shapes[i].rows);
        if (shapes[i].cols > 1)
            buf_printf(&header, ",%u", shapes[i].cols);
        buf_printf(&header, "],\"data_offsets\":[%zu,%zu]}", at, at + n);
        at += n;
    }
    buf_putc(&header, '}');
    st_bytes(&file, header.p, 0);
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        for (unsigned k = 0; k < shapes[i].rows * shapes[i].cols; k++) {
            float v =
                (float)(k / shapes[i].cols) + (float)(k % shapes[i].cols) / 64;
            buf_put(&file, &v, sizeof(v));
        }
    write_file(path, file.p, file.len);
}

/* What a test has open. */
struct made {
    struct checkpoint c;
    struct gguf_model model;
    struct gguf_plan plan;
    struct recipe recipe;
    struct gguf_data data;
    struct buf header;
    uint64_t size;
    uint8_t *bytes; /* the data region in one piece */
    uint8_t *scratch;
};

static bool open_made(struct made *m, bool q8, enum dtype dtype)
{
    struct gguf_writer none AUTO(gguf_writer_free) = GGUF_WRITER_INIT(1);
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct err e = ERR_INIT;
    int rc;

    *m = (struct made){ .header = BUF_INIT(1 << 16),
        .recipe = { .dtype = dtype },
        .bytes = malloc(ROOM),
        .scratch = aligned_alloc(64, BLOCK_SCRATCH) };
    rc = checkpoint_open(&m->c, at("model.safetensors"), NULL, &e);
    if (rc == 0)
        rc = json_parse(&doc, str_of(config), 0, &e);
    if (rc == 0)
        rc = gguf_model_parse(&m->model, doc.root, &e);
    if (rc == 0)
        rc = gguf_plan_make(&m->plan, &m->c, &m->model, &m->recipe, q8, &e);
    if (rc == 0)
        rc = gguf_finish(
            &none, m->plan.out, m->plan.n, &m->header, &m->size, &e);
    m->data = (struct gguf_data){ &m->c, &m->plan, &m->recipe };
    if (rc == 0)
        rc = gguf_data_fill(&m->data, m->header.len, m->size - m->header.len,
            m->bytes, m->scratch, &e);
    return ok(rc == 0 && m->size < ROOM, "planned and made %s", e.msg);
}

static void close_made(struct made *m)
{
    free(m->bytes);
    free(m->scratch);
    buf_free(&m->header);
    gguf_plan_free(&m->plan);
    checkpoint_close(&m->c);
}

static const uint8_t *find(
    const struct made *m, const char *name, const struct gguf_tensor **t)
{
    for (uint64_t i = 0; i < m->plan.n; i++)
        if (str_is(m->plan.out[i].name, name)) {
            *t = &m->plan.out[i];
            return m->bytes + ((*t)->offset - m->header.len);
        }
    return NULL;
}

static float number(const uint8_t *p, size_t i)
{
    float v;

    memcpy(&v, p + i * sizeof(v), sizeof(v));
    return v;
}

static void rows(void)
{
    struct made m;
    const struct gguf_tensor *t;
    const uint8_t *w, *b, *first, *second;
    bool moved = true;

    if (!open_made(&m, false, DTYPE_F32)) {
        close_made(&m);
        return;
    }
    b = find(&m, "blk.0.attn_qkv.bias", &t);
    w = find(&m, "blk.0.attn_qkv.weight", &t);
    for (unsigned kind = 0; kind < 3; kind++)
        for (unsigned head = 0; head < 2; head++)
            for (unsigned i = 0; i < 32; i++) {
                size_t to = kind * 64 + head * 32 + i;
                float from = (float)(head * 96 + kind * 32 + i);

                moved = moved && number(b, to) == from &&
                        number(w, to * DIM) == from &&
                        number(w, to * DIM + 63) == from + 63.0F / 64;
            }
    ok(moved, "fused rows: all queries, all keys, all values");
    first = find(&m, "token_embd.weight", &t);
    second = find(&m, "output.weight", &t);
    ok(first != NULL && second != NULL && first != second &&
            memcmp(first, second, t->bytes) == 0,
        "a tied head is a copy");
    close_made(&m);
}

/* Every size of piece cuts elements, blocks and gaps somewhere else. */
static void pieces(bool q8, enum dtype dtype, const char *name)
{
    struct made m;
    uint8_t *got = malloc(ROOM);
    struct err e = ERR_INIT;
    bool same = true;

    if (!open_made(&m, q8, dtype)) {
        close_made(&m);
        free(got);
        return;
    }
    for (uint64_t each = 1; each < 3000; each += each < 70 ? 1 : 487) {
        memset(got, 0xEE, ROOM);
        for (uint64_t at = m.header.len; at < m.size; at += each) {
            uint64_t n = size_min(each, m.size - at);

            same = same && gguf_data_fill(&m.data, at, n,
                               got + (at - m.header.len), m.scratch, &e) == 0;
        }
        same = same && memcmp(got, m.bytes, m.size - m.header.len) == 0;
    }
    ok(same, "%s: in pieces as in one %s", name, e.msg);
    close_made(&m);
    free(got);
}

static void quantised(void)
{
    struct made m;
    const struct gguf_tensor *t;
    float row[DIM], want[DIM];
    uint8_t blocks[DIM / Q8_COUNT * Q8_BYTES];
    const uint8_t *p;

    if (open_made(&m, true, DTYPE_NONE)) {
        p = find(&m, "blk.0.attn_qkv.weight", &t);
        for (unsigned i = 0; i < DIM; i++)
            row[i] = 96 + (float)i / 64; /* the second head's first query */
        q8_encode(blocks, row, DIM);
        ok(t->type == GGML_Q8_0 &&
                memcmp(p + 32 * sizeof(blocks), blocks, sizeof(blocks)) == 0,
            "rows are moved, then quantised");
        q8_decode(want, blocks, DIM);
        ok(want[0] > 95 && want[0] < 97, "and come back");
        find(&m, "blk.0.ffn_down.weight", &t);
        ok(t->type == GGML_F16, "rows of 72 become float16");
        find(&m, "blk.0.attn_qkv.bias", &t);
        ok(t->type == GGML_F32, "biases stay float32");
    }
    close_made(&m);
}

int main(void)
{
    scratch_open();
    write_model(at("model.safetensors"));
    rows();
    quantised();
    pieces(false, DTYPE_F32, "fp32");
    pieces(false, DTYPE_BF16, "bf16");
    pieces(true, DTYPE_NONE, "q8_0");
    scratch_close();
    return done();
}
