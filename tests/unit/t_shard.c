#include "convert/shard.h"

#include "formats/index.h"
#include "formats/uniform.h"
#include "tests/unit/tap.h"

enum { MANY = 9 };

static const uint64_t sizes[MANY] = { 4096, 8192, 4096, 0, 5, 100, 3, 1, 7000 };
static const char *const names[MANY] = { "d", "b", "c", "a", "e", "g\"", "f",
    "h", "i" };

/* A layout as layout_make leaves it: in the order of one file. */
static void whole(struct layout *p, struct tensor *t, uint64_t n)
{
    struct err e = ERR_INIT;

    *p = (struct layout){
        .out = t, .n = n, .header = BUF_INIT(SAFETENSORS_HEADER_MAX)
    };
    for (uint64_t i = 0; i < n; i++)
        t[i] = (struct tensor){ .name = str_of(names[i]),
            .dtype = DTYPE_U8,
            .rank = 1,
            .shape = &sizes[i],
            .n = sizes[i] };
    uniform_layout(t, n, &p->header, &p->file_size, &e);
}

/* Every size from a byte to all in one: complete, ordered, within bounds. */
static bool cut_is_right(uint64_t most)
{
    struct layout p AUTO(layout_free) = LAYOUT_INIT;
    struct shards s AUTO(shards_free) = SHARDS_INIT;
    struct tensor t[MANY], order[MANY];
    const struct tensor *from[MANY] = { 0 };
    struct err e = ERR_INIT;
    uint64_t at = 0;
    bool right;

    whole(&p, t, MANY);
    p.from = from;
    memcpy(order, t, sizeof(t));
    right = shards_cut(&s, &p, most, &e) == 0;
    for (uint64_t i = 0; right && i < s.n; i++) {
        const struct layout *part = &s.v[i].part;
        uint64_t data = part->file_size - part->header.len;

        right = s.v[i].first == at && part->n > 0 &&
                part->header.len % UNIFORM_ALIGN == 0 &&
                part->out[0].offset == part->header.len;
        for (uint64_t k = 0; k < part->n; k++)
            right = right && str_eq(part->out[k].name, order[at++].name);
        if (data > most) /* one larger tensor, and empty ones */
            for (uint64_t k = 1; k < part->n; k++)
                right = right && tensor_bytes(&part->out[k]) == 0;
        /* greedy: the next tensor would not have fitted */
        if (at < MANY)
            right = right && data + tensor_bytes(&order[at]) > most;
    }
    return right && at == MANY;
}

static void cuts(void)
{
    bool right = true;

    for (uint64_t most = 1; most < 25000 && right; most += 1 + most / 7) {
        right = cut_is_right(most);
        if (!right)
            printf("#   most %llu\n", (unsigned long long)most);
    }
    ok(right, "shards of every size: complete, in order, greedy, bounded");
    ok(cut_is_right(UINT64_MAX), "without a limit");
}

static void names_of_files(void)
{
    struct layout p AUTO(layout_free) = LAYOUT_INIT;
    struct shards s AUTO(shards_free) = SHARDS_INIT;
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 20);
    struct tensor t[MANY];
    const struct tensor *from[MANY] = { 0 };
    struct weight_index index;
    struct err e = ERR_INIT;
    uint64_t size;

    whole(&p, t, MANY);
    p.from = from;
    size = p.file_size;
    ok(shards_cut(&s, &p, 23493, &e) == 0 && s.n == 1 &&
            strcmp(s.v[0].name, "model.safetensors") == 0,
        "what fits in one file is one file");
    ok(s.file_size == size && s.v[0].part.file_size == size, "the same file");
    shards_free(&s);
    layout_free(&p);
    whole(&p, t, MANY);
    p.from = from;
    ok(shards_cut(&s, &p, 8192, &e) == 0 && s.n == 3 &&
            strcmp(s.v[2].name, "model-00003-of-00003.safetensors") == 0,
        "a byte less is more than one");
    ok(shards_index(&s, &text, &e) == 0 &&
            index_parse(&index, buf_str(&text), &arena, &e) == 0 &&
            index.n == MANY && index.n_shards == 3,
        "the index reads back");
    ok(strstr(text.p, "\"total_size\": 23493\n") != NULL &&
            strstr(text.p, "\n    \"g\\\"\": \"model-00003-of") != NULL,
        "with the size of the data, and names as JSON");
}

static void too_many(void)
{
    static struct tensor t[SHARDS_MAX + 1];
    static const uint64_t one = 1;
    struct layout p = { .out = t, .n = SHARDS_MAX + 1 };
    struct shards s AUTO(shards_free) = SHARDS_INIT;
    struct err e = ERR_INIT;

    for (uint64_t i = 0; i < p.n; i++)
        t[i] = (struct tensor){
            .dtype = DTYPE_U8, .rank = 1, .shape = &one, .n = 1
        };
    ok(shards_cut(&s, &p, 1, &e) == -1 && e.kind == ERR_USAGE,
        "no more files than five digits count");
}

static void whose(void)
{
    ok(shard_is_ours("model-00001-of-00002.safetensors"), "a shard's name");
    ok(shard_is_ours("model.safetensors.index.json"), "the index's");
    ok(!shard_is_ours("model-0000x-of-00002.safetensors") &&
            !shard_is_ours("model-00001-of-00002.safetensor") &&
            !shard_is_ours("model-00001-of-00002.safetensors2") &&
            !shard_is_ours(""),
        "others");
}

int main(void)
{
    cuts();
    names_of_files();
    too_many();
    whose();
    return done();
}
