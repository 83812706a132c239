/*
 * Passes: tokens to the device, blocks of them through the layers, logits
 * and the choice back. One token's pass is the same every time but for the
 * token and its place, which lie in memory; so it is put together once and
 * kept as a graph, which costs the processor one call and the device less
 * time between kernels.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/gpu_internal.h"

static int begin(struct plugin_state *s, struct err *e)
{
    cudaError_t rc = cudaMemsetAsync(s->out, 0, sizeof(*s->out), s->q);

    s->n_marks = 0;
    return rc == cudaSuccess ? 0 : gpu_failed(e, "pass", rc);
}

/* The pinned memory is free again once all before is done. */
static int fill_input(struct plugin_state *s, const struct backend_pass *p,
    uint32_t at, uint32_t n, struct err *e)
{
    cudaError_t rc = cudaStreamSynchronize(s->q);

    if (rc != cudaSuccess)
        return gpu_failed(e, "pass", rc);
    s->input[0] = p->pos + at;
    memcpy(s->input + 1, p->tokens + at, n * sizeof(*s->input));
    return 0;
}

static int put_input(struct plugin_state *s, uint32_t n, struct err *e)
{
    cudaError_t rc = cudaMemcpyAsync(s->step, s->input,
        (1 + (size_t)n) * sizeof(*s->step), cudaMemcpyHostToDevice, s->q);

    return rc == cudaSuccess ? 0 : gpu_failed(e, "pass", rc);
}

/* The choice among this row of logits, faults, and the row if it is wanted. */
static int bring_answer(
    struct plugin_state *s, uint32_t row, bool logits, struct err *e)
{
    const float *v = s->head_out + (size_t)row * s->m->vocab;
    cudaError_t rc = cudaSuccess;

    gpu_argmax(s->q, v, s->m->vocab, &s->out->best);
    if (logits)
        rc = cudaMemcpyAsync(s->logits, v, s->m->vocab * sizeof(*v),
            cudaMemcpyDeviceToHost, s->q);
    if (rc == cudaSuccess)
        rc = cudaMemcpyAsync(s->answer, s->out, sizeof(*s->answer),
            cudaMemcpyDeviceToHost, s->q);
    return rc == cudaSuccess ? 0 : gpu_failed(e, "pass", rc);
}

static int wait_for_all(struct plugin_state *s, struct err *e)
{
    cudaError_t rc = cudaStreamSynchronize(s->q);

    if (rc == cudaSuccess)
        rc = cudaGetLastError();
    return rc == cudaSuccess ? 0 : gpu_failed(e, "pass", rc);
}

static void read_answer(const struct plugin_state *s,
    const struct gpu_mark *marks, uint32_t n, struct backend_pass *p)
{
    uint32_t step = ~s->answer->first_bad;

    p->argmax = ~(uint32_t)s->answer->best;
    p->fault = (struct backend_fault){ .found = step != UINT32_MAX };
    if (p->fault.found) {
        step = step < n ? step : n - 1;
        p->fault.layer = marks[step].layer;
        p->fault.role = marks[step].role;
    }
    if (p->logits != NULL && !p->all)
        memcpy(p->logits, s->logits, s->m->vocab * sizeof(*p->logits));
}

/* ---- one token ---- */

static int put_single(struct plugin_state *s, bool logits, struct err *e)
{
    bool good;

    s->device.early = s->early;
    good = begin(s, e) == 0 && put_input(s, 1, e) == 0 &&
           gpu_block(s, 1, false, e) == 0 && gpu_head(s, 0, 1, e) == 0;
    s->device.early = false;
    return good ? bring_answer(s, 0, logits, e) : -1;
}

/* What a graph's steps look at, for as long as it is there. */
static bool keep_marks(const struct plugin_state *s, struct gpu_graph *g)
{
    size_t bytes = s->n_marks * sizeof(*g->marks);

    g->marks = malloc(bytes);
    g->n_marks = s->n_marks;
    if (g->marks != NULL)
        memcpy(g->marks, s->marks, bytes);
    return g->marks != NULL;
}

