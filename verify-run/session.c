#include "verify-run/session.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/log.h"
#include "base/path.h"
#include "verify-run/drift.h"

/* A converted model says in its manifest which names it keeps only once. */
static int read_manifest(struct session *s, struct err *e)
{
    char path[PATH_MAX];

    s->manifest_arena = (struct arena)ARENA_INIT((uint64_t)1 << 30);
    if (path_join(path, s->checkpoint.folder, MANIFEST_NAME, e) != 0)
        return -1;
    if (access(path, F_OK) != 0)
        return 0;
    return manifest_read(&s->manifest, path, &s->manifest_arena, e);
}

static int read_config(
    struct session *s, const struct session_opts *o, struct err *e)
{
    int rc = origin_load(&s->config, &s->origin, &s->checkpoint, &o->wish, e);

    timeline_mark(&s->timeline, "config");
    return rc;
}

static int bind(struct session *s, const struct session_opts *o, struct err *e)
{
    struct weights_source src = {
        .config = &s->config,
        .checkpoint = &s->checkpoint,
        .manifest = &s->manifest,
        .as = o->as,
    };
    int rc = read_manifest(s, e) != 0 || weights_bind(&s->weights, &src, e) != 0
                 ? -1
                 : 0;

    timeline_mark(&s->timeline, "weights");
    return rc;
}

static int plan_stream(
    struct session *s, const struct session_opts *o, struct err *e)
{
    s->memory = o->memory;
    if (s->backend != &backend_cpu) /* a device has its own plan */
        return 0;
    return stream_open(&s->stream, &s->checkpoint, &s->weights, o->memory, e);
}

static int open_parts(
    struct session *s, const struct session_opts *o, struct err *e)
{
    s->backend = backend_choose(o->backend, e);
    if (s->backend == NULL ||
        checkpoint_open(&s->checkpoint, o->path, NULL, e) != 0)
        return -1;
    timeline_mark(&s->timeline, "tables");
    if (read_config(s, o, e) != 0 || bind(s, o, e) != 0)
        return -1;
    s->tokenizer =
        tokenfile_open(&s->tokenfile, s->checkpoint.folder, &s->no_tokenizer);
    timeline_mark(&s->timeline, "tokenizer");
    if (plan_stream(s, o, e) != 0)
        return -1;
    s->pool = pool_open(o->threads, e);
    return s->pool == NULL ? -1 : 0;
}

int session_open(struct session *s, const struct session_opts *o, struct err *e)
{
    double start = clock_seconds();
    int rc;

    timeline_start(&s->timeline);
    rc = open_parts(s, o, e);

    s->load_seconds = clock_seconds() - start;
    return rc;
}

static void tell(const struct backend_opened *b)
{
    char text[HUMAN_MAX];

    if (b->passing > 0)
        log_info("%s of weights pass through memory for every token",
            human_size(text, b->passing));
}

int session_start(struct session *s, uint32_t capacity, struct err *e)
{
    double start = clock_seconds();
    struct backend_model m = {
        .config = &s->config,
        .weights = &s->weights,
        .checkpoint = &s->checkpoint,
        .capacity = capacity,
        .pool = s->pool,
        .stream = s->stream,
        .device_memory = s->memory,
    };

    if (capacity > s->config.context) {
        err_set(e, ERR_USAGE,
            "prompt and new tokens need %u positions: the model has %u",
            capacity, s->config.context);
        return err_hint(e, "shorten the prompt, or ask for fewer with -n");
    }
    s->state = s->backend->open(&m, &s->opened, e);
    if (s->state != NULL)
        tell(&s->opened);
    s->capacity = capacity;
    timeline_mark(&s->timeline, "backend");
    s->load_seconds += clock_seconds() - start;
    return s->state == NULL ? -1 : 0;
}

enum dtype session_coarsest(const struct session *s)
{
    enum dtype worst = DTYPE_F32;

    for (uint32_t layer = 0; layer < s->config.layers; layer++)
        for (int r = 0; r < ROLE_COUNT; r++) {
            const struct weight *w =
                weights_get(&s->weights, layer, (enum role)r, false);

            if (w->data != NULL && drift_cost(w->dtype) > drift_cost(worst))
                worst = w->dtype;
        }
    return worst;
}

void session_close(struct session *s)
{
    if (s->backend != NULL)
        s->backend->close(s->state);
    pool_close(s->pool);
    tokenizer_close(s->tokenizer);
    stream_close(s->stream);
    weights_free(&s->weights);
    arena_free(&s->manifest_arena);
    checkpoint_close(&s->checkpoint);
    *s = (struct session)SESSION_INIT;
}
