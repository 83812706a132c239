#include "convert/shard.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "formats/index.h"
#include "formats/uniform.h"

/* Behind the last tensor of the shard that begins with tensor first. */
static uint64_t shard_end(
    const struct layout *whole, uint64_t first, uint64_t most)
{
    uint64_t size = tensor_bytes(&whole->out[first]), i = first + 1;

    for (; i < whole->n; i++) {
        uint64_t more = tensor_bytes(&whole->out[i]);

        if (!size_add(size, more, &size) || (more > 0 && size > most))
            break;
    }
    return i;
}

static uint64_t count_shards(const struct layout *whole, uint64_t most)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < whole->n; i = shard_end(whole, i, most))
        n++;
    return n;
}

static int cut_one(struct shards *s, const struct layout *whole,
    uint64_t number, uint64_t first, uint64_t end, struct err *e)
{
    struct shard *v = &s->v[number];

    snprintf(v->name, sizeof(v->name), "model-%05u-of-%05u.safetensors",
        (unsigned)number + 1, (unsigned)s->n);
    v->first = first;
    v->part = (struct layout){ .out = whole->out + first,
        .from = whole->from + first,
        .int8 = whole->int8,
        .n = end - first,
        .header = BUF_INIT(SAFETENSORS_HEADER_MAX + 8) };
    if (uniform_layout(v->part.out, v->part.n, &v->part.header,
            &v->part.file_size, e) != 0)
        return err_ctx(e, "%s", v->name);
    s->file_size += v->part.file_size;
    return 0;
}

/* The whole is the only file there is. */
static void take_whole(struct shards *s, struct layout *whole)
{
    struct shard *v = &s->v[0];

    snprintf(v->name, sizeof(v->name), "%s", CONVERT_WEIGHTS);
    v->part = (struct layout){ .out = whole->out,
        .from = whole->from,
        .int8 = whole->int8,
        .n = whole->n,
        .header = whole->header,
        .file_size = whole->file_size };
    whole->header = (struct buf)BUF_INIT(0);
    s->file_size = whole->file_size;
}

int shards_cut(
    struct shards *s, struct layout *whole, uint64_t most, struct err *e)
{
    uint64_t at = 0;

    *s = (struct shards){ .arena = ARENA_INIT((uint64_t)64 << 20),
        .n = count_shards(whole, most) };
    if (s->n > SHARDS_MAX) {
        at = s->n;
        s->n = 0;
        err_set(e, ERR_USAGE, "%llu shards, there may be %d",
            (unsigned long long)at, SHARDS_MAX);
        return err_hint(e, "choose a larger --shard-size");
    }
    s->v = arena_alloc(&s->arena, s->n, sizeof(*s->v), e);
    if (s->v == NULL) {
        s->n = 0;
        return -1;
    }
    for (uint64_t i = 0; i < whole->n; i++)
        s->data_size += tensor_bytes(&whole->out[i]);
    if (s->n == 1) {
        take_whole(s, whole);
        return 0;
    }
    for (uint64_t i = 0; i < s->n; i++) {
        uint64_t end = shard_end(whole, at, most);

        if (cut_one(s, whole, i, at, end, e) != 0)
            return -1;
        at = end;
    }
    return 0;
}

struct place {
    struct str tensor;
    const char *file;
};

static int by_name(const void *a, const void *b)
{
    return str_cmp(
        ((const struct place *)a)->tensor, ((const struct place *)b)->tensor);
}

static void put_map(struct buf *out, const struct place *v, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        buf_puts(out, i > 0 ? ",\n    " : "\n    ");
        json_quote(out, v[i].tensor);
        buf_printf(out, ": \"%s\"", v[i].file);
    }
}

int shards_index(const struct shards *s, struct buf *out, struct err *e)
{
    const struct shard *last = &s->v[s->n - 1];
    uint64_t n = 0, all = last->first + last->part.n;
    struct place *v = malloc(all * sizeof(*v));

    if (v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (uint64_t i = 0; i < s->n; i++)
        for (uint64_t k = 0; k < s->v[i].part.n; k++)
            v[n++] = (struct place){ s->v[i].part.out[k].name, s->v[i].name };
    qsort(v, n, sizeof(*v), by_name);
    buf_printf(out,
        "{\n  \"metadata\": {\n    \"total_size\": %llu\n  },\n"
        "  \"weight_map\": {",
        (unsigned long long)s->data_size);
    put_map(out, v, n);
    buf_puts(out, "\n  }\n}\n");
    free(v);
    if (buf_check(out, e) != 0)
        return err_ctx(e, "%s", SHARD_INDEX);
    return 0;
}

static bool all_digits(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return true;
}

bool shard_is_ours(const char *name)
{
    static const char pattern[] = "model-00000-of-00000.safetensors";

    if (strcmp(name, SHARD_INDEX) == 0)
        return true;
    if (strlen(name) != strlen(pattern))
        return false;
    return memcmp(name, "model-", 6) == 0 && all_digits(name + 6, 5) &&
           memcmp(name + 11, "-of-", 4) == 0 && all_digits(name + 15, 5) &&
           strcmp(name + 20, ".safetensors") == 0;
}

void shards_free(struct shards *s)
{
    for (uint64_t i = 0; i < s->n; i++)
        buf_free(&s->v[i].part.header);
    arena_free(&s->arena);
    *s = (struct shards)SHARDS_INIT;
}