/* A kernel that could not be started would only be missing in the graph. */
static bool capture(struct plugin_state *s, struct gpu_graph *g, bool logits)
{
    struct err why = ERR_INIT;
    cudaGraph_t graph = NULL;
    bool good;

    if (cudaStreamBeginCapture(s->q, cudaStreamCaptureModeThreadLocal) !=
        cudaSuccess)
        return false;
    good = put_single(s, logits, &why) == 0;
    good = cudaGetLastError() == cudaSuccess && good;
    good = cudaStreamEndCapture(s->q, &graph) == cudaSuccess && good;
    if (graph == NULL)
        return false;
    good = good && keep_marks(s, g) &&
           cudaGraphInstantiate(&g->exec, graph, 0) == cudaSuccess;
    cudaGraphDestroy(graph);
    return good;
}

/* A driver that keeps no early starts may keep the rest. */
static void make_graph(struct plugin_state *s, struct gpu_graph *g, bool logits)
{
    cudaGetLastError();
    while (!capture(s, g, logits)) {
        cudaGetLastError(); /* a refusal is no failure of the pass */
        g->exec = NULL;
        free(g->marks);
        g->marks = NULL;
        g->refused = !s->early;
        if (g->refused)
            return;
        s->early = false;
    }
}

static bool was_guessed(
    const struct plugin_state *s, const struct backend_pass *p)
{
    return s->guess.there && s->guess.pos == p->pos &&
           s->guess.token == p->tokens[0] &&
           s->guess.logits == (p->logits != NULL);
}

/* Where nobody has written yet; nothing is under way now. */
static void guess_next(struct plugin_state *s, const struct gpu_graph *g,
    const struct backend_pass *p)
{
    s->guess =
        (struct gpu_guess){ false, p->logits != NULL, p->pos + 1, p->argmax };
    if (p->fault.found || s->guess.pos >= s->m->capacity ||
        s->guess.pos < s->filled)
        return;
    s->input[0] = s->guess.pos;
    s->input[1] = s->guess.token;
    s->guess.there = cudaGraphLaunch(g->exec, s->q) == cudaSuccess;
}

static int run_graph(struct plugin_state *s, const struct gpu_graph *g,
    struct backend_pass *p, struct err *e)
{
    cudaError_t rc = cudaSuccess;

    if (!was_guessed(s, p)) {
        if (fill_input(s, p, 0, 1, e) != 0)
            return -1;
        rc = cudaGraphLaunch(g->exec, s->q);
    }
    s->guess.there = false;
    if (rc != cudaSuccess)
        return gpu_failed(e, "pass", rc);
    if (wait_for_all(s, e) != 0)
        return -1;
    read_answer(s, g->marks, g->n_marks, p);
    guess_next(s, g, p);
    return 0;
}

static int run_single(
    struct plugin_state *s, struct backend_pass *p, struct err *e)
{
    bool logits = p->logits != NULL;
    struct gpu_graph *g = &s->graphs[logits];

    if (g->warm && g->exec == NULL && !g->refused)
        make_graph(s, g, logits);
    g->warm = true;
    if (g->exec != NULL)
        return run_graph(s, g, p, e);
    s->guess.there = false;
    if (fill_input(s, p, 0, 1, e) != 0 || put_single(s, logits, e) != 0 ||
        wait_for_all(s, e) != 0)
        return -1;
    read_answer(s, s->marks, s->n_marks, p);
    return 0;
}

void gpu_free_graphs(struct plugin_state *s)
{
    for (int i = 0; i < 2; i++) {
        if (s->graphs[i].exec != NULL)
            cudaGraphExecDestroy(s->graphs[i].exec);
        free(s->graphs[i].marks);
    }
}

/* ---- many tokens ---- */

/* Logits of all the block's n tokens, or of its last; the last row's place. */
static int make_logits(struct plugin_state *s, const struct backend_pass *p,
    uint32_t at, uint32_t n, uint32_t *last, struct err *e)
{
    size_t vocab = s->m->vocab;

    *last = 0;
    if (!p->all)
        return gpu_head(s, n - 1, 1, e);
    for (uint32_t i = 0; i < n; i += HEAD_BLOCK) {
        uint32_t part = n - i < HEAD_BLOCK ? n - i : HEAD_BLOCK;
        cudaError_t rc = cudaSuccess;

        if (gpu_head(s, i, part, e) != 0)
            return -1;
        if (p->logits != NULL)
            rc = cudaMemcpyAsync(p->logits + ((size_t)at + i) * vocab,
                s->head_out, part * vocab * sizeof(float),
                cudaMemcpyDeviceToHost, s->q);
        if (rc != cudaSuccess)
            return gpu_failed(e, "logits", rc);
        *last = part - 1;
    }
    return 0;
}

static void add_ranges(
    const struct plugin_state *s, struct value_range *to, uint32_t n)
{
    for (uint32_t i = 0; i <= s->m->layers; i++) {
        const struct gpu_range *v = s->seen + (size_t)i * TUNE_RANGE_BLOCKS;

        if (to[i].n == 0) {
            to[i].min = INFINITY;
            to[i].max = -INFINITY;
        }
        for (int k = 0; k < TUNE_RANGE_BLOCKS; k++) {
            to[i].min = fminf(to[i].min, v[k].min);
            to[i].max = fmaxf(to[i].max, v[k].max);
            to[i].squares += v[k].squares;
        }
        to[i].n += (uint64_t)n * s->m->dim;
    }
}

static int bring_ranges(
    struct plugin_state *s, struct backend_pass *p, uint32_t n, struct err *e)
{
    size_t bytes =
        ((size_t)s->m->layers + 1) * TUNE_RANGE_BLOCKS * sizeof(*s->seen);
    cudaError_t rc = cudaMemcpyAsync(
        s->seen, s->ranges, bytes, cudaMemcpyDeviceToHost, s->q);

    if (rc == cudaSuccess)
        rc = cudaStreamSynchronize(s->q);
    if (rc != cudaSuccess)
        return gpu_failed(e, "ranges", rc);
    add_ranges(s, p->ranges, n);
    return 0;
}

static int run_blocks(
    struct plugin_state *s, struct backend_pass *p, struct err *e)
{
    uint32_t last = 0;

    if (begin(s, e) != 0)
        return -1;
    for (uint32_t at = 0; at < p->n; at += s->block) {
        uint32_t n = p->n - at < s->block ? p->n - at : s->block;

        if (s->m->cancelled())
            return err_set(e, ERR_CANCELLED, "interrupted");
        if (fill_input(s, p, at, n, e) != 0 || put_input(s, n, e) != 0 ||
            gpu_block(s, n, p->ranges != NULL, e) != 0)
            return -1;
        if ((p->all || at + n == p->n) &&
            make_logits(s, p, at, n, &last, e) != 0)
            return -1;
        if (p->ranges != NULL && bring_ranges(s, p, n, e) != 0)
            return -1;
    }
    if (bring_answer(s, last, p->logits != NULL && !p->all, e) != 0 ||
        wait_for_all(s, e) != 0)
        return -1;
    read_answer(s, s->marks, s->n_marks, p);
    return 0;
}

int gpu_forward(struct plugin_state *s, struct backend_pass *p, struct err *e)
{
    uint32_t end = p->pos + p->n;
    cudaError_t rc = gpu_use(s);

    if (rc != cudaSuccess)
        return gpu_failed(e, "pass", rc);
    if (p->pos == 0 || end > s->filled)
        s->filled = end;
    /* a graph cannot wait for the host, which hands experts their tokens and
       brings layers that pass */
    if (p->n == 1 && !p->all && p->ranges == NULL && s->m->experts == 0 &&
        !gpu_passes(s))
        return run_single(s, p, e);
    s->guess.there = false;
    return run_blocks(s, p, e);
}
